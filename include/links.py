"""Links pasted into a form: what is none is refused in words, which a form's own check has not."""

import urllib.parse
from collections.abc import Iterable


def check_links(links: Iterable[str]) -> None:
    """See to it that each is a whole address of the web; what is behind it, its job will see.

    Raises:
        AirflowFailException: names those that are not, and says what to give instead.
    """
    from airflow.sdk.exceptions import AirflowFailException

    wrong = [link for link in links if not _is_address(link.strip())]
    if wrong:
        raise AirflowFailException(
            f"Links: {', '.join(map(repr, wrong))}: give the whole address of a page or of a "
            "publication in each line, as https://example.org/post. Nothing was crawled."
        )


def _is_address(link: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(link)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(host) and not any(map(str.isspace, link))
