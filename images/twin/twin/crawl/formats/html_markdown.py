"""The chosen runs of a page as Markdown and as plain text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from twin.crawl.formats.code_blocks import fenced, language_of
from twin.crawl.formats.html_runs import Edge, Event, Image, Place, Run
from twin.crawl.formats.inline_markdown import (
    Inline,
    address_of,
    without_block_start,
    without_strong,
)
from twin.crawl.formats.table_markdown import Cell, cell_of, code_in_cell, table_of

_LISTS = frozenset({"ul", "ol", "menu", "dir"})
_FRAMES = {"blockquote": "quote", "dl": "terms", "dt": "term", "dd": "definition"}
_MAX_NUMBER = 999_999_999  # CommonMark 5.2


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
    rows: "list[list[Cell]]" = field(default_factory=list)
    number: int = 1
    step: int = 1


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
            self._frames.append(_list_frame(place))
        elif place.tag == "li":
            if self._frames[-1].kind not in ("ul", "ol"):
                self._frames.append(_Frame(None, "ul"))
            self._frames.append(_Frame(place, "item"))
        elif place.tag in _FRAMES:
            self._frames.append(_Frame(place, _FRAMES[place.tag]))

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
            attributes = frame.place.element.attrib if frame.place is not None else {}
            rows[-1].append(cell_of(frame.blocks, attributes))
        elif frame.kind == "table":
            outer.blocks += [block for block in [table_of(frame.rows)] if block]
        elif frame.blocks and frame.kind == "item":
            self._close_item(frame, outer)
        elif frame.blocks:
            outer.blocks.append(_WRITERS[frame.kind](frame))

    def _close_item(self, item: _Frame, outer: _Frame) -> None:
        if item.place is not None and (stated := _number(item.place.element.get("value"))):
            outer.number = stated
        marker = f"{outer.number}. " if outer.kind == "ol" else "- "
        outer.number += outer.step
        outer.blocks.append(_indented(_item_of(item.blocks), marker))
        if outer.place is None and outer.kind == "ul":  # a list item without a list
            self._close()

    def _run(self, run: Run) -> None:
        frame = self._frames[-1]
        if run.place.pre:
            if frame.kind == "cell":
                frame.blocks.append(code_in_cell(run.text))
            else:
                pre = next(above for above in run.place.above() if above.tag == "pre")
                code = run.text.strip("\n").rstrip()
                frame.blocks.append(fenced(code, language_of(pre.element)))
            return
        heading = run.place.heading and frame.kind in ("flow", "quote")
        pieces = without_strong(run.pieces) if heading else run.pieces
        text = Inline(self._base_url, self._links).write(pieces)
        if not text:
            return
        if heading:
            frame.blocks.append(f"{'#' * run.place.heading} {' '.join(text.split())}")
        else:
            frame.blocks.append("\n".join(without_block_start(line) for line in text.split("\n")))

    def _image(self, image: Image) -> None:
        address = address_of(self._base_url, image.source) if image.source else ""
        if address is None or self._frames[-1].kind == "cell":
            return
        figure = _figure_of(image.place)
        caption = self._captions.get(figure, "") if figure is not None else ""
        title = caption.replace("\\", "").replace('"', "'")
        alt = image.alt.replace("[", "(").replace("]", ")")
        end = f' "{title}")' if title else ")"
        self._frames[-1].blocks.append(f"![{alt}]({address}{end}")


def _list_frame(place: Place) -> _Frame:
    """A list, which may begin with any number and count down."""
    element = place.element
    if place.tag != "ol":
        return _Frame(place, "ul")
    down = element.get("reversed") is not None
    first = _number(element.get("start"))
    if first is None:
        first = len(element.findall("li")) if down else 1
    return _Frame(place, "ol", number=first, step=-1 if down else 1)


def _number(stated: str | None) -> int | None:
    text = (stated or "").strip()
    return min(int(text), _MAX_NUMBER) if text.isascii() and text.isdigit() else None


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


def _term_of(frame: _Frame) -> str:
    return " ".join(" ".join(frame.blocks).split())


def _definition_of(frame: _Frame) -> str:
    return _indented("\n\n".join(frame.blocks), ": ")


def _terms_of(frame: _Frame) -> str:
    """Terms and definitions, as Markdown Extra has them: a definition right under its term."""
    text = ""
    for block in frame.blocks:
        if text:
            text += "\n" if block.startswith(": ") else "\n\n"
        text += block
    return text


_WRITERS = {
    "quote": _quote_of,
    "ul": _list_of,
    "ol": _list_of,
    "terms": _terms_of,
    "term": _term_of,
    "definition": _definition_of,
}
