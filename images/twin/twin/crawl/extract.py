"""Saved pages as lines of JSON: what extraction makes of them, with nothing else around it."""

import codecs
import json
import os
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import track

from twin.crawl.page import UnusableError
from twin.domain.errors import ExitCode

_MAX_BYTES = 100_000_000
_MIN_SHARE_BEYOND_ASCII = 0.1
_GZIP = b"\x1f\x8b"


def extract_files(
    files: Sequence[Path], url: str | None = None, out: BinaryIO | None = None
) -> ExitCode:
    """Write a line of JSON for each file to ``out`` (standard output), and return the exit code.

    Args:
        files: saved HTML pages, plain or compressed with gzip.
        url: where the page is on the web; without it, what the page says of itself.
    """
    out = out or sys.stdout.buffer
    console = Console(stderr=True)
    bad = False
    shown = track(
        files, "Extracting", console=console, disable=not console.is_terminal, transient=True
    )
    for file in shown:
        try:
            line = _read(file, url)
        except (UnusableError, OSError) as error:
            bad = True
            line = {"path": str(file), "error": _reason(error)}
        try:
            out.write(json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            out.flush()
        except BrokenPipeError:  # who reads has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.DONE
    return ExitCode.BAD_DATA if bad else ExitCode.DONE


def _read(file: Path, url: str | None) -> dict[str, object]:
    from twin.crawl.formats.html import extract_html

    found = extract_html(_decoded(_bytes_of(file)), url)
    article = found.article
    return {
        "path": str(file),
        "url": url or found.stated_url,
        "title": article.title,
        "subtitle": article.subtitle,
        "byline": article.byline,
        "published": article.published and article.published.isoformat(),
        "language": article.language,
        "markdown": article.content,
        "text": found.text,
    }


def _bytes_of(file: Path) -> bytes:
    data = file.read_bytes()
    if data.startswith(_GZIP):
        inflater = zlib.decompressobj(wbits=31)
        try:
            data = inflater.decompress(data, _MAX_BYTES + 1)
        except zlib.error as error:
            raise UnusableError(f"broken gzip: {error}") from None
    if len(data) > _MAX_BYTES:
        raise UnusableError(f"more than {_MAX_BYTES:,} bytes")
    if not data.strip():
        raise UnusableError("empty")
    return data


def _decoded(data: bytes) -> str:
    """Text in the encoding that the page declares; a declaration that is wrong is not believed."""
    from w3lib.encoding import html_body_declared_encoding, read_bom, resolve_encoding

    by_bom, mark = read_bom(data)
    if by_bom is not None and mark is not None:
        return data[len(mark) :].decode(by_bom, "replace")
    declared = html_body_declared_encoding(data)
    for encoding in (declared, "utf-8"):
        try:
            if encoding:
                return data.decode(resolve_encoding(encoding) or encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode(_codec(declared) if declared else _likely_codec(data), "replace")


def _likely_codec(data: bytes) -> str:
    """The encoding of a page that declares none and is not UTF-8.

    Of Western text, hardly a letter is beyond ASCII: browsers take it for cp1252, and so do we.
    """
    beyond = len(data) - len(data.translate(None, bytes(range(128, 256))))
    if beyond < _MIN_SHARE_BEYOND_ASCII * len(data):
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(data).best()
    return best.encoding if best is not None else "cp1252"


def _codec(declared: str | None) -> str:
    """The codec for a page that is in no encoding without faults."""
    try:
        return codecs.lookup(declared or "cp1252").name
    except LookupError:
        return "cp1252"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
