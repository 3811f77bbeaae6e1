"""The pieces of one run as Markdown: marks, links, code, and what has to be escaped."""

import re
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from twin.crawl.formats.html_runs import Piece
from twin.crawl.formats.superscripts import raised
from twin.crawl.formats.table_markdown import code_span
from twin.crawl.formats.text_formulas import with_dollars

_MARKERS = {"em": "*", "strong": "**", "del": "~~"}
_ESCAPED_END = re.compile(r"(?<!\\)((?:\\\\)*)\\\]$")
_SPECIAL = (
    r"\\(?=[!-/:-@\[-`{-~]|$)"  # a backslash before what it would escape
    r"|<(?=[A-Za-z/!?]|$)|&(?=#?\w+;|#?\w*$)"
    r"|\*+(?=\S|$)|(?<=\S)\*+|^\*+"  # a marker stands at the edge of a word, or of a mark
    r"|(?<![^\W_])_+(?=\S|$)|(?<=\S)_+(?![^\W_])|^_+|_+$"
    r"|`+|~{2,}"
)
_SPECIAL_IN_TEXT = re.compile(_SPECIAL + r"|\](?=[(\[]|$)")
_SPECIAL_IN_LINK = re.compile(_SPECIAL + r"|[\[\]]")
_MAY_BE_SPECIAL = re.compile(r"[\\<&*_`~\[\]]")
_FORMULA_IN_TEXT = re.compile(
    r"\$\$[^$]+\$\$|(?<![\\$])\$(?=\S)[^$\n]{1,400}?(?<=\S)\$(?!\d)", re.DOTALL
)
_BLOCK_START = re.compile(
    r"^(?P<mark>#{1,6}(?=\s|$)|[-+*](?=\s|$)|>|~{3,}|={3,}\s*$|-{3,}\s*$"
    r"|[_*](?=(?:[ \t]*[_*]){2,}\s*$))"
)
_NUMBER_START = re.compile(r"^(?P<number>\d{1,9})(?P<mark>[.)])(?=\s|$)")


def without_block_start(line: str) -> str:
    """A line that no Markdown parser takes for the start of a heading, a list or a rule."""
    line = line.strip()
    line = _BLOCK_START.sub(r"\\\g<mark>", line)
    return _NUMBER_START.sub(r"\g<number>\\\g<mark>", line)


def address_of(base_url: str, address: str) -> str | None:
    """An absolute address of the web as Markdown can hold it; None for all others."""
    address = address.strip()
    if not address or address.startswith("#"):
        return None
    try:
        full = urljoin(base_url, address)
        if urlsplit(full).scheme not in ("http", "https", "mailto"):
            return None
    except ValueError:
        return None
    full = "".join(full.split())
    return re.sub(r"[()<>\\]", lambda match: f"%{ord(match[0]):02X}", full)


class Inline:
    """Writes the pieces of one run."""

    def __init__(self, base_url: str, links: bool) -> None:
        self._base_url = base_url
        self._links = links
        self._out: list[str] = []
        self._open: list[tuple[tuple[str, str], int]] = []
        self._closed: list[tuple[int, int]] = []

    def write(self, pieces: Sequence[Piece]) -> str:
        for text, marks in _joined(pieces):
            names = {name for name, _ in marks}
            if "br" in names:
                self._to([])
                self._add("\n")
                continue
            wanted = self._marks_of(marks)
            if not text.strip():
                kept = _common([mark for mark, _ in self._open], wanted)
                self._to(wanted[:kept])
                self._add(" ")
                continue
            if text[0].isspace() and not self._ends_with_space():
                self._to(wanted[: _common([mark for mark, _ in self._open], wanted)])
                self._add(" ")
            self._to(wanted)
            written = _words_of(text, names, in_link=any(mark[0] == "a" for mark in wanted))
            self._undo_bad_end(written)
            self._add(written)
            if text[-1].isspace():
                self._add(" ")
        self._to([])
        lines = "".join(self._out).split("\n")
        return "\n".join(_without_last_escape(line) for line in lines if line.strip())

    def _marks_of(self, marks: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
        wanted: list[tuple[str, str]] = []
        for name, value in marks:
            if name == "a":
                address = address_of(self._base_url, value) if self._links else None
                if address and not any(other == "a" for other, _ in wanted):
                    wanted.append(("a", address))
            elif name in _MARKERS and (name, "") not in wanted:
                wanted.append((name, ""))
        return wanted

    def _add(self, text: str) -> None:
        self._out.append(text)

    def _ends_with_space(self) -> bool:
        last = next((part for part in reversed(self._out) if part), " ")
        return last[-1].isspace()

    def _to(self, wanted: list[tuple[str, str]]) -> None:
        """Close and open marks until exactly the wanted ones are open."""
        kept = _common([mark for mark, _ in self._open], wanted)
        self._closed = []
        while len(self._open) > kept:
            mark, start = self._open.pop()
            spaces = []
            while self._out and self._out[-1].isspace():
                spaces.append(self._out.pop())
            if len(self._out) == start + 1:  # nothing was written in it
                self._out.pop()
            else:
                self._out.append(_end(mark))
                if mark[0] in _MARKERS:
                    self._closed.append((start, len(self._out) - 1))
            if spaces:
                self._closed = []
            self._out.extend(spaces)
        for mark in wanted[kept:]:
            if mark[0] == "a" and self._out and self._out[-1].endswith("!"):  # no image
                self._out[-1] = f"{self._out[-1][:-1]}\\!"
            self._open.append((mark, len(self._out)))
            self._out.append(_start(mark))

    def _undo_bad_end(self, text: str) -> None:
        """Markers that CommonMark would not take for such: a word follows punctuation and ``*``."""
        for start, end in self._closed:
            before = "".join(self._out[start + 1 : end])[-1:]
            if text[:1].isalnum() and before and not before.isalnum():
                self._out[start] = self._out[end] = ""
        self._closed = []


def _words_of(text: str, names: set[str], *, in_link: bool) -> str:
    """A piece as Markdown, without the marks around it."""
    if "sup" in names and (number := raised(text)) is not None:
        return number
    if "code" in names:
        return code_span(" ".join(text.split()))
    if "math" in names:
        return text.strip()
    return _escaped(" ".join(text.split()), in_link)


def without_strong(pieces: Sequence[Piece]) -> list[Piece]:
    """The words of a heading, which is bold anyway."""
    return [(text, tuple(mark for mark in marks if mark[0] != "strong")) for text, marks in pieces]


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces with the same marks as one; nothing is marked inside of code."""
    joined: list[Piece] = []
    for text, all_marks in pieces:
        code = next((n for n, mark in enumerate(all_marks) if mark[0] == "code"), len(all_marks))
        atoms = tuple(mark for mark in all_marks[code + 1 :] if mark[0] in ("br", "math"))
        marks = (*all_marks[: code + 1], *atoms)
        if joined and joined[-1][1] == marks and not any(m[0] in ("br", "math") for m in marks):
            joined[-1] = (joined[-1][0] + text, marks)
        else:
            joined.append((text, marks))
    return joined


def _common(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> int:
    number = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        number += 1
    return number


def _start(mark: tuple[str, str]) -> str:
    name, _ = mark
    return "[" if name == "a" else _MARKERS[name]


def _end(mark: tuple[str, str]) -> str:
    name, value = mark
    return f"]({value})" if name == "a" else _MARKERS[name]


def _without_last_escape(line: str) -> str:
    """A line in single spaces; at its end, nothing can follow that makes a link of brackets."""
    text = " ".join(line.split())
    # Seen at once; to search for it takes as long as all else that a line needs.
    return _ESCAPED_END.sub(r"\1]", text) if text.endswith("\\]") else text


def _escaped(text: str, in_link: bool) -> str:
    """What Markdown would take for a mark, escaped; formulas are left alone."""
    if _MAY_BE_SPECIAL.search(text) is None:  # true of nearly all text, and quickly seen
        return text
    special = _SPECIAL_IN_LINK if in_link else _SPECIAL_IN_TEXT
    text = with_dollars(text) if "\\" in text else text
    if "$" not in text:
        return special.sub(_escape, text)
    parts = []
    position = 0
    for formula in _FORMULA_IN_TEXT.finditer(text):
        parts += [special.sub(_escape, text[position : formula.start()]), formula[0]]
        position = formula.end()
    return "".join([*parts, special.sub(_escape, text[position:])])


def _escape(match: re.Match[str]) -> str:
    return "".join(f"\\{character}" for character in match[0])
