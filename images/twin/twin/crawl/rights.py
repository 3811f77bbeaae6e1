"""What a publisher says of machines: read from headers and from the site's TDM declaration.

Sources: Google's robots meta and ``X-Robots-Tag`` documentation for ``noindex`` and ``none``;
DeviantArt's ``noai``, which others took over; the TDM Reservation Protocol of the W3C community
group (https://www.w3.org/community/reports/tdmrep/CG-FINAL-tdmrep-20240510/), which implements
article 4 of the EU's directive 2019/790.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from protego import Protego

NOAI, NOINDEX, TDM = "noai", "noindex", "tdm"

#: Where a site declares its reservations (TDMRep, section 6.1).
TDM_DECLARATION = "/.well-known/tdmrep.json"

_TOKENS = {"noai": NOAI, "noindex": NOINDEX, "none": NOINDEX}


def reserved_by_robots(values: Iterable[str], agent: str = "llm-twin") -> set[str]:
    """Reservations in ``X-Robots-Tag`` headers or robots meta tags.

    Args:
        values: e.g. ``noai, nofollow`` or ``otherbot: noindex``; what is said to other robots
            is not said to us.
        agent: our name, in lower case.
    """
    found = set()
    for value in values:
        name, colon, rules = value.lower().partition(":")
        if not colon:
            rules = name
        elif name.strip() in {"unavailable_after", "max-snippet", "max-image-preview"}:
            rules = value.lower()
        elif name.strip() not in {agent, "*"}:
            continue
        tokens = {token.strip() for token in rules.split(",")}
        found |= {_TOKENS[token] for token in tokens & _TOKENS.keys()}
    return found


def reserved_by_tdm_header(values: Sequence[str]) -> set[str]:
    """A reservation in the header ``TDM-Reservation`` (TDMRep, section 6.2)."""
    return {TDM} if any(value.strip() == "1" for value in values) else set()


class TdmDeclaration:
    """What a site's ``tdmrep.json`` reserves.

    Args:
        body: of the file. One that is no such declaration declares nothing.
    """

    def __init__(self, body: bytes) -> None:
        self._rules = [
            (_matcher(rule["location"]), rule.get("tdm-reservation") in {1, "1"})
            for rule in _rules(body)
        ]

    def reserves(self, url: str) -> bool:
        """Whether a page is reserved: the first rule whose pattern it matches decides."""
        matching = (reserved for rule, reserved in self._rules if not rule.can_fetch(url, "*"))
        return next(matching, False)


def _rules(body: bytes) -> list[dict[str, Any]]:
    try:
        rules = json.loads(body)
    except (ValueError, RecursionError):
        return []
    items = rules if isinstance(rules, list) else []
    return [
        item for item in items
        if isinstance(item, dict) and isinstance(item.get("location"), str)
        and isinstance(item.get("tdm-reservation"), int | str)
    ]  # fmt: skip


def _matcher(location: str) -> Protego:
    """Locations are patterns of robots.txt (RFC 9309), so a parser of these matches them."""
    return Protego.parse(f"User-agent: *\nDisallow: {' '.join(location.split())}")
