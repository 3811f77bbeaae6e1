"""Lines of a PDF's page: what they say, where they stand, how large they are."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

#: Hyphens at the end of a line. The first two are how pdfium writes hyphen and line end in one.
SOFT_HYPHENS = "\x02\ufffe\u00ad"
_LINE_ENDS = "\r\n\0" + SOFT_HYPHENS[:2]
# Each end of a line is measured on so many characters.
_MEASURED = 4


@dataclass(frozen=True)
class Line:
    """A line of text.

    Attributes:
        page: number of its page, from 0.
        left, right, bottom, top: its box in points, from the lower left corner of the page.
        size: height of its characters' boxes in points, which follows the size of the font.
        page_height: of its page, in points.
    """

    text: str
    page: int
    left: float
    right: float
    bottom: float
    top: float
    size: float
    page_height: float


def lines_of(text_page: Any, page: int, height: float) -> Iterator[Line]:
    """The lines of a page (pypdfium2's text page), in the order of its text."""
    import pypdfium2.raw as pdfium

    characters: list[str] = []
    places: list[int] = []
    for place in range(text_page.count_chars()):
        character = chr(pdfium.FPDFText_GetUnicode(text_page, place))
        if character not in "\r\n\0":
            characters.append(character)
            places.append(place)
        if character in _LINE_ENDS:
            if line := _line(text_page, characters, places, page, height):
                yield line
            characters, places = [], []
    if line := _line(text_page, characters, places, page, height):
        yield line


def _line(
    text_page: Any, characters: list[str], places: list[int], page: int, height: float
) -> Line | None:
    text = _paired("".join(characters)).strip()
    visible = [
        place for character, place in zip(characters, places, strict=True) if character.strip()
    ]
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
    )


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
