"""Footnotes, endnotes and side notes of a page as Markdown's: ``[^1]`` and ``[^1]: …``.

A note is known by its links, which lead to it and back, or by what the standard names call it. No
list at the end of a page is taken for notes by its place alone.
"""

import re
from typing import TYPE_CHECKING

from twin.crawl.formats.verbatim import verbatim

if TYPE_CHECKING:
    from lxml.html import HtmlElement

#: On a paragraph that is a note: its label.
NOTE = "data-twin-note"
#: In a text: references to notes, by label.
REFERENCE = re.compile(r"\[\^([\w.-]+)\]")
_ROLES = frozenset({"doc-noteref"})
_REFERENCE_NAME = re.compile(
    r"(?:^|[\s_-])(?:footnote-?ref\w*|noteref|fn-?ref|footnote-anchor)", re.I
)
_NOTE_NAME = re.compile(
    r"(?:^|[\s_:.-])(?:fn|foot-?notes?|end-?notes?|note|ftnt?|easy-footnote-bottom|sdfootnote)"
    r"(?=[\s_:.\d-]|$)",
    re.IGNORECASE,
)
# Lists of sources that a page's software collects are no notes of the author.
_SOURCES = re.compile(
    r"(?:^|[\s_-])(?:cite_note|reflist|references|bibliography|bib)", re.IGNORECASE
)
_LABEL = re.compile(r"[\[(]?\s*([\w*†‡§]{1,4})\s*[\])]?")
_BACK = re.compile(
    r"[\s↩↑⤴⏎^\u2191\ufe0e\ufe0f\u21a9]*|back|return|jump up|\[↩\]|zurück|retour", re.I
)
_SIDE_NOTE = re.compile(
    r"(?:^|\s)(?:side-?note|margin-?note|inline-?footnote|footnote-inline|sidenote-content)(?:\s|$)",
    re.IGNORECASE,
)
_TOGGLE = re.compile(
    r"(?:^|\s)(?:margin-toggle|sidenote-number|sidenote-toggle|marginnote-ind)", re.I
)
_INLINE = frozenset({"span", "small", "label", "em", "i", "a", "sup"})
_HOLDERS = frozenset({"li", "p", "div", "dd", "td", "aside", "section", "span"})
_BLOCKS = frozenset({"p", "div", "li", "blockquote", "td", "dd", "section", "article"})
_MAX_NOTE = 5_000


def write_notes(tree: "HtmlElement") -> None:
    """Put marks in the text for the notes of a page, and make paragraphs of the notes."""
    labels: dict[HtmlElement, str] = {}
    taken: set[str] = set()
    by_id = {element.get("id"): element for element in tree.xpath("//*[@id]")}
    by_id |= {a.get("name"): a for a in tree.xpath("//a[@name]") if a.get("name") not in by_id}
    for link in tree.xpath("//a[starts-with(@href, '#')]"):
        note = _note_of(link, by_id)
        if note is None:
            continue
        if note not in labels:
            labels[note] = _new_label(link, taken)
        _put_mark(link, labels[note])
    for note, label in labels.items():
        _make_paragraph(note, label)
    _write_side_notes(tree, taken)


def _note_of(link: "HtmlElement", by_id: "dict[str, HtmlElement]") -> "HtmlElement | None":
    """The note that a link refers to; None if it is no reference to a note."""
    target = by_id.get(link.get("href")[1:])
    text = link.text_content().strip()
    if target is None or target is link or not _LABEL.fullmatch(text):
        return None
    called = " ".join(
        f"{e.get('class') or ''} {e.get('id') or ''}" for e in (target, *_near(target))
    )
    if _SOURCES.search(called):
        return None
    note = _holder(target)
    if note is None or (note in set(link.iterancestors()) and not _is_named(link)):
        return None
    return (
        note if _leads_back(note, link) or (_is_named(link) and _NOTE_NAME.search(called)) else None
    )


def _near(element: "HtmlElement") -> "list[HtmlElement]":
    return [above for _, above in zip(range(3), element.iterancestors(), strict=False)]


def _is_named(link: "HtmlElement") -> bool:
    """Whether a link calls itself a reference to a note, or is raised as such are."""
    parent = link.getparent()
    return (
        link.get("role") in _ROLES
        or _REFERENCE_NAME.search(link.get("class") or "") is not None
        or link.find(".//sup") is not None
        or (parent is not None and parent.tag == "sup")
    )


def _holder(target: "HtmlElement") -> "HtmlElement | None":
    """The block of a note: of an empty anchor, what it stands in."""
    for element in (target, *_near(target)):
        if element.tag in _HOLDERS and len(element.text_content().strip()) > 3:
            return element if len(element.text_content()) <= _MAX_NOTE else None
    return None


def _leads_back(note: "HtmlElement", link: "HtmlElement") -> bool:
    own = {link.get("id"), link.get("name"), *(e.get("id") for e in _near(link)[:2])} - {None}
    own |= {e.get("id") for e in link.iter() if e.get("id")}
    return any((back.get("href") or "")[1:] in own for back in note.iter("a"))


def _new_label(link: "HtmlElement", taken: set[str]) -> str:
    """The label that the page shows, or the next number."""
    match = _LABEL.fullmatch(link.text_content().strip())
    label = match[1] if match else ""
    if not label.isalnum() or not label.isascii() or label in taken:
        label = next(
            str(n) for n in range(len(taken) + 1, 2 * len(taken) + 3) if str(n) not in taken
        )
    taken.add(label)
    return label


def _put_mark(link: "HtmlElement", label: str) -> None:
    """``[^1]`` in the place of a reference, and of the ``sup`` that holds nothing else."""
    element = link
    parent = link.getparent()
    while (
        parent is not None
        and parent.tag in ("sup", "span")
        and parent.getparent() is not None
        and parent.text_content().strip(" []()\u00a0") == link.text_content().strip(" []()\u00a0")
    ):
        element, parent = parent, parent.getparent()
    mark = verbatim(link, f"[^{label}]")
    mark.tail = element.tail
    if parent is not None:
        parent.replace(element, mark)


def _make_paragraph(note: "HtmlElement", label: str) -> None:
    """A note as a paragraph that begins with its label, without its links back."""
    for back in note.xpath(".//a[starts-with(@href, '#')]"):
        if _BACK.fullmatch(back.text_content().strip()) or back.get("role") == "doc-backlink":
            back.drop_tree()
    first = note.text_content().strip()
    number = re.match(rf"[\[(]?{re.escape(label)}[\]).:]?\s+", first)
    inner = note.xpath("./p | ./div")
    home = inner[0] if inner and not (note.text or "").strip() else note
    if number is not None and (home.text or "").strip().startswith(number[0].strip()):
        home.text = (home.text or "").lstrip()[len(number[0].rstrip()) :]
    for block in note.xpath(".//p | .//div | .//section"):
        previous = block.getprevious()
        if previous is not None and (previous.tag in ("p", "div") or (previous.tail or "").strip()):
            previous.tail = (previous.tail or "").rstrip() + " "
        block.drop_tag()
    mark = verbatim(note, f"[^{label}]: ")
    mark.tail = (note.text or "").lstrip()
    note.text = None
    note.insert(0, mark)
    parent = note.getparent()
    if note.tag == "li" and parent is not None and parent.tag in ("ol", "ul"):
        parent.tag = "div"
    note.tag = "p"
    note.set(NOTE, label)


def _write_side_notes(tree: "HtmlElement", taken: set[str]) -> None:
    """Notes that stand in the sentence they are about: a mark there, the note behind the block."""
    last: dict[HtmlElement, HtmlElement] = {}
    for note in tree.xpath("//span[@class] | //small[@class]"):
        if not _SIDE_NOTE.search(note.get("class")) or not note.text_content().strip():
            continue
        block = next((a for a in note.iterancestors() if a.tag in _BLOCKS), None)
        if block is None or block.getparent() is None:
            continue
        label = next(str(n) for n in range(1, len(taken) + 2) if str(n) not in taken)
        taken.add(label)
        mark = verbatim(note, f"[^{label}]")
        mark.tail, note.tail = note.tail, None
        _drop_toggles(note)
        note.getparent().replace(note, mark)
        after = last.get(block, block)
        note.tail, after.tail = after.tail, None
        after.addnext(note)
        last[block] = note
        _make_paragraph(note, label)


def _drop_toggles(note: "HtmlElement") -> None:
    """The label and the box that show a note on small screens."""
    for beside in list(note.itersiblings(preceding=True))[:3]:
        if beside.tag in ("label", "input") and _TOGGLE.search(beside.get("class") or ""):
            beside.drop_tree()
        else:
            break
