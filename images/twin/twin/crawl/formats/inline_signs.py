"""Signs that browsers draw and HTML does not spell out: quotation marks, readings of characters,
raised and lowered text, emoji that are images, states of tasks."""

# ruff: noqa: RUF001 - the signs themselves

import re
import unicodedata
from typing import TYPE_CHECKING

from twin.crawl.formats.superscripts import subscript, superscript
from twin.crawl.formats.verbatim import verbatim

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_QUOTES = {
    "de": "„“‚‘", "cs": "„“‚‘", "sk": "„“‚‘", "sl": "„“‚‘", "bg": "„“‚‘", "is": "„“‚‘",
    "pl": "„”«»", "ro": "„”«»", "hu": "„”»«", "hr": "„”‚’", "sr": "„”‚’", "lt": "„“‚‘",
    "fr": "«»“”", "it": "«»“”", "es": "«»“”", "pt": "«»“”", "ca": "«»“”", "el": "«»“”",
    "ru": "«»„“", "uk": "«»„“", "be": "«»„“", "nb": "«»‘’", "no": "«»‘’", "nn": "«»‘’",
    "da": "»«›‹", "sv": "””’’", "fi": "””’’", "ja": "「」『』", "zh": "“”‘’", "tr": "“”‘’",
}  # fmt: skip
_ENGLISH = "“”‘’"
_EMOJI_NAME = re.compile(
    r"(?:^|[\s_-])(?:emoji|emojione|twemoji|smiley|emoticon)(?:[\s_-]|$)", re.I
)
_SHORT_NAME = re.compile(r":?[\w+-]+:?")
_MAX_EMOJI = 12
_RAISED_AND_LOWERED = {"sup": superscript, "sub": subscript}
_INLINE_AROUND = frozenset({"em", "i", "strong", "b", "span", "a", "code", "var", "font", "small"})


def write_signs(tree: "HtmlElement") -> None:
    """Spell out what a page leaves to the browser."""
    _write_emoji(tree)
    _write_readings(tree)
    _write_scripts(tree)
    _write_quotes(tree)
    _write_tasks(tree)


def _write_emoji(tree: "HtmlElement") -> None:
    for image in tree.xpath("//img[@alt]"):
        alt = image.get("alt").strip()
        named = _EMOJI_NAME.search(image.get("class") or "")
        if _is_emoji(alt) or (named and len(alt) <= _MAX_EMOJI and _SHORT_NAME.fullmatch(alt)):
            _say_instead(image, alt)


def _is_emoji(text: str) -> bool:
    """Whether a text is one or a few emoji."""
    if not text or len(text) > _MAX_EMOJI or text.isascii():
        return False
    # So: symbols such as ⚓; Sk: skin tones; Mn, Cf: selectors and joiners; digits of keycaps.
    return all(unicodedata.category(c) in ("So", "Sk", "Mn", "Cf", "Me") for c in text)


def _say_instead(element: "HtmlElement", text: str) -> None:
    """Text in the place of an element."""
    element.tail = text + (element.tail or "")
    for child in list(element):
        element.remove(child)
    element.text = None
    element.drop_tree()


def _write_readings(tree: "HtmlElement") -> None:
    """Ruby: the reading in brackets behind what it is of."""
    for ruby in tree.xpath("//ruby"):
        if ruby.xpath("boolean(.//rp)"):
            for bracket in ruby.xpath(".//rp"):
                bracket.drop_tag()
        else:
            for reading in ruby.xpath(".//rt"):
                if text := reading.text_content().strip():
                    reading.text = f"({text})"
                    for child in list(reading):
                        child.drop_tree()
                    reading.text = f"({text})"


def _write_scripts(tree: "HtmlElement") -> None:
    for element in tree.xpath("//sup | //sub"):
        if element.getparent() is None or element.xpath("boolean(.//a | ancestor::pre | .//img)"):
            continue
        text = element.text_content()
        if not text.strip():
            continue
        written = _RAISED_AND_LOWERED[element.tag](text, _text_before(element))
        if written.startswith("_{"):  # which Markdown would take for a mark
            mark = verbatim(element, written)
            mark.tail = element.tail
            element.getparent().replace(element, mark)
        else:
            _say_instead(element, written)


def _text_before(element: "HtmlElement") -> str:
    """The text that an element follows directly, in its line; empty if none does."""
    while True:
        previous = element.getprevious()
        parent = element.getparent()
        text = (
            previous.tail if previous is not None else (parent.text if parent is not None else "")
        )
        if text:
            return str(text)
        if previous is not None:
            return previous.text_content() if isinstance(previous.tag, str) else ""
        if parent is None or parent.tag not in _INLINE_AROUND:
            return ""
        element = parent


def _write_quotes(tree: "HtmlElement") -> None:
    root = tree.getroottree().getroot()
    code = (root.get("lang") or "").split("-")[0].lower()
    marks = _QUOTES.get(code, _ENGLISH)
    depths: dict[HtmlElement, int] = {}
    for quote in tree.xpath("//q"):
        above = next((a for a in quote.iterancestors("q")), None)
        depth = depths[quote] = depths.get(above, -1) + 1 if above is not None else 0
        opens, closes = tuple(marks[:2] if depth % 2 == 0 else marks[2:])
        if quote.text_content().strip()[:1] in '“”„«»「"‘’':
            continue  # it bears its own
        quote.text = opens + (quote.text or "").lstrip()
        if len(quote):
            quote[-1].tail = (quote[-1].tail or "").rstrip() + closes
        else:
            quote.text = quote.text.rstrip() + closes


def _write_tasks(tree: "HtmlElement") -> None:
    """``[x]`` and ``[ ]`` for the boxes that begin the items of a list."""
    for box in tree.xpath("//input[@type='checkbox'] | //*[@role='checkbox']"):
        item = next(box.iterancestors("li"), None)
        if item is None:
            continue
        before = next((text for text in item.itertext() if text.strip()), None)
        if before is not None and not _is_before(box, item):
            continue
        done = box.get("checked") is not None or box.get("aria-checked") == "true"
        mark = verbatim(box, "[x] " if done else "[ ] ")
        mark.tail = (box.tail or "").lstrip()
        box.getparent().replace(box, mark)


def _is_before(box: "HtmlElement", item: "HtmlElement") -> bool:
    """Whether no text of an item stands before its box."""
    if (item.text or "").strip():
        return False
    element = box
    while element is not item:
        parent = element.getparent()
        before = [
            (parent.text or ""),
            *(s.tail or "" for s in element.itersiblings(preceding=True)),
        ]
        siblings = [s.text_content() for s in element.itersiblings(preceding=True)]
        if any(text.strip() for text in (*before, *siblings)):
            return False
        element = parent
    return True
