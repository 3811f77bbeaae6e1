"""An article on several pages as one body: they are kept, and read, together."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from twin.crawl.page import Article, Page, UnusableError
from twin.text.code import CODE

MEDIA_TYPE = "application/vnd.llm-twin.pages+json"
_LABEL = re.compile(r"\[\^(?P<label>[^\]\s]+)\]")


@dataclass(frozen=True)
class Part:
    """One of the pages: its address, its bytes, and the encoding that is declared."""

    url: str
    body: bytes
    encoding: str | None = None


def joined_body(parts: Sequence[Part]) -> bytes:
    """The same pages always give the same bytes."""
    pages = [
        {"url": part.url, "encoding": part.encoding, "body": b64encode(part.body).decode()}
        for part in parts
    ]
    return json.dumps(pages).encode()


def read_several_pages(page: Page, read: Callable[[Page], Article]) -> Article:
    """The article of the first page, with the texts of those that follow it.

    A page that has no text, as of a gallery, is passed by.

    Args:
        page: as `joined_body` has made it.
        read: reads one HTML page.

    Raises:
        UnusableError: see ``read``, of the first page.
    """
    first, *others = (
        replace(
            page,
            url=part["url"],
            body=b64decode(part["body"]),
            encoding=part["encoding"],
            media_type="text/html",
        )
        for part in json.loads(page.body)
    )
    article = read(first)
    texts = [article.content]
    for number, other in enumerate(others, 2):
        try:
            texts.append(_with_own_notes(read(replace(other, expected=True)).content, number))
        except UnusableError:
            continue
    return replace(article, content="\n".join(texts))


def _with_own_notes(text: str, number: int) -> str:
    """Footnotes of a later page under labels that no other page has."""
    label = f"[^{number}-\\g<label>]"
    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [_LABEL.sub(label, text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, _LABEL.sub(label, text[end:])])
