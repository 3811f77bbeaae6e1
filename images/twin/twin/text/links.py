"""Addresses in a text: to which hosts they lead, and how to make one that leads nowhere."""

import html
import re
from collections.abc import Set
from urllib.parse import urlsplit

#: An address with its scheme, to the first letter that none may hold.
_URL = re.compile(r"(?i)\b(?:https?|ftps?|wss?|file)://[^\s<>\"'`|\\^{}\[\]]*")
#: What Markdown and browsers complete to an address by themselves.
_BARE = re.compile(r"(?i)(?<![\w./@-])www\.(?:[a-z0-9-]+\.)+[a-z]{2,}")
_RELATIVE = re.compile(r"(\]\(\s*<?|(?:href|src)\s*=\s*[\"']?)[/\\]{2}(?=[\w.-])", re.IGNORECASE)
_SCRIPT = re.compile(
    r"(\]\(\s*<?|(?:href|src)\s*=\s*[\"']?|<)\s*(javascript|vbscript|data)\s*:", re.IGNORECASE
)
#: Marks that end a sentence about an address rather than the address.
_TAIL = ".,;:!?)*_~"


def hosts_in(text: str) -> set[str]:
    """Hosts that a text's addresses lead to, in lower case."""
    return {host for match in _URL.finditer(text) if (host := host_of(match[0]))}


def host_of(url: str) -> str:
    """The host of an address; "" if it has none that could be reached."""
    try:
        return (urlsplit(url.rstrip(_TAIL)).hostname or "").rstrip(".")
    except ValueError:  # brackets of an IPv6 address that are none
        return ""


def is_allowed(host: str, allowed: Set[str]) -> bool:
    """Whether a host is one of these, or below one."""
    parts = host.split(".")
    return any(".".join(parts[start:]) in allowed for start in range(len(parts)))


def defang(text: str, allowed: Set[str]) -> tuple[str, int]:
    """A text whose addresses lead to allowed hosts or, unmistakably written, nowhere.

    Returns:
        The text, and how many addresses were made harmless.
    """
    count = 0

    def harmless(match: re.Match[str]) -> str:
        nonlocal count
        host = host_of(match[0])
        if host and is_allowed(host, allowed):
            return match[0]
        count += 1
        scheme, _, rest = match[0].partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        place = authority.replace(".", "[.]") + rest[len(authority) :]
        return f"{scheme.lower().replace('t', 'x')}[:]//{place}"

    def bare(match: re.Match[str]) -> str:
        nonlocal count
        if is_allowed(match[0].lower(), allowed):
            return match[0]
        count += 1
        return match[0].replace(".", "[.]")

    plain = _plain(text)
    plain, scripts = _SCRIPT.subn(r"\1\2[:]", plain)
    plain = _RELATIVE.sub(r"\1https://", plain)
    cleaned = _BARE.sub(bare, _URL.sub(harmless, plain))
    return cleaned, count + scripts


def _plain(text: str) -> str:
    """A text whose addresses are not written in entities, which Markdown reads as letters."""
    if "&" not in text:
        return text
    read = html.unescape(text)
    hidden = len(_URL.findall(read)) > len(_URL.findall(text)) or (
        _SCRIPT.search(read) and not _SCRIPT.search(text)
    )
    return read if hidden else text
