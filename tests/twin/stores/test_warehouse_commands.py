"""`twin warehouse` on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.twin.stores.documents import document
from twin.settings import Settings
from twin.stores import warehouse_commands
from twin.stores.warehouse import open_warehouse


class Command:
    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(warehouse_commands, "get_settings", lambda: settings)

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(warehouse_commands.app, list(arguments))


@pytest.fixture
def twin(stores_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Command:
    with open_warehouse(stores_settings) as warehouse:
        warehouse.upsert(document("one", "Old.", author="handbook"))
        warehouse.upsert(document("one", "New [bold]text[/] \x1b[31mred\n", author="handbook"))
        warehouse.upsert(document("two", author="bob"))
    return Command(stores_settings, monkeypatch)


def test_list_as_table_and_as_json(twin: Command) -> None:
    table = twin("list").stdout
    assert "https://bob.example/two" in table and "2 documents" in table
    by_author = json.loads(twin("list", "--author", "bob", "--json").stdout)
    assert [item["url"] for item in by_author] == ["https://bob.example/two"]
    assert "content" not in by_author[0]
    by_recipe = json.loads(twin("list", "--recipe", "handbook", "--json").stdout)
    assert [item["author_id"] for item in by_recipe] == ["handbook"]
    assert json.loads(twin("list", "--gone", "--json").stdout) == []


def test_show_by_url_and_by_id(twin: Command) -> None:
    shown = twin("show", "https://handbook.example/one").stdout
    assert "title:        One" in shown and "New [bold]text[/]" in shown
    assert "\x1b" not in shown, "stored text may not drive the terminal"
    data = json.loads(twin("show", "https://bob.example/two", "--json").stdout)
    assert data["content"] == "Some text."
    assert json.loads(twin("show", data["id"], "--json").stdout) == data


def test_show_revisions(twin: Command) -> None:
    url = "https://handbook.example/one"
    lines = twin("show", url, "--revisions").stdout.splitlines()
    assert len(lines) == 3 and lines[-1].endswith("stands today")
    data = json.loads(twin("show", url, "--revisions", "--json").stdout)
    assert data["revisions"][0]["content"] == "Old."


def test_export_and_import(twin: Command, tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    counts = "3 revisions, 2 documents, 0 quarantine, 0 crawls, 0 forgotten, 0 pages, 0 changes"
    said = f"{path}: {counts}"
    assert twin("export", str(path)).stdout.strip() == said
    assert twin("import", str(path)).stdout.strip() == said


def test_errors_are_one_line_with_their_code(
    twin: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = twin("show", "https://nobody.example/")
    assert missing.exit_code == 65 and missing.stderr.count("\n") == 1
    assert twin("list", "--recipe", "nonsense").exit_code == 65
    (tmp_path / "bad.jsonl").write_text("{}")
    bad = twin("import", str(tmp_path / "bad.jsonl"))
    assert bad.exit_code == 65 and "line 1" in bad.stderr
    away = Command(settings, monkeypatch)("list")
    assert away.exit_code == 75 and away.stderr.count("\n") == 1
