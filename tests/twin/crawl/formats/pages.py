"""Files of every format, made as programs make them, as pages."""

from pathlib import Path

from twin.crawl.formats.media_types import media_type_of
from twin.crawl.page import Page


def page(name: str, body: bytes | str) -> Page:
    """A file of a folder called ``notes``."""
    content = body.encode() if isinstance(body, str) else body
    return Page(f"folder://notes/{name}", content, media_type_of(name))


def words(count: int = 60) -> str:
    """Prose of so many words."""
    sentence = "The tide comes in twice a day and nobody at the harbour is ever surprised by it. "
    return (sentence * (count // 16 + 1)).strip()


def write(path: Path, body: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body.encode() if isinstance(body, str) else body)
    return path
