"""Export and import of the warehouse."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.twin.stores.documents import document
from twin.domain.crawl import Change, DocumentChange, FetchedPage
from twin.domain.errors import BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores import warehouse_files
from twin.stores.crawl_pages import CrawlPages
from twin.stores.warehouse import COLLECTIONS, Warehouse, open_warehouse
from twin.stores.warehouse_files import export_warehouse, import_warehouse


def fill(warehouse: Warehouse) -> None:
    for number in range(12):
        warehouse.upsert(document(f"page-{number}", f"Text {number}: “quotes” \\n \u2028 end."))
    warehouse.upsert(document("page-0", "Changed."), fetched="abc")
    warehouse.upsert(document("one", author="bob"))
    warehouse.quarantine(author_id="ann", source="blog", url="u", reason="empty")
    crawls = CrawlPages(warehouse)
    now = datetime.now(UTC).replace(microsecond=0)
    of_ann = {"author_id": "ann", "source": "blog", "url": "u"}
    crawls.save([FetchedPage(id="p", fetched=now, links=("v",), **of_ann)])
    added = DocumentChange(
        id="c", crawl_id="r:blog", document_id="d", title="T", at=now, kind=Change.ADDED, **of_ann
    )
    crawls.note([added])


def everything(warehouse: Warehouse) -> dict[str, list]:
    return {name: list(warehouse.records(name)) for name in COLLECTIONS}


@pytest.fixture
def filled(stores_settings: Settings, tmp_path: Path) -> tuple[Path, dict[str, list]]:
    """An export, and what was exported."""
    path = tmp_path / "export.jsonl"
    with open_warehouse(stores_settings) as warehouse:
        fill(warehouse)
        counts = export_warehouse(warehouse, path)
        assert counts == {
            "revisions": 14,
            "documents": 13,
            "quarantine": 1,
            "crawls": 0,
            "forgotten": 0,
            "pages": 1,
            "changes": 1,
        }
        return path, everything(warehouse)


@pytest.fixture
def other(stores_settings: Settings) -> Settings:
    """An empty database on the same server."""
    name = f"{stores_settings.mongo_database}_other"
    return stores_settings.model_copy(update={"mongo_database": name})


def test_an_import_restores_everything_and_again_changes_nothing(
    filled: tuple[Path, dict[str, list]], other: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, expected = filled
    monkeypatch.setattr(warehouse_files, "RECORDS_PER_WRITE", 5)  # several writes a collection
    with open_warehouse(other) as warehouse:
        for _ in range(2):
            assert import_warehouse(warehouse, path)["documents"] == 13
            assert everything(warehouse) == expected


def test_an_author_can_be_exported_alone(
    filled: tuple[Path, dict[str, list]], stores_settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "bob.jsonl"
    with open_warehouse(stores_settings) as warehouse:
        counts = export_warehouse(warehouse, path, "bob")
    held = {name: count for name, count in counts.items() if count}
    assert held == {"revisions": 1, "documents": 1}


def drop_last(lines: list[str]) -> list[str]:
    return lines[:-1]


def drop_middle(lines: list[str]) -> list[str]:
    return lines[:20] + lines[21:]


def cut_line(lines: list[str]) -> list[str]:
    return [*lines[:9], lines[9][:50], *lines[10:]]


def other_format(lines: list[str]) -> list[str]:
    return ['{"format": "mongodump"}', *lines[1:]]


def newer_version(lines: list[str]) -> list[str]:
    return [lines[0].replace('"version": 1', '"version": 2'), *lines[1:]]


def changed(line: int, **fields: object) -> Callable[[list[str]], list[str]]:
    def change(lines: list[str]) -> list[str]:
        data = json.loads(lines[line])
        data["record"].update(fields)
        return [*lines[:line], json.dumps(data), *lines[line + 1 :]]

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop_last, "line 31: the file is cut off here"),
        (drop_middle, "line 31: the file is cut off here"),
        (cut_line, "line 10: not JSON"),
        (other_format, "line 1: not an export of the warehouse"),
        (newer_version, "line 1: version 2 of the format; this code reads 1"),
        (changed(20, content="forged"), "line 21: the content is not that of its revision"),
        (changed(20, url=5), "line 21: documents: url: Input should be a valid string"),
        (changed(7, _id="x"), "line 8: the key is not that of its document and revision"),
        (lambda lines: [*lines, lines[3]], "line 33: comes after the end"),
        (lambda lines: [], "line 0: the file is cut off here"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(
    filled: tuple[Path, dict[str, list]],
    other: Settings,
    spoil: Callable[[list[str]], list[str]],
    words: str,
) -> None:
    path, _ = filled
    lines = path.read_text().split("\n")[:-1]
    path.write_text("\n".join(spoil(lines)))
    with open_warehouse(other) as warehouse:
        with pytest.raises(BadDataError) as caught:
            import_warehouse(warehouse, path)
        assert words in str(caught.value) and "\n" not in str(caught.value)
        assert everything(warehouse) == {name: [] for name in COLLECTIONS}


def test_unreadable_files_and_bytes(other: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bytes.jsonl"
    path.write_bytes(b'{"format": "llm-twin-warehouse", "version": 1}\n\xff\xfe\n')
    with open_warehouse(other) as warehouse:
        with pytest.raises(BadDataError, match="line 2: not UTF-8"):
            import_warehouse(warehouse, path)
        with pytest.raises(BadDataError, match="cannot be read: No such file"):
            import_warehouse(warehouse, tmp_path / "missing.jsonl")
        with pytest.raises(BadDataError, match="cannot be written"):
            export_warehouse(warehouse, tmp_path / "no" / "folder.jsonl")


def test_an_export_that_fails_leaves_the_old_file(
    stores_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text("the old one")
    with open_warehouse(stores_settings) as warehouse:
        warehouse.upsert(document("one"))
        real = warehouse.records

        def die_at_documents(collection: str, author_id: str | None = None):
            if collection == "documents":
                raise TryAgainError("the warehouse does not answer")
            return real(collection, author_id)

        monkeypatch.setattr(warehouse, "records", die_at_documents)
        with pytest.raises(TryAgainError):
            export_warehouse(warehouse, path)
    assert path.read_text() == "the old one"
    assert list(tmp_path.glob(".*")) == []
