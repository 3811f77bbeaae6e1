"""Dumps of an older system's warehouse: a JSON list of documents, read item by item."""

import codecs
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from twin.crawl.formats.markdown import language, published, take_title
from twin.crawl.formats.plain_text import first_words
from twin.crawl.intake import Intake
from twin.crawl.page import Article, UnusableError
from twin.crawl.web.urls import canonical
from twin.domain.document import normalise
from twin.domain.errors import BadDataError
from twin.recipes import WarehouseDumpSource
from twin.recipes.places import BESIDE_RECIPE

CHUNK_BYTES = 1 << 20
#: An item larger than this is no document, and would have to be held in memory whole.
MAX_ITEM_CHARACTERS = 50_000_000
_SHOWN_AUTHORS = 5


class _DumpError(Exception):
    """The file is no such dump; the text says where and why."""


@dataclass(frozen=True)
class Item:
    """A document of the dump, as far as it can be told."""

    url: str
    data: dict[str, Any]


def read_warehouse_dump(source: WarehouseDumpSource, intake: Intake) -> None:
    """Hand the author's documents of a dump to the intake.

    Items of other authors are left out and counted; of several items with one link, the last is
    taken. A file that is missing or no dump is noted as the source's error, as is one that holds
    nothing of this author.

    Raises:
        TwinError: the warehouse is away.
    """
    try:
        _check_file(source)
        ours = _Authors(source, intake)
        last = _last_of_each_link(source, ours, intake)
        with intake.job.progress(f"crawl {source.name}", len(last)) as advance:
            intake.advance = advance
            for item in intake.budget.allowed(_items_to_take(source, last)):
                _take(item, intake)
    except (_DumpError, BadDataError) as error:
        intake.entry_errors.append(BadDataError(f"source {source.name!r}: {error}"))


def _check_file(source: WarehouseDumpSource) -> None:
    if not source.path.is_file():
        raise BadDataError(f"no file {source.path} {BESIDE_RECIPE}")
    size = source.path.stat().st_size
    if size > source.max_bytes:
        raise BadDataError(
            f"{source.path} has {size:,} bytes, more than max_bytes = {source.max_bytes:,}"
        )


class _Authors:
    """Whose items are taken."""

    def __init__(self, source: WarehouseDumpSource, intake: Intake) -> None:
        names = source.authors or (intake.job.recipe.author.name, intake.job.recipe.author.id)
        self._names = {_plain(name) for name in names}
        self.others: Counter[str] = Counter()

    def include(self, data: dict[str, Any]) -> bool:
        """Whether an item is the author's; counts those that are not."""
        names = (data.get("author_full_name"), _id(data.get("author_id")))
        if any(name and _plain(str(name)) in self._names for name in names):
            return True
        self.others[str(next((name for name in names if name), "nobody"))] += 1
        return False


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def _last_of_each_link(
    source: WarehouseDumpSource, ours: _Authors, intake: Intake
) -> dict[str, int]:
    """URL to number of its last item; what is not taken is counted."""
    last: dict[str, int] = {}
    repeated = 0
    for number, data in enumerate(items_of(source.path)):
        if not isinstance(data, dict):
            raise _DumpError(f"{source.path}: item {number + 1} is no JSON object")
        if not ours.include(data):
            intake.skip("of another author")
            continue
        url = _url(source, data)
        if url is None:
            intake.fail(f"item {number + 1}", "has neither link nor _id")
            continue
        repeated += url in last
        last[url] = number
    detail = intake.job.result.detail
    if ours.others:
        detail[f"{source.name}: of other authors"] = ours.others.total()
    if repeated:
        detail[f"{source.name}: links that came again (the last one counts)"] = repeated
    if ours.others and not last:
        shown = ", ".join(repr(name) for name, _ in ours.others.most_common(_SHOWN_AUTHORS))
        raise _DumpError(
            f"none of its {ours.others.total()} items is by this author; they are by {shown}: "
            "name whom you mean in the source's authors"
        )
    return last


def _items_to_take(source: WarehouseDumpSource, last: dict[str, int]) -> Iterator[Item]:
    for number, data in enumerate(items_of(source.path)):
        url = _url(source, data)
        if url is not None and last.get(url) == number:
            yield Item(url, data)


def _take(item: Item, intake: Intake) -> None:
    text = json.dumps(item.data, sort_keys=True, ensure_ascii=False)
    state = text.encode(errors="surrogatepass")
    intake.budget.spend(len(state))
    digest = hashlib.sha256(state).digest()
    intake.take_article(item.url, digest, lambda: article_of(item), expected=False)


def article_of(item: Item) -> Article:
    """The article of an item.

    Raises:
        UnusableError: it has no text.
    """
    content = item.data.get("content")
    fields = content if isinstance(content, dict) else {"Content": content}
    text = fields.get("Content")
    if not isinstance(text, str) or not text.strip():
        raise UnusableError("no text: content.Content is empty")
    platform = str(item.data.get("platform") or "").strip().lower() or None
    given = " ".join(str(fields.get("Title") or "").split()) or None
    heading, rest = take_title(text, given)
    subtitle = " ".join(str(fields.get("Subtitle") or "").split())
    return Article(
        title=given or heading or first_words(text),
        content=normalise(rest) if rest.strip() else "",
        subtitle=subtitle or None,
        byline=str(item.data.get("author_full_name") or "").strip() or None,
        published=published(item.data.get("published") or item.data.get("date")),
        language=language(str(fields.get("language") or "")),
        kind="post" if platform == "linkedin" and given is None else "article",
        platform=platform,
    )


def _url(source: WarehouseDumpSource, data: dict[str, Any]) -> str | None:
    """Canonical URL of an item: its link, else a name made of its id."""
    link = str(data.get("link") or "").strip().encode(errors="ignore").decode()
    if link.startswith(("http://", "https://")):
        try:
            return canonical(link)
        except ValueError:
            pass
    identity = _id(data.get("_id"))
    if identity is None:
        return None
    try:
        return uuid.UUID(identity).urn
    except ValueError:
        return f"dump://{source.name}/{quote(identity, safe='')}"


def _id(value: object) -> str | None:
    """An id as text; MongoDB's Extended JSON wraps it (``{"$oid": …}``)."""
    if isinstance(value, dict) and len(value) == 1:
        return _id(next(iter(value.values())))
    text = str(value).strip() if isinstance(value, str | int) else ""
    return text.encode(errors="ignore").decode() or None


def items_of(path: Path) -> Iterator[Any]:
    """The items of a JSON list, or JSON values one after another, without holding all of them.

    Raises:
        _DumpError: not JSON in UTF-8, neither a list nor a row of objects, or cut off.
    """
    decoder = json.JSONDecoder()
    text = _Window(path)
    text.skip(" \t\r\n")
    is_list = text.take("[")
    if not is_list and text.peek() != "{":
        raise _DumpError(f"{path} is no JSON list of documents")
    first = True
    while True:
        text.skip(" \t\r\n")
        if is_list and text.take("]"):
            text.skip(" \t\r\n")
            if text.peek():
                raise _DumpError(f"{path}: something follows the end of the list")
            return
        if not text.peek():
            if is_list:
                raise _DumpError(f"{path} is cut off: the list does not end")
            return
        if not first and is_list and not text.take(","):
            raise _DumpError(f"{path}: no comma between two items near character {text.position:,}")
        text.skip(" \t\r\n")
        yield text.value(decoder)
        first = False


class _Window:
    """The part of a text file that is being parsed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks = _text_of(path)
        self._text = ""
        self._start = 0
        self._before = 0

    @property
    def position(self) -> int:
        """Characters of the file that have been taken."""
        return self._before + self._start

    def _more(self, characters: int = 1) -> bool:
        """Read on; False at the end of the file."""
        self._before += self._start
        parts, length = [self._text[self._start :]], 0
        for chunk in self._chunks:
            parts.append(chunk)
            length += len(chunk)
            if length >= characters:
                break
        self._text, self._start = "".join(parts), 0
        return length > 0

    def peek(self) -> str:
        if self._start >= len(self._text):
            self._more()
        return self._text[self._start : self._start + 1]

    def take(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self._start += 1
        return True

    def skip(self, characters: str) -> None:
        while (character := self.peek()) and character in characters:
            self._start += 1

    def value(self, decoder: json.JSONDecoder) -> Any:
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._start)
            except (json.JSONDecodeError, RecursionError) as error:
                held = len(self._text) - self._start
                if held > MAX_ITEM_CHARACTERS:
                    raise _DumpError(
                        f"{self._path}: the item at character {self.position:,} is broken or has "
                        f"more than {MAX_ITEM_CHARACTERS:,} characters"
                    ) from None
                # Twice as much each time, so that a long item is not parsed in a hundred steps.
                if isinstance(error, RecursionError) or not self._more(max(held, 1)):
                    reason = getattr(error, "msg", "nested too deep")
                    raise _DumpError(
                        f"{self._path}: not JSON at character {self.position:,}: {reason}"
                    ) from None
                continue
            self._start = end
            return value


def _text_of(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield decoder.decode(chunk)
            yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _DumpError(f"{path} is not UTF-8: {error.reason}") from None
    except OSError as error:
        raise _DumpError(f"{path} cannot be read: {error.strerror}") from None
