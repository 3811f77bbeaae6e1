"""The text of a listing as its reader sees it, whatever elements its lines are made of."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_LINE_TAGS = frozenset(
    {
        "div",
        "p",
        "li",
        "ol",
        "ul",
        "tr",
        "table",
        "tbody",
        "thead",
        "pre",
        "section",
        "figure",
        "dd",
    }
    | {"dt", "dl"}
)
_LINE_CLASS = re.compile(
    r"(?:^|\s)(?:\w+[-_])?(?:line|cl|code-?line|token-line|view-line)(?:\s|$)", re.IGNORECASE
)
_BLOCK_STYLE = re.compile(r"display\s*:\s*(?:block|flex|grid)", re.IGNORECASE)
# Line numbers, by any of the names that highlighters give them.
_NUMBERS = re.compile(
    r"(?:^|[\s_-])(?:gutter|linenos?|line-?no|ln|lnt|line-?num(?:ber)?s?|line-numbers-rows"
    r"|blob-num|ln-n\w*|ln-numbers?|crayon-nums?\w*|rouge-gutter|lineno\w*|nums)(?:\s|$)",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?:^|[\s_-])(?:popup|tooltip|popover|hover-?card|popup-container|copy|copy-?button"
    r"|clipboard|toolbar|sr-only)(?:[\s_-]|$)",
    re.IGNORECASE,
)
_SKIPPED = frozenset({"button", "script", "style", "svg", "textarea", "template", "select"})
_UNSELECTABLE = re.compile(r"user-select\s*:\s*none", re.IGNORECASE)
_DIGITS = re.compile(r"\s*\d{1,6}[.:|]?\s*")


def code_of(block: "HtmlElement") -> str:
    """The code of a listing: a line for each of its lines, indented as it was.

    Line numbers, popups and buttons are no code. Lines are what line breaks, block elements, items
    of lists, rows of tables, or spans called lines end.
    """
    numbers = _numbers_at_line_starts(block)
    writer = _Lines()
    # (element, whether its end is due)
    stack: list[tuple[HtmlElement, bool]] = [(block, False)]
    while stack:
        element, ends = stack.pop()
        if ends:
            writer.end(element)
        elif isinstance(element.tag, str) and (
            element is block or not (element in numbers or is_no_code(element))
        ):
            writer.begin(element, is_line=element is not block and _is_line(element))
            stack.append((element, True))
            stack.extend((child, False) for child in element.iterchildren(reversed=True))
            continue
        if element is not block:
            writer.text(element.tail)
    return writer.code()


class _Lines:
    """Collects the text of a listing."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._at_start = True
        self._due = False  # a line has ended, unless the text itself says so
        self._open: list[tuple[HtmlElement, int]] = []

    def text(self, text: str | None) -> None:
        if not text:
            return
        if self._due and not text.lstrip(" \t\r").startswith("\n"):
            if not text.strip():
                return
            self._parts.append("\n")
        self._due = False
        self._parts.append(text)
        self._at_start = text.endswith("\n")

    def begin(self, element: "HtmlElement", *, is_line: bool) -> None:
        if element.tag == "br":
            self.text("\n")
        if is_line:
            if self._due or (element.tag in _LINE_TAGS and not self._at_start):
                self._due, self._at_start = False, True
                self._parts.append("\n")
            self._open.append((element, len(self._parts)))
        self.text(element.text)

    def end(self, element: "HtmlElement") -> None:
        if not self._open or self._open[-1][0] is not element:
            return
        _, start = self._open.pop()
        if len(self._parts) == start:  # an empty line
            self.text("\n")
        elif not self._at_start:
            self._due = True

    def code(self) -> str:
        text = "".join(self._parts).replace("\r\n", "\n").replace("\u00a0", " ")
        return text.replace("\u200b", "")


def _is_line(element: "HtmlElement") -> bool:
    if element.tag in _LINE_TAGS:
        return True
    if element.tag not in ("span", "code"):
        return False
    return (
        _LINE_CLASS.search(element.get("class") or "") is not None
        or element.get("data-line") is not None
        or _BLOCK_STYLE.search(element.get("style") or "") is not None
    )


def is_no_code(element: "HtmlElement") -> bool:
    """Whether an element of a listing is a popup, a button, or numbers of lines."""
    if element.tag in _SKIPPED or element.get("role") == "tooltip":
        return True
    called = element.get("class") or ""
    if _ASIDE.search(called):
        return True
    if not (
        _NUMBERS.search(called)
        or _UNSELECTABLE.search(element.get("style") or "")
        or element.get("aria-hidden") == "true"
        or element.get("data-line-number") is not None
    ):
        return False
    return only_numbers(element)


def only_numbers(element: "HtmlElement") -> bool:
    """Whether all text of an element is numbers, or nothing."""
    return all(_DIGITS.fullmatch(word) for text in element.itertext() for word in text.split())


def _numbers_at_line_starts(block: "HtmlElement") -> "set[HtmlElement]":
    """Elements that count the lines, whatever they are called: 1, 2, 3 … at their beginnings."""
    numbers: list[HtmlElement] = []
    at_start = True
    for event, element in _walk(block):
        text = element.text if event == "start" else element.tail
        if event == "start":
            if element.tag == "br" or (element.tag in _LINE_TAGS or _is_line(element)):
                at_start = True
            if (
                at_start
                and element.tag in ("span", "a", "b", "i", "em", "td")
                and (_DIGITS.fullmatch("".join(element.itertext()) if len(element) < 3 else ""))
            ):
                numbers.append(element)
        if text and text.strip():
            at_start = text.endswith("\n")
        elif text and "\n" in text:
            at_start = True
    values = [int(re.sub(r"\D", "", "".join(element.itertext()))) for element in numbers]
    counted = len(values) > 1 and all(b == a + 1 for a, b in zip(values, values[1:], strict=False))
    return set(numbers) if counted and values[0] in (0, 1) else set()


def _walk(block: "HtmlElement") -> "list[tuple[str, HtmlElement]]":
    """Elements in the order of their text, each at its start and at its end."""
    events: list[tuple[str, HtmlElement]] = []
    stack: list[tuple[HtmlElement, bool]] = [(block, False)]
    while stack:
        element, ends = stack.pop()
        if ends:
            if element is not block:
                events.append(("end", element))
            continue
        if not isinstance(element.tag, str):
            continue
        events.append(("start", element))
        stack.append((element, True))
        stack.extend((child, False) for child in element.iterchildren(reversed=True))
    return events
