"""What an element's text is like, before it is walked: prose, links, or nothing."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_MIN_WORDS = 8
_MIN_CHARACTERS = 45
_MAX_LINK_SHARE = 0.5
_SENTENCE_END = tuple('.!?…:"”’»。！？：)')  # noqa: RUF001


def size_of(element: "HtmlElement") -> int:
    """Characters of its text, spaces aside."""
    return sum(len(word) for text in element.itertext() for word in text.split())


def link_share(element: "HtmlElement") -> float:
    """Share of its text that is links."""
    linked = sum(size_of(link) for link in element.iter("a"))
    return linked / max(1, size_of(element))


def is_prose(element: "HtmlElement") -> bool:
    """Whether an element is a paragraph of a sentence or more that is not mostly links."""
    if element.tag != "p":
        return False
    text = " ".join(element.itertext()).strip()
    long = len(text) >= 2 * _MIN_CHARACTERS or text.count(" ") + 1 >= _MIN_WORDS
    return long and text.endswith(_SENTENCE_END) and link_share(element) < _MAX_LINK_SHARE


def has_prose_beside(element: "HtmlElement", *, both: bool, reach: int = 6) -> bool:
    """Whether paragraphs of prose stand near it in what it stands in, before and after it."""
    before = _prose_near(element, reach, preceding=True)
    if not both and before:
        return True
    after = _prose_near(element, reach, preceding=False)
    return (before and after) if both else after


def _prose_near(element: "HtmlElement", reach: int, *, preceding: bool) -> bool:
    siblings = element.itersiblings(preceding=preceding)
    return any(
        isinstance(sibling.tag, str) and is_prose(sibling)
        for _, sibling in zip(range(reach), siblings, strict=False)
    )
