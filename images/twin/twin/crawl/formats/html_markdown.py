"""The chosen runs of a page as Markdown and as plain text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

from twin.crawl.formats.code_blocks import fenced, language_of
from twin.crawl.formats.html_runs import Edge, Event, Image, Piece, Place, Run
from twin.crawl.formats.superscripts import raised
from twin.crawl.formats.text_formulas import with_dollars

_MARKERS = {"em": "*", "strong": "**", "del": "~~"}
_ESCAPED_END = re.compile(r"(?<!\\)((?:\\\\)*)\\\]$")
_MAX_SPAN = 50
_LISTS = frozenset({"ul", "ol", "menu", "dir"})
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
_WORD = re.compile(r"\w")


def to_markdown(events: Sequence[Event], base_url: str, *, links: bool) -> str:
    """Markdown of what was chosen.

    Args:
        events: of the page, with the chosen ones marked.
        base_url: what addresses in the page are relative to.
        links: keep links and images; without, their text is kept, and no image.
    """
    writer = _Writer(base_url, links, _captions(events) if links else {})
    return writer.write(events)


def to_text(events: Iterable[Event]) -> str:
    """Plain text of what was chosen, a line for each run, the cells of a table row on one."""
    lines: list[str] = []
    row: object = None
    for event in events:
        if not isinstance(event, Run) or not event.keep:
            continue
        current = _row_of(event.place)
        if current is not None and current is row:
            lines[-1] += f"\t{event.text}"
        else:
            lines.append(event.text.strip("\n"))
        row = current
    return "\n".join(lines)


def _row_of(place: Place) -> Place | None:
    if place.table is None:
        return None
    return next((above for above in place.above() if above.tag == "tr"), None)


def _captions(events: Sequence[Event]) -> dict[Place, str]:
    """Captions by the figure they are in."""
    captions: dict[Place, str] = {}
    for event in events:
        if isinstance(event, Run) and (event.place.caption or "caption" in event.place.names):
            figure = _figure_of(event.place)
            if figure is not None and not event.place.hidden:
                captions[figure] = f"{captions.get(figure, '')} {event.text}".strip()
    return captions


def _figure_of(place: Place) -> Place | None:
    return next((above for above in place.above() if above.tag == "figure"), None)


@dataclass(slots=True)
class _Frame:
    """A container that is being written: the page, a quote, a list, an item, a table."""

    place: Place | None
    kind: str
    blocks: list[str] = field(default_factory=list)
    rows: "list[list[_Cell]]" = field(default_factory=list)
    number: int = 1


@dataclass(frozen=True, slots=True)
class _Cell:
    """A cell of a table, and how many columns and rows it takes."""

    text: str
    columns: int
    rows: int


class _Writer:
    """Turns events into blocks of Markdown, with a stack of the containers they are in."""

    def __init__(self, base_url: str, links: bool, captions: dict[Place, str]) -> None:
        self._base_url = base_url
        self._links = links
        self._captions = captions
        self._frames = [_Frame(None, "flow")]

    def write(self, events: Sequence[Event]) -> str:
        for event in events:
            if isinstance(event, Edge):
                self._edge(event)
            elif isinstance(event, Run):
                if event.keep:
                    self._run(event)
            elif event.keep and self._links:
                self._image(event)
        while len(self._frames) > 1:
            self._close()
        return "\n\n".join(self._frames[0].blocks)

    def _edge(self, edge: Edge) -> None:
        if edge.opens:
            self._open(edge.place)
        elif self._frames[-1].place is edge.place:
            self._close()

    def _open(self, place: Place) -> None:
        """Begin a container, if the element is one."""
        if place.table is not None:
            self._open_in_table(place)
        elif place.tag in _LISTS:
            start = place.element.get("start") or ""
            number = int(start) if start.isascii() and start.isdigit() else 1
            self._frames.append(_Frame(place, "ol" if place.tag == "ol" else "ul", number=number))
        elif place.tag == "li":
            if self._frames[-1].kind not in ("ul", "ol"):
                self._frames.append(_Frame(None, "ul"))
            self._frames.append(_Frame(place, "item"))
        elif place.tag == "blockquote":
            self._frames.append(_Frame(place, "quote"))

    def _open_in_table(self, place: Place) -> None:
        if place.table is place:
            self._frames.append(_Frame(place, "table"))
        elif place.tag == "tr":
            self._table().rows.append([])
        elif place.tag in ("td", "th"):
            self._frames.append(_Frame(place, "cell"))

    def _table(self) -> _Frame:
        return next(frame for frame in reversed(self._frames) if frame.kind == "table")

    def _close(self) -> None:
        """End the innermost container: what is in it becomes a block of the one around it."""
        frame = self._frames.pop()
        outer = self._frames[-1]
        if frame.kind == "cell":
            rows = self._table().rows
            if not rows:
                rows.append([])
            rows[-1].append(_cell_of(frame))
        elif frame.kind == "table":
            outer.blocks += [block for block in [_table_of(frame.rows)] if block]
        elif frame.blocks and frame.kind == "item":
            self._close_item(frame, outer)
        elif frame.blocks:
            outer.blocks.append(_quote_of(frame) if frame.kind == "quote" else _list_of(frame))

    def _close_item(self, item: _Frame, outer: _Frame) -> None:
        marker = f"{outer.number}. " if outer.kind == "ol" else "- "
        outer.number += 1
        outer.blocks.append(_indented(_item_of(item.blocks), marker))
        if outer.place is None and outer.kind == "ul":  # a list item without a list
            self._close()

    def _run(self, run: Run) -> None:
        frame = self._frames[-1]
        if run.place.pre:
            if frame.kind == "cell":
                frame.blocks.append(f"`{' '.join(run.text.split())}`")
            else:
                pre = next(above for above in run.place.above() if above.tag == "pre")
                code = run.text.strip("\n").rstrip()
                frame.blocks.append(fenced(code, language_of(pre.element)))
            return
        heading = run.place.heading and frame.kind in ("flow", "quote")
        pieces = _without_strong(run.pieces) if heading else run.pieces
        text = _Inline(self._base_url, self._links).write(pieces)
        if not text:
            return
        if heading:
            frame.blocks.append(f"{'#' * run.place.heading} {' '.join(text.split())}")
        else:
            frame.blocks.append("\n".join(_without_block_start(line) for line in text.split("\n")))

    def _image(self, image: Image) -> None:
        address = _address(self._base_url, image.source) if image.source else ""
        if address is None or self._frames[-1].kind == "cell":
            return
        figure = _figure_of(image.place)
        caption = self._captions.get(figure, "") if figure is not None else ""
        title = caption.replace("\\", "").replace('"', "'")
        alt = image.alt.replace("[", "(").replace("]", ")")
        end = f' "{title}")' if title else ")"
        self._frames[-1].blocks.append(f"![{alt}]({address}{end}")


def _quote_of(frame: _Frame) -> str:
    text = "\n\n".join(frame.blocks)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _list_of(frame: _Frame) -> str:
    loose = any("\n\n" in block for block in frame.blocks)
    return ("\n\n" if loose else "\n").join(frame.blocks)


def _item_of(blocks: list[str]) -> str:
    """Blocks of a list item: a nested list follows its line directly."""
    text = blocks[0]
    for block in blocks[1:]:
        nested = re.match(r"(?:- |\d+\. )", block) is not None
        text += ("\n" if nested else "\n\n") + block
    return text


def _indented(text: str, marker: str) -> str:
    first, *others = text.split("\n")
    space = " " * len(marker)
    return "\n".join([f"{marker}{first}", *(f"{space}{line}".rstrip() for line in others)])


def _cell_of(frame: _Frame) -> _Cell:
    text = " ".join(" ".join(frame.blocks).split()).replace("|", "\\|")
    element = frame.place.element if frame.place is not None else {}
    return _Cell(text, _span(element.get("colspan")), _span(element.get("rowspan")))


def _span(stated: str | None) -> int:
    known = (stated or "").strip()
    return min(max(int(known), 1), _MAX_SPAN) if known.isascii() and known.isdigit() else 1


def _grid(rows: list[list[_Cell]]) -> list[list[str]]:
    """Every cell in its own column; what else it spans is empty."""
    grid = []
    below: dict[int, int] = {}  # column to the rows that a cell above still takes of it
    for row in rows:
        line: list[str] = []
        spans: dict[int, int] = {}
        for cell in row:
            while below.get(len(line)):
                line.append("")
            spans |= dict.fromkeys(range(len(line), len(line) + cell.columns), cell.rows - 1)
            line += [cell.text, *[""] * (cell.columns - 1)]
        below = {column: left - 1 for column, left in below.items() if left > 1} | spans
        grid.append(line)
    return grid


def _table_of(table: list[list[_Cell]]) -> str:
    rows = [row for row in _grid(table) if any(row)]
    if not rows:
        return ""
    width = max(map(len, rows))
    lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])


def _without_block_start(line: str) -> str:
    line = line.strip()
    line = _BLOCK_START.sub(r"\\\g<mark>", line)
    return _NUMBER_START.sub(r"\g<number>\\\g<mark>", line)


def _address(base_url: str, address: str) -> str | None:
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


class _Inline:
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
                address = _address(self._base_url, value) if self._links else None
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
        return _code_span(" ".join(text.split()))
    if "math" in names:
        return text.strip()
    return _escaped(" ".join(text.split()), in_link)


def _without_strong(pieces: Sequence[Piece]) -> list[Piece]:
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


def _code_span(text: str) -> str:
    """A code span, its ticks more than any run of them inside (CommonMark 6.1)."""
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{space}{text}{space}{ticks}"


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
