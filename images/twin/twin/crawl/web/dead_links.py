"""Links that a page merely mentions and that lead nowhere: they are told, and fail no crawl.

What the site lists (a sitemap, feed or archive), what the recipe names, and what was stored before
should be there, so its absence counts as failed. A list may be read after the link was followed:
so what is dead is kept until the crawl ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from twin.crawl.web.urls import page_number

#: Answers that say that there is no such page (RFC 9110).
STATUSES = frozenset({404, 410})


@dataclass
class DeadLinks:
    """Of one source.

    Attributes:
        found: URL to the answer's status.
    """

    found: dict[str, int] = field(default_factory=dict)
    _listed: set[int] = field(default_factory=set)

    def is_listed(self, url: str) -> bool:
        """Whether one of the site's lists has named a page."""
        return page_number(url) in self._listed

    def list(self, url: str) -> int | None:
        """Note that a list names a page; the status, if it was found dead before."""
        self._listed.add(page_number(url))
        return self.found.pop(url, None)

    def state(self) -> dict[str, Any]:
        """What must be known to go on after a pause, as JSON values."""
        return {"found": self.found, "listed": sorted(self._listed)}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take over what was known before a pause."""
        self.found.update(state["found"])
        self._listed.update(state["listed"])
