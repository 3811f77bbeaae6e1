"""The warehouse as one JSON Lines file: a backup, and the way from one database to another.

Line 1 names the format; each further line is ``{"collection": …, "record": …}`` with the record
in MongoDB's relaxed Extended JSON (so that times stay times); the last line counts them, so that
a file which was cut off is told from a whole one.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ValidationError

from twin.domain.crawl import CrawlRecord, DocumentChange, FetchedPage, QuarantinedItem
from twin.domain.document import Document, Forgotten, Revision, revision_of
from twin.domain.errors import BadDataError
from twin.stores.streamed_files import ByteSource
from twin.stores.warehouse import COLLECTIONS, Warehouse
from twin.stores.warehouse_connection import Record
from twin.stores.warehouse_documents import revision_key

FORMAT = "llm-twin-warehouse"
VERSION = 1
RECORDS_PER_WRITE = 200

MODELS: dict[str, type[BaseModel]] = {
    "documents": Document,
    "revisions": Revision,
    "quarantine": QuarantinedItem,
    "crawls": CrawlRecord,
    "forgotten": Forgotten,
    "pages": FetchedPage,
    "changes": DocumentChange,
}


def export_warehouse(
    warehouse: Warehouse, path: Path, author_id: str | None = None
) -> dict[str, int]:
    """Write everything, or everything of one author, to a file that appears when it is whole.

    Returns:
        Records by collection.

    Raises:
        BadDataError: the file cannot be written.
        TwinError: the warehouse is away; then there is no new file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            counts = write_warehouse(warehouse, file, author_id)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise BadDataError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return counts


def write_warehouse(
    warehouse: Warehouse, file: IO[str], author_id: str | None = None
) -> dict[str, int]:
    """Write everything, or everything of one author, to an open file.

    Equal warehouses give equal bytes.

    Returns:
        Records by collection.

    Raises:
        TwinError: the warehouse is away.
    """
    from bson import json_util

    counts: Counter[str] = Counter(dict.fromkeys(COLLECTIONS, 0))
    file.write(json.dumps({"format": FORMAT, "version": VERSION}) + "\n")
    for collection in COLLECTIONS:
        for record in warehouse.records(collection, author_id):
            line = {"collection": collection, "record": record}
            text = json_util.dumps(
                line, json_options=json_util.RELAXED_JSON_OPTIONS, ensure_ascii=False
            )
            file.write(text + "\n")
            counts[collection] += 1
    file.write(json.dumps({"end": dict(counts)}) + "\n")
    return dict(counts)


def import_warehouse(
    warehouse: Warehouse, path: ByteSource, advance: Callable[[int], None] = lambda _: None
) -> dict[str, int]:
    """Write a file's records to the warehouse; those of the same id are replaced.

    The whole file is checked before anything is written. Importing again changes nothing, so
    an import that the warehouse interrupted is finished by running it again. What was forgotten
    since the file was written stays so.

    Returns:
        Records by collection.

    Raises:
        BadDataError: with the number of the first bad line; nothing was written.
        TwinError: the warehouse is away.
    """
    counts = Counter(collection for collection, _ in read_records(path))
    warehouse.prepare()
    batch: list[Record] = []
    current = ""
    for collection, record in read_records(path):
        if batch and (collection != current or len(batch) >= RECORDS_PER_WRITE):
            warehouse.restore(current, batch)
            advance(len(batch))
            batch = []
        current = collection
        batch.append(record)
    if batch:
        warehouse.restore(current, batch)
        advance(len(batch))
    warehouse.erase_forgotten()
    return {name: counts[name] for name in COLLECTIONS}


def read_records(path: ByteSource) -> Iterator[tuple[str, Record]]:
    """Records of an export with their collections, each checked.

    Raises:
        BadDataError: in one line: file, line number, what is wrong.
    """
    number = 0
    try:
        end = None
        counts: Counter[str] = Counter()
        for number, line in _numbered(path):
            data = _parse(line)
            if number == 1:
                _check_format(data)
            elif end is not None:
                raise ValueError("comes after the end")
            elif "end" in data:
                end = data["end"]
            else:
                yield _record(data)
                counts[data["collection"]] += 1
        if end is None or +Counter(end) != counts:
            raise ValueError("the file is cut off here")
    except ValueError as error:
        raise BadDataError(f"{path}, line {number}: {error}; nothing was imported") from None


def _numbered(path: ByteSource) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield number, line.decode("utf-8")
    except OSError as error:
        raise BadDataError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadDataError(f"{path}, line {number}: not UTF-8; nothing was imported") from None


def _parse(line: str) -> dict[str, Any]:
    from bson import json_util

    try:
        data = json_util.loads(line)
    except (ValueError, TypeError) as error:
        raise ValueError(f"not JSON ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _check_format(data: dict[str, Any]) -> None:
    if data.get("format") != FORMAT:
        raise ValueError(f"not an export of the warehouse: the first line names no {FORMAT}")
    if data.get("version") != VERSION:
        raise ValueError(f"version {data.get('version')} of the format; this code reads {VERSION}")


def _record(data: dict[str, Any]) -> tuple[str, Record]:
    collection, record = data.get("collection"), data.get("record")
    model = MODELS.get(str(collection))
    if model is None or not isinstance(record, dict) or not isinstance(record.get("_id"), str):
        raise ValueError(f"no record of {', '.join(MODELS)}")
    try:
        item = model.model_validate({**record, "id": record["_id"]})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{collection}: {key}: {first['msg']}") from None
    _check_identity(item, record)
    return str(collection), record


def _check_identity(item: BaseModel, record: Record) -> None:
    """A text must be that of its revision, or every later comparison would be wrong."""
    if not isinstance(item, Document | Revision):
        return
    if revision_of(item.title, item.content) != item.revision:
        raise ValueError("the content is not that of its revision")
    if isinstance(item, Revision) and record["_id"] != revision_key(
        item.document_id, item.revision
    ):
        raise ValueError("the key is not that of its document and revision")
