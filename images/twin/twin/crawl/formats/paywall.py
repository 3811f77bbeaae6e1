"""Pages that show only the beginning of an article to who has not paid."""

import re

from twin.crawl.page import PaywallError

# schema.org's word for it, which search engines demand of such pages.
_NOT_FREE = re.compile(r'"isAccessibleForFree"\s*:\s*"?false', re.IGNORECASE)
_DATA_BLOCK = re.compile(
    r"""<script[^>]*type=["']?application/ld\+json[^>]*>(.*?)</script>""",
    re.IGNORECASE | re.DOTALL,
)


# What Substack's pages put where the text breaks off.
_PAYWALL_BOX = re.compile(r"""<div[^>]*\sdata-component-name=["']Paywall["']""")


def refuse_paywalled(html: str) -> None:
    """Check that a page gives all of its article to everybody.

    Raises:
        PaywallError: its structured data says that it does not, or it ends in a paywall's box.
    """
    if _PAYWALL_BOX.search(html):
        raise PaywallError("behind a paywall (the page ends in Substack's box to subscribe)")
    if not _NOT_FREE.search(html):
        return
    if any(_NOT_FREE.search(block) for block in _DATA_BLOCK.findall(html)):
        raise PaywallError("behind a paywall (the page's data says isAccessibleForFree: false)")
