"""Lines of a PDF's page: what they say, where they stand, how large they are."""

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple

from twin.crawl.formats.pdf_tags import Tag

#: Hyphens at the end of a line. The first two are how pdfium writes hyphen and line end in one.
SOFT_HYPHENS = "\x02\ufffe\u00ad"
_LINE_ENDS = "\r\n\0" + SOFT_HYPHENS[:2]
# Each end of a line is measured on so many characters.
_MEASURED = 4


@dataclass(frozen=True)
class Word:
    """A word of a line, and where it begins and ends, in points."""

    text: str
    left: float
    right: float


@dataclass(frozen=True)
class Line:
    """A line of text, or the part of one that is in one element of a tagged page.

    Attributes:
        page: number of its page, from 0.
        left, right, bottom, top: its box in points, from the lower left corner of the page.
        size: height of its characters' boxes in points, which follows the size of the font.
        page_height: of its page, in points.
        words: of a page without tags.
        tag: the element that it is in; None on a page without tags.
        artifact: it stands on a tagged page outside of the document: a running head, a page number.
    """

    text: str
    page: int
    left: float
    right: float
    bottom: float
    top: float
    size: float
    page_height: float
    words: tuple[Word, ...] = ()
    tag: Tag | None = None
    artifact: bool = False


class _Character(NamedTuple):
    """A character, its place in the text page, and the tag of what draws it."""

    text: str
    place: int
    tag: Tag | None


def lines_of(
    text_page: Any, page: int, height: float, tags: Mapping[int, Tag] | None = None
) -> Iterator[Line]:
    """The lines of a page (pypdfium2's text page), in the order of its text.

    Args:
        tags: of the page's marked content; lines are cut where the element changes.
    """
    for characters in _drawn(text_page, tags or {}):
        for tag, group in groupby(characters, key=lambda character: character.tag):
            if line := _line(text_page, list(group), tag, page, height, tagged=bool(tags)):
                yield line


def _drawn(text_page: Any, tags: Mapping[int, Tag]) -> Iterator[list[_Character]]:
    """Characters line by line, without the ends of lines but with hyphens there."""
    import pypdfium2.raw as pdfium

    characters: list[_Character] = []
    tag: Tag | None = None
    for place in range(text_page.count_chars()):
        text = chr(pdfium.FPDFText_GetUnicode(text_page, place))
        if tags and (drawn_by := pdfium.FPDFText_GetTextObject(text_page, place)):
            tag = tags.get(pdfium.FPDFPageObj_GetMarkedContentID(drawn_by))
        if text not in "\r\n\0":
            characters.append(_Character(text, place, tag))
        if text in _LINE_ENDS:
            yield characters
            characters = []
    yield characters


def _line(
    text_page: Any,
    characters: list[_Character],
    tag: Tag | None,
    page: int,
    height: float,
    *,
    tagged: bool,
) -> Line | None:
    text = _paired("".join(character.text for character in characters)).strip()
    visible = [character.place for character in characters if character.text.strip()]
    if not text or not visible:
        return None
    ends = (
        visible if len(visible) <= 2 * _MEASURED else [*visible[:_MEASURED], *visible[-_MEASURED:]]
    )
    boxes = [box for place in ends if (box := _box(text_page, place))]
    if not boxes:
        return None
    return Line(
        text=text,
        page=page,
        left=min(box[0] for box in boxes),
        right=max(box[1] for box in boxes),
        bottom=min(box[2] for box in boxes),
        top=max(box[3] for box in boxes),
        size=round(median(box[3] - box[2] for box in boxes), 1),
        page_height=height,
        words=() if tagged else tuple(_words(text_page, characters)),
        tag=tag,
        artifact=tagged and tag is None,
    )


def _words(text_page: Any, characters: list[_Character]) -> Iterator[Word]:
    """The words of a line that have a place."""
    for is_word, group in groupby(characters, key=lambda one: not one.text.isspace()):
        word = list(group)
        if not is_word:
            continue
        first, last = _box(text_page, word[0].place), _box(text_page, word[-1].place)
        if first and last:
            text = _paired("".join(character.text for character in word))
            yield Word(text, first[0], last[1])


def _paired(text: str) -> str:
    """Surrogates that pdfium gives one by one, as the characters that they spell."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _box(text_page: Any, place: int) -> tuple[float, float, float, float] | None:
    """Left, right, bottom and top of a character, by its font and not by its shape."""
    import pypdfium2.raw as pdfium

    rectangle = pdfium.FS_RECTF()
    if not pdfium.FPDFText_GetLooseCharBox(text_page, place, ctypes.byref(rectangle)):
        return None
    bottom, top = sorted((rectangle.bottom, rectangle.top))
    if top <= bottom:  # pdfium's own hyphens and blanks have no box
        return None
    return rectangle.left, rectangle.right, bottom, top
