"""What the addresses in a page are relative to, and where its images really are."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_LAZY = (
    "data-src", "data-lazy-src", "data-original", "data-lazy", "data-actualsrc",
    "data-original-src", "data-hi-res-src", "data-full-src", "data-image", "data-url",
)  # fmt: skip
_SETS = ("data-srcset", "data-lazy-srcset", "srcset")
_CANDIDATE = re.compile(
    r"\s*(?P<address>\S*[^\s,])(?:\s+(?P<size>\d+(?:\.\d+)?)(?P<unit>[wx]))?\s*(?:,\s+|,?$|,(?=\S+\s+\d))"
)
_PLACEHOLDER = re.compile(
    r"^data:|^about:|(?:^|[/_.-])(?:placeholder|blank|spacer|transparent|lazy-?load\w*|loading|1x1|pixel)"
    r"(?:[/_.-]|$)",
    re.IGNORECASE,
)
_MAX_CANDIDATES = 50


def base_of(tree: "HtmlElement", url: str) -> str:
    """What addresses in a page are relative to: its first ``base``, else its own address."""
    for stated in tree.xpath("//base/@href"):
        try:
            return str(urljoin(url, stated.strip()))
        except ValueError:
            return url
    return url


def resolve_inner_bases(tree: "HtmlElement", base: str) -> None:
    """Write out the addresses under elements that have a base of their own (``xml:base``)."""
    inner: dict[HtmlElement, str] = {}
    if not tree.xpath("boolean(//@*[name()='xml:base'])"):
        return
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue
        parent = element.getparent()
        own = inner.get(parent, "") if parent is not None else ""
        stated = element.get("xml:base") or element.get(
            "{http://www.w3.org/XML/1998/namespace}base"
        )
        if stated:
            own = _joined(own or base, stated)
        if not own:
            continue
        inner[element] = own
        for attribute in ("href", "src"):
            address = element.get(attribute)
            if address and not address.startswith("#"):
                element.set(attribute, _joined(own, address))


def _joined(base: str, address: str) -> str:
    try:
        return str(urljoin(base, address.strip()))
    except ValueError:
        return address


def settle_images(tree: "HtmlElement") -> None:
    """Give each image the address that a script or a browser would take for it."""
    for fallback in tree.xpath("//noscript[.//img]"):
        _settle_fallback(fallback)
    for image in tree.xpath("//img"):
        source = _source_of(image)
        if source:
            image.set("src", source)
            for attribute in (*_LAZY, *_SETS):
                image.attrib.pop(attribute, None)


def _settle_fallback(fallback: "HtmlElement") -> None:
    """The image for browsers without scripts, in the place of the one that waits for a script."""
    image = fallback.find(".//img")
    before = fallback.getprevious()
    if not image.get("src") or image.get("width") in ("0", "1"):
        return
    waits = before is not None and (before.tag == "img" or before.find(".//img") is not None)
    if waits:
        waiting = before if before.tag == "img" else before.find(".//img")
        if _source_of(waiting):
            return
        for attribute, value in image.attrib.items():
            waiting.set(attribute, value)
    elif (
        not (before is not None and (before.tail or "").strip())
        and not "".join(fallback.itertext()).strip()
    ):
        image.tail = fallback.tail
        parent = fallback.getparent()
        if parent is not None and parent.tag in ("figure", "p", "div", "a", "picture", "span"):
            parent.replace(fallback, image)


def _source_of(image: "HtmlElement") -> str:
    """The address of an image, or that of the largest form of it; empty if it has none."""
    for attribute in _LAZY:
        if (value := (image.get(attribute) or "").strip()) and not _PLACEHOLDER.search(value):
            return value
    for attribute in _SETS[:2]:
        if value := _largest(image.get(attribute) or ""):
            return value
    source = (image.get("src") or "").strip()
    if source and not _PLACEHOLDER.search(source):
        return source
    if value := _largest(image.get("srcset") or ""):
        return value
    picture = next(image.iterancestors("picture"), None)  # parsers nest images into sources
    if picture is not None:
        for form in picture.iter("source"):
            stated = form.get("data-srcset") or form.get("srcset") or form.get("src") or ""
            if value := _largest(stated):
                return value
    return "" if source.startswith("data:") else source


def _largest(candidates: str) -> str:
    """The largest of the images in a ``srcset``."""
    best, size = "", -1.0
    for number, match in enumerate(_CANDIDATE.finditer(candidates.strip())):
        if number == _MAX_CANDIDATES:
            break
        # Forms for dense screens show no more than the first.
        own = float(match["size"]) if match["unit"] == "w" else 0.0
        if own > size and not _PLACEHOLDER.search(match["address"]):
            best, size = match["address"], own
    return best
