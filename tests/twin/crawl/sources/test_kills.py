"""Crawls that are ended in their middle, and the runs that follow."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.twin.crawl.crawls import Crawled, recipe_file, run_crawl
from tests.twin.crawl.formats.pages import words, write
from tests.twin.crawl.formats.pdfs import bytes_of, report
from tests.twin.crawl.sources.git_server import github
from tests.twin.crawl.sources.jobs import documents
from tests.twin.crawl.stored import stored_documents
from twin.crawl.sources.git_clone import PREFIX
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

FILES = 150


def count(settings: Settings) -> int:
    return len(stored_documents(settings))


def state(settings: Settings) -> dict[str, tuple[Any, ...]]:
    """All that a crawl leaves, but for times."""
    with open_warehouse(settings) as warehouse:
        return {
            url: (
                item.id, item.title, item.content, item.revision, item.platform, item.kind,
                [revision.revision for revision in warehouse.revisions(item.id)],
            )
            for url, item in documents(settings).items()
        }  # fmt: skip


def killed_in_the_middle(settings: Settings, recipe: Path, *, after: int) -> Crawled:
    def kill(pid: int) -> None:
        servers.wait_until(lambda: count(settings) >= after, "the first files are stored")
        os.kill(pid, signal.SIGKILL)

    return run_crawl(settings, recipe, before=kill)


@pytest.mark.parametrize("kind", ["folder", pytest.param("github", marks=pytest.mark.nightly)])
def test_killed_and_resumed_is_as_undisturbed(
    stores_settings: Settings, tmp_path: Path, kind: str
) -> None:
    """Nightly buys the same with files of a repository; what reads both is one intake."""
    body = bytes_of(report())
    files: dict[str, bytes | str] = {
        f"{number:03}.md": f"# Note {number}\n\n{words()}" for number in range(FILES)
    }
    files |= {f"{number:03}.py": f"def f{number}():\n\tx = 1\n\treturn x\n" for number in range(9)}
    with github(tmp_path / "hub") as hub:
        if kind == "folder":
            files |= {f"{number:03}.pdf": body for number in range(20)}
            for name, content in files.items():
                write(tmp_path / "notes" / name, content)
            source = {"kind": "folder", "name": "notes", "path": str(tmp_path / "notes")}
        else:
            hub.add("notes", files)
            source = {"kind": "github", "name": "notes", "user": "tess", "hosts": hub.hosts}
        recipe = recipe_file(tmp_path, [source])
        done = killed_in_the_middle(stores_settings, recipe, after=20)
        assert done.code == -signal.SIGKILL
        assert 20 <= count(stores_settings) < FILES
        with open_warehouse(stores_settings) as warehouse:
            assert not warehouse.live_revisions("tester"), "nothing is live before the end"
        again = run_crawl(stores_settings, recipe)
        assert again.code == 0, again.error
        assert again.tally("notes")["unchanged"] >= 20
        undisturbed = stores_settings.model_copy(
            update={"mongo_database": f"{stores_settings.mongo_database}_2"}
        )
        assert run_crawl(undisturbed, recipe).code == 0
        assert state(stores_settings) == state(undisturbed)
        assert run_crawl(stores_settings, recipe).code == 99


def test_sigterm_in_a_clone_leaves_nothing(
    stores_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with github(tmp_path / "hub") as hub:
        hub.add("notes", {"README.md": words()})
        hub.hold = threading.Event()
        source = {"kind": "github", "name": "notes", "user": "tess", "hosts": hub.hosts}
        recipe = recipe_file(tmp_path, [source])

        def end(pid: int) -> None:
            servers.wait_until(lambda: list(scratch.glob(f"{PREFIX}*/*")), "the clone has begun")
            time.sleep(0.3)
            os.kill(pid, signal.SIGTERM)

        done = run_crawl(stores_settings, recipe, before=end)
        hub.hold.set()
    assert done.code == 143
    assert not list(scratch.glob(f"{PREFIX}*"))
    assert not _git_processes(str(scratch))


def _git_processes(folder: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if command.startswith("git") and folder in command:
            found.append(command)
    return found
