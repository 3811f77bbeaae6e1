"""PDF files with text: lines become paragraphs and headings again.

A tagged PDF says what its text is: headings, paragraphs, items of lists, cells of tables. Any other
knows only where characters stand. There, lines are put together to paragraphs by their distance
and indentation, headings are the entries of the outline, else lines in a larger font, and words
that stand in columns over some lines are a table. In both, hyphens at line ends are taken back,
and what recurs at the edges of pages (running heads, page numbers) is dropped.
"""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from typing import Any

from twin.crawl.formats.markdown import language, published, tags, title_from_url
from twin.crawl.formats.pdf_items import Block
from twin.crawl.formats.pdf_lines import Line, lines_of
from twin.crawl.formats.pdf_paragraphs import blocks_of, body_lines, edge_of
from twin.crawl.formats.pdf_tables import markdown_of
from twin.crawl.formats.pdf_tags import TagReader
from twin.crawl.page import Article, Page, UnusableError
from twin.domain.document import normalise
from twin.text.words import count_words

# pdfium may run in one thread at a time.
_PDFIUM = threading.Lock()
_MAX_PAGES = 3_000
_MIN_WORDS_OF_PAGE = 5
_MAX_SHARE_OF_BLANK_PAGES = 0.5
_MAX_SHARE_OF_UNKNOWN_LETTERS = 0.1
# The tags of a page that name less of its text say nothing of it.
_MIN_SHARE_OF_TAGGED = 0.5
_NO_TITLE = re.compile(
    r"(untitled.*|microsoft (word|powerpoint) - .*|.*\.(docx?|pdf|tex|dvi|indd|pptx?|odt|html?)"
    r"|(https?|file)://\S*"
    r"|document\d*|\(?anonymous\)?|slide \d+|[\W\d_]*)",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"D?:?(?P<year>\d{4})(?P<month>\d\d)?(?P<day>\d\d)?(?P<time>\d{6})?(?P<zone>Z|[+-]\d\d'?\d\d)?"
)


def read_pdf(page: Page) -> Article:
    """Read a PDF file.

    The title is that of its metadata, else the largest line on the first page, else the file's
    name; `published` is when it was made.

    Raises:
        UnusableError: it is encrypted, has no text (a scan), or is no PDF.
    """
    with _PDFIUM, closing(_opened(page.body)) as pdf:
        metadata = {key: str(value).strip("\0 ") for key, value in pdf.get_metadata_dict().items()}
        outline = _outline(pdf)
        spoken = _language(pdf)
        reader = TagReader()
        pages = [_lines(pdf, number, reader) for number in range(len(pdf))]
    _check_text(pages)
    blocks = blocks_of(body_lines(pages), outline)
    title = metadata.get("Title", "")
    title = "" if _NO_TITLE.fullmatch(title) else " ".join(title.split())
    heading, rest = _take_title(blocks, title)
    return Article(
        title=title or heading or title_from_url(page.url),
        content=normalise("\n\n".join(_markdown(rest))) if rest else "",
        byline=" ".join(metadata.get("Author", "").split()) or None,
        published=published(_iso(metadata.get("CreationDate", ""))),
        modified=published(_iso(metadata.get("ModDate", ""))),
        language=language(spoken),
        tags=tags(metadata.get("Keywords", "").replace(";", ",")),
    )


def _opened(body: bytes) -> Any:
    import pypdfium2
    from pypdfium2 import PdfiumError

    try:
        pdf = pypdfium2.PdfDocument(body)
        count = len(pdf)
    except PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise UnusableError("encrypted: it opens with a password only") from None
        raise UnusableError("not a PDF, or a damaged one") from None
    if not 0 < count <= _MAX_PAGES:
        pdf.close()
        raise UnusableError(f"{count:,} pages; 1 to {_MAX_PAGES:,} are read")
    return pdf


def _lines(pdf: Any, number: int, reader: TagReader) -> list[Line]:
    from pypdfium2 import PdfiumError

    try:
        with closing(pdf[number]) as page, closing(page.get_textpage()) as text:
            height = page.get_height()
            if found := reader.tags_of(page):
                lines = list(lines_of(text, number, height, found))
                if _are_told(lines):
                    return lines
            return list(lines_of(text, number, height))
    except PdfiumError:
        raise UnusableError(f"damaged: its page {number + 1} cannot be read") from None


def _are_told(lines: list[Line]) -> bool:
    """Whether the tags name enough of a page's text, its head and foot aside."""
    tagged = sum(len(line.text) for line in lines if line.tag)
    others = sum(len(line.text) for line in lines if not line.tag and not edge_of(line))
    return tagged > 0 and tagged >= _MIN_SHARE_OF_TAGGED * (tagged + others)


def _outline(pdf: Any) -> dict[tuple[int, str], int]:
    """Page number and plain title of every entry, to its level (1 is the highest)."""
    found: dict[tuple[int, str], int] = {}
    for entry in pdf.get_toc(max_depth=4):
        dest = entry.get_dest()
        index = dest.get_index() if dest is not None else None
        if index is not None:
            found.setdefault((index, plain(entry.get_title())), entry.level + 1)
    return found


def plain(text: str) -> str:
    """Letters only, for comparing an outline's title with a line: numbers are often in one."""
    return "".join(re.findall(r"[^\W\d_]+", text.casefold()))


def _language(pdf: Any) -> str | None:
    import ctypes

    import pypdfium2.raw as pdfium

    size = pdfium.FPDFCatalog_GetLanguage(pdf, None, 0)
    if size <= 2:
        return None
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFCatalog_GetLanguage(
        pdf, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size
    )
    return buffer.raw[: size - 2].decode("utf-16-le", "replace")


def _check_text(pages: list[list[Line]]) -> None:
    """Refuse scans, half scans, and fonts that do not say which letters they draw."""
    words = [sum(count_words(line.text) for line in lines) for lines in pages]
    blank = sum(count < _MIN_WORDS_OF_PAGE for count in words)
    if blank == len(pages):
        raise UnusableError(f"no text on its {len(pages)} pages: a scan?")
    if blank > len(pages) * _MAX_SHARE_OF_BLANK_PAGES:
        raise UnusableError(f"no text on {blank} of its {len(pages)} pages: a scan in part?")
    letters = Counter("unknown" if _is_unknown(c) else "known" for lines in pages
                      for line in lines for c in line.text if not c.isspace())  # fmt: skip
    if letters["unknown"] > letters.total() * _MAX_SHARE_OF_UNKNOWN_LETTERS:
        raise UnusableError("its fonts do not say which letters they draw")


def _is_unknown(character: str) -> bool:
    return character == "\ufffd" or character < " " or "\ue000" <= character <= "\uf8ff"


def _take_title(blocks: list[Block], title: str) -> tuple[str | None, list[Block]]:
    """Take the block off that says the title, on the first page."""
    for place, block in enumerate(blocks[:6]):
        if block.page > 0:
            break
        says_it = plain(block.text) == plain(title) if title else block.is_largest
        if says_it and block.text:
            return block.text, [*blocks[:place], *blocks[place + 1 :]]
    return None, blocks


def _markdown(blocks: list[Block]) -> Iterator[str]:
    """Blocks as Markdown, the highest heading below the title's level, a list in one piece."""
    highest = min((block.level for block in blocks if block.level), default=1)
    for depth, group in groupby(blocks, key=lambda block: block.depth > 0):
        if depth:
            yield "\n".join(_list(list(group)))
            continue
        for block in group:
            if block.level:
                yield f"{'#' * min(block.level - highest + 2, 6)} {block.text}"
            else:
                yield markdown_of(block.rows) if block.rows else block.text


def _list(blocks: list[Block]) -> Iterator[str]:
    """Lines of a list with those in it; paragraphs within items are set off."""
    top = min(block.depth for block in blocks)
    around: list[str] = []  # markers of the item before, from the outside
    for block in blocks:
        level = block.depth - top
        indentation = " " * sum(map(len, around[: level + (not block.marker)]))
        if around and _needs_blank_line(block, around[level : level + 1]):
            yield ""
        yield indentation + block.marker + block.text
        if block.marker:
            around[level:] = [block.marker]


def _needs_blank_line(block: Block, before: list[str]) -> bool:
    """Whether Markdown would take a block for the item's text that is before it.

    Args:
        before: the marker of the item before in the same list, if there is one.
    """
    if not block.marker or not before:
        return block.marker not in {"- ", "1. "}
    return (block.marker == "- ") != (before[0] == "- ")


def _iso(date: str) -> str:
    """A PDF's date (``D:20240131120000+01'00'``) in ISO 8601; empty if it is none."""
    match = _DATE.match(date.strip())
    if match is None:
        return ""
    time = match["time"] or "000000"
    zone = (match["zone"] or "Z").replace("'", "")
    zone = zone if zone == "Z" else f"{zone[:3]}:{zone[3:]}"
    return (
        f"{match['year']}-{match['month'] or '01'}-{match['day'] or '01'}"
        f"T{time[:2]}:{time[2:4]}:{time[4:]}{zone}"
    )
