"""Plain text files."""

import re

from twin.crawl.formats.markdown import title_from_url
from twin.crawl.page import Article, Page, decode
from twin.domain.document import normalise

_LONGEST_TITLE = 120
_TITLE_CHARACTERS = 80
_UNDERLINE = re.compile(r"([=\-~*#^\"'+.])\1{2,}\s*$")
_ENDS_CLAUSE = re.compile(r"[.,;:\u2026][\"'\u201d\u2019)]*$")

#: Where a sentence ends, closing quotes and brackets included.
SENTENCE_ENDS = re.compile(r"[.!?:\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")


def read_plain_text(page: Page) -> Article:
    """Read a plain text file.

    The title is the first line, if it stands alone and looks like one (underlined, or short and
    no sentence), else the file's name. The text stays as it is.

    Raises:
        UnusableError: see `decode`.
    """
    text = decode(page)
    title, rest = _take_title(text)
    return Article(
        title=title or title_from_url(page.url),
        content=normalise(rest) if rest.strip() else "",
    )


def _take_title(text: str) -> tuple[str | None, str]:
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return None, text
    title = lines[first].strip()
    if _UNDERLINE.fullmatch(title) and len(lines) > first + 1:  # a title between two rules
        first += 1
        title = lines[first].strip()
    after = lines[first + 1].strip() if len(lines) > first + 1 else ""
    underlined = bool(_UNDERLINE.fullmatch(after))
    looks_like_one = not after and not _ENDS_CLAUSE.search(title)
    if not title or len(title) > _LONGEST_TITLE or not (underlined or looks_like_one):
        return None, text
    return title, "\n".join(lines[first + 1 + underlined :])


def first_words(text: str) -> str:
    """A title for a text without one: its first line, cut at a word."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = line.lstrip("#>*- ").strip() or line
    if len(line) <= _TITLE_CHARACTERS:
        return line
    cut = line[:_TITLE_CHARACTERS].rpartition(" ")[0] or line[:_TITLE_CHARACTERS]
    return f"{cut.rstrip(' ,;:.')}…"
