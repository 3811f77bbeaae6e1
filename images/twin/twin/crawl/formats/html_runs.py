"""A page as a list of runs: the pieces of text between two block boundaries.

A run is what extraction decides on: a paragraph, a list item's own text, a cell, a heading, or a
line between two ``<br><br>``. Runs are found in one walk, so that choosing them (`main_text`) and
writing them as Markdown (`html_markdown`) agree on what they are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from twin.crawl.formats.verbatim import VERBATIM

if TYPE_CHECKING:
    from lxml.html import HtmlElement


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SKIPPED = _words("""
    script style noscript template svg iframe button input select textarea option object
    embed head title meta link canvas audio video map dialog
""")
_INLINE = _words("""
    a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label mark q rp rt
    ruby s samp small span strike strong sub sup time tt u var wbr nobr
""")
_BLOCKS = _words("""
    address article aside blockquote body caption center dd details dir div dl dt fieldset
    figcaption figure footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li
    main menu nav ol p pre search section summary table tbody td tfoot th thead tr ul
""")
_MARKS = {
    "em": "em", "i": "em", "cite": "em", "var": "em", "dfn": "em",
    "strong": "strong", "b": "strong",
    "code": "code", "tt": "code", "kbd": "code", "samp": "code",
    "del": "del", "s": "del", "strike": "del",
    "sup": "sup",
}  # fmt: skip
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_WORD_OF_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HIDDEN_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
# Said aloud only, such as "opens in a new tab": no reader sees it.
_FOR_SCREEN_READERS = re.compile(
    r"(?:^|[\s_-])(?:sr-only|visually-?hidden|screen-reader-(?:text|only)|assistive-text)(?:\s|$)"
)
_INLINE_FURNITURE = frozenset(
    {"caption", "credit", "credits", "byline", "share", "sharing", "editsection"}
)
_MAX_WORDS_OF_CELL = 60
_MAX_LETTERS_OF_WORD = 15


@dataclass(slots=True, eq=False)
class Place:
    """A block element and what lies around it.

    Attributes:
        names: the words in its class and id, lower case.
        weight: characters of chosen text below it, counted by `main_text`.
    """

    element: "HtmlElement"
    tag: str
    parent: "Place | None"
    names: frozenset[str]
    hidden: bool
    heading: int
    in_list: bool
    table: "Place | None"
    caption: bool
    pre: bool
    depth: int
    weight: int = 0

    def above(self) -> Iterator["Place"]:
        """This place and all around it, from the inside."""
        place: Place | None = self
        while place is not None:
            yield place
            place = place.parent


_Marks = tuple[tuple[str, str], ...]
Piece = tuple[str, _Marks]


@dataclass(slots=True, eq=False)
class Run:
    """Text between two block boundaries.

    Attributes:
        pieces: text and what it is marked as: em, strong, code, a link's address, …
        text: plain, in single spaces; code blocks as they stand.
        squeezed: without any space, for comparing.
        linked: characters of ``squeezed`` that are in links.
        own: it stands among paragraphs of prose as they do (`own_words`), however it begins.
    """

    place: Place
    pieces: list[Piece]
    text: str
    squeezed: str
    linked: int
    words: int
    keep: bool = False
    own: bool = False

    @property
    def link_share(self) -> float:
        """Share of the text that is links."""
        return self.linked / max(1, len(self.squeezed))


@dataclass(slots=True, eq=False)
class Image:
    """An image where it stands in the page; without a source, it is within the page itself."""

    place: Place
    source: str
    alt: str
    keep: bool = False


@dataclass(slots=True)
class Edge:
    """Begin or end of a block element."""

    place: Place
    opens: bool


Event = Run | Image | Edge


@lru_cache(maxsize=20_000)
def _names(value: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD_OF_NAME.findall(value))


@dataclass(slots=True)
class _Walk:
    """State of a walk through a page."""

    events: list[Event] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    breaks: int = 0

    def text(self, text: str | None, place: Place, marks: _Marks) -> None:
        if not text:
            return
        if self.breaks and not text.isspace():
            if self.breaks > 1 and not place.pre:
                self.flush(place)
            self.breaks = 0
        self.pieces.append((text, marks))

    def line_break(self, place: Place, marks: _Marks) -> None:
        self.pieces.append(("\n", marks if place.pre else (*marks, ("br", ""))))
        self.breaks += 1

    def flush(self, place: Place) -> None:
        """End the run that is being read, in ``place``."""
        pieces, self.pieces, self.breaks = self.pieces, [], 0
        if not pieces:
            return
        raw = pieces[0][0] if len(pieces) == 1 else "".join([text for text, _ in pieces])
        words = raw.split()
        if not words:
            return
        squeezed = "".join(words)
        linked = 0
        for text, marks in pieces:
            if marks and any(name == "a" for name, _ in marks):
                linked += len("".join(text.split()))
        text = raw if place.pre else " ".join(words)
        self.events.append(Run(place, pieces, text, squeezed, linked, _word_count(text, squeezed)))


def events_of(root: "HtmlElement") -> list[Event]:
    """The runs, images and block boundaries of a page, in the order of the page.

    Nesting is walked with a stack of its own: pages nest deeper than Python recurses.
    """
    walk = _Walk()
    top = Place(root, "html", None, frozenset(), False, 0, False, None, False, False, 0)
    # (element, place, marks, whether its end is due)
    stack: list[tuple[HtmlElement, Place, _Marks, bool]] = [(root, top, (), False)]
    while stack:
        element, outer, marks, ends = stack.pop()
        if ends:
            place = outer
            if place.element is element:
                walk.flush(place)
                walk.events.append(Edge(place, opens=False))
                outer = place.parent or top
            walk.text(element.tail, outer, _without(marks, element))
            continue
        entered = _enter(walk, element, outer, marks)
        if entered is None:
            walk.text(element.tail, outer, marks)
            continue
        place, inner = entered
        walk.text(element.text, place, inner)
        stack.append((element, place, inner if place is outer else marks, True))
        stack.extend((child, place, inner, False) for child in element.iterchildren(reversed=True))
    walk.flush(top)
    return walk.events


def _word_count(text: str, squeezed: str) -> int:
    """Words of a text; where words are not set apart (Chinese, Thai), two characters make one."""
    words = text.count(" ") + 1
    return words if len(squeezed) < _MAX_LETTERS_OF_WORD * words else len(squeezed) // 2


def _without(marks: _Marks, element: "HtmlElement") -> _Marks:
    """The marks outside of an inline element; blocks were pushed with the outer ones already."""
    tag = element.tag
    if tag in _BLOCKS:
        return marks
    added = _mark(element)
    return marks[:-1] if added is not None and marks and marks[-1] == added else marks


def _mark(element: "HtmlElement") -> tuple[str, str] | None:
    tag = element.tag
    if tag == "a":
        return ("a", element.get("href") or "")
    if tag in _MARKS:
        return (_MARKS[tag], "")
    return None


def _enter(
    walk: _Walk, element: "HtmlElement", outer: Place, marks: _Marks
) -> tuple[Place, _Marks] | None:
    """Where the content of an element is, and its marks; None if it is not to be entered."""
    tag = element.tag
    if not isinstance(tag, str):  # a comment
        return None
    # The id of a heading is made of its words, and says nothing of its place.
    identity = "" if tag in _HEADINGS else element.get("id") or ""
    name = f"{element.get('class') or ''} {identity}"
    if _takes_whole(walk, element, outer, marks):
        return None
    hidden = _is_hidden(element)
    names = _names(name) if name != " " else frozenset()
    block = tag in _BLOCKS or hidden or (tag == "span" and bool(names & _INLINE_FURNITURE))
    if not block:
        added = _mark(element)
        return outer, (*marks, added) if added else marks
    if hidden and tag in _INLINE:
        return None
    walk.flush(outer)
    place = _place(element, outer, names, hidden)
    walk.events.append(Edge(place, opens=True))
    return place, marks


def _takes_whole(walk: _Walk, element: "HtmlElement", place: Place, marks: _Marks) -> bool:
    """Whether an element is done with here: a formula, an image, a break, or nothing to read."""
    tag = element.tag
    if tag == "span" and element.get(VERBATIM) is not None:
        walk.text(element.text, place, (*marks, ("math", "")))
        return True
    if tag == "br":
        walk.line_break(place, marks)
    elif tag == "img":
        _image(walk, element, place)
    elif tag == "hr":
        walk.flush(place)
    else:
        return tag in _SKIPPED
    return True


def _is_hidden(element: "HtmlElement") -> bool:
    style = element.get("style")
    called = element.get("class")
    return (
        element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or (style is not None and _HIDDEN_STYLE.search(style) is not None)
        or (called is not None and _FOR_SCREEN_READERS.search(called) is not None)
    )


def _place(element: "HtmlElement", outer: Place, names: frozenset[str], hidden: bool) -> Place:
    tag = element.tag
    place = Place(
        element=element,
        tag=tag,
        parent=outer,
        names=names,
        hidden=outer.hidden or hidden,
        heading=_HEADINGS.get(tag, outer.heading),
        in_list=outer.in_list or tag in ("li", "dt", "dd"),
        table=outer.table,
        caption=outer.caption or tag in ("figcaption", "caption"),
        pre=outer.pre or tag == "pre",
        depth=outer.depth + 1,
    )
    if tag == "table" and outer.table is None and is_data_table(element):
        place.table = place
    return place


def _image(walk: _Walk, element: "HtmlElement", place: Place) -> None:
    source = (element.get("src") or "").strip()
    if source.startswith("data:"):
        source = ""
    alt = " ".join((element.get("alt") or "").split())
    if (source or alt) and element.get("width") not in ("0", "1"):
        walk.events.append(Image(place, source, alt))


def is_data_table(table: "HtmlElement") -> bool:
    """Whether a table holds data, and not the layout of a page."""
    if table.get("role") == "presentation" or table.xpath("(.//table|.//article|.//h1|.//h2)[1]"):
        return False
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    if len(rows) < 2 or max(map(len, rows)) < 2:
        return False
    if table.xpath("(.//th|./thead|./caption)[1]"):
        return True
    words = [len(cell.text_content().split()) for row in rows for cell in row]
    return max(words) <= _MAX_WORDS_OF_CELL
