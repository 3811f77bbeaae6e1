"""The figures of a document: pictures with the words that say what is on them.

A figure is a paragraph that begins with a picture: alone, or with its caption on the lines below.
The next paragraph is its caption too if all of it is emphasised, or if it begins as captions do
("Figure 3: …"). A picture within a sentence is none, nor one that nobody has described.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twin.features.markdown import Block, Section
from twin.text.words import count_words

LEAST_WORDS = 3
"""Words of description and caption together; fewer ("image", "screenshot 2") describe nothing."""

Path = tuple[str, ...]

_ALT = r"!\[(?P<alt{n}>[^\]\n]{{0,1000}})\]"
_INNER = r"[^()\n]{{0,2000}}(?:\([^()\n]{{0,200}}\)[^()\n]{{0,2000}})?"
_PLACE = rf"(?:\((?P<place{{n}}>{_INNER})\)|\[[^\]\n]{{{{0,200}}}}\])"


def _picture(name: str) -> str:
    return (_ALT + _PLACE).format(n=name)


#: A picture, perhaps in a link.
_PICTURE = re.compile(rf"\s*(?:\[{_picture('1')}\]\([^)\n]{{0,2000}}\)|{_picture('2')})[ \t]*")
_TITLE = re.compile(r"""["'](?P<title>[^"'\n]{0,1000})["']\s*$""")
_EMPHASISED = re.compile(r"([*_]{1,3})(?=\S)(?P<words>[^*_]+)(?<=\S)\1")
_LABELLED = re.compile(
    r"[*_]{0,3}(?:Figure|Figura|Fig\.?|Abb(?:ildung|\.)|\u0420\u0438\u0441(?:\u0443\u043d\u043e\u043a|\.)"
    r"|[\u56fe\u5716\u56f3]|\uadf8\ub9bc)"
    r"\s*\d",
    re.IGNORECASE,
)
#: Of a file or a camera, and no description.
_FILE_NAME = re.compile(
    r"[\w.-]*\.(?:png|jpe?g|gif|webp|svg|avif|bmp)|(?:img|dsc|image)[_-]?\d+", re.IGNORECASE
)


@dataclass(frozen=True)
class Figure:
    """Where a figure stands in the text, with its caption, and the headings over it."""

    start: int
    end: int
    path: Path


def figures_of(text: str, sections: Sequence[Section]) -> Iterator[Figure]:
    """The figures of a document, in order.

    Args:
        text: of the document, in Markdown.
        sections: of it.
    """
    for section in sections:
        for place, block in enumerate(section.blocks):
            described = _described(text, block)
            if described is None:
                continue
            end, words = block.end, described
            following = section.blocks[place + 1] if place + 1 < len(section.blocks) else None
            if following and (caption := _caption(text, following)):
                end, words = following.end, f"{words} {caption}"
            if count_words(words) >= LEAST_WORDS:
                yield Figure(block.start, end, section.path)


def _described(text: str, block: Block) -> str | None:
    """What a paragraph of pictures says of them; None if it is none."""
    if block.kind != "paragraph":
        return None
    place, words, found = block.start, list[str](), False
    while match := _PICTURE.match(text, place, block.end):
        found, place = True, match.end()
        words.append(_words_of(match))
    rest = text[place : block.end]
    if not found or (rest.strip() and not rest.startswith("\n")):
        return None
    return " ".join([*filter(None, words), rest.strip()])


def _words_of(match: "re.Match[str]") -> str:
    alt = (match["alt1"] or match["alt2"] or "").strip()
    title = _TITLE.search(match["place1"] or match["place2"] or "")
    said = "" if _FILE_NAME.fullmatch(alt) else alt
    return f"{said} {title['title']}" if title else said


def _caption(text: str, block: Block) -> str | None:
    if block.kind != "paragraph":
        return None
    words = text[block.start : block.end].strip()
    return words if _EMPHASISED.fullmatch(words) or _LABELLED.match(words) else None
