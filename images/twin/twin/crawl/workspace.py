"""The folder of one crawl of one source: what it needs again if it is ended in its middle.

``<home>/crawls/<author>/<source>/<run>/`` holds the snapshot files that still grow (``warc/``),
Scrapy's queue (``queue/``) and ``paused.json``, which is there only if the crawl was told to end
and did so in order. After a kill -9 the queue is behind what its list of seen requests says, so a
crawl that resumed from it would see nothing: without ``paused.json`` the queue is thrown away and
the crawl starts again, asking for news only. In a pod the folder is an emptyDir, gone with it.
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from filelock import FileLock, Timeout

from twin.domain.errors import TryAgainError
from twin.settings import Settings
from twin.stores.files import folder_digest
from twin.stores.snapshots import SUFFIX, Snapshots

PAUSED = "paused.json"
LOCK = "lock"
#: Raise it when the spider's callbacks or what it knows (`WebSpider.state`) change.
PAUSE_FORMAT = "4"
#: Nobody retries a run of last week: its queue is deleted.
STALE_SECONDS = 7 * 24 * 3600

log = structlog.get_logger("twin.crawl")


def run_slug(run_id: str) -> str:
    """A run's id as part of a file name."""
    slug = re.sub(r"[^A-Za-z0-9-]+", "-", run_id).strip("-")[:40]
    return f"{slug}-{hashlib.sha256(run_id.encode()).hexdigest()[:6]}"


class Workspace:
    """See the module and `open_workspace`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.snapshots = folder / "warc"
        self.queue = folder / "queue"

    def paused(self, rules: str) -> dict[str, Any] | None:
        """What a crawl that was told to end knew, given out once; None: start afresh.

        Args:
            rules: what the crawl goes by; a pause under other rules is of no use.
        """
        path = self.folder / PAUSED
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            data = None
        # From here on a kill finds no note, and rightly: the queue is being worked on.
        path.unlink(missing_ok=True)
        if isinstance(data, dict) and data.get("rules") == rules and self._is_whole(data):
            known: dict[str, Any] = data["known"]
            return known
        shutil.rmtree(self.queue, ignore_errors=True)
        return None

    def pause(self, rules: str, known: dict[str, Any]) -> None:
        """Note that the queue is whole, and what the crawl knows besides."""
        path = self.folder / PAUSED
        temporary = path.with_suffix(".part")
        note = {
            "rules": rules, "known": known, "made by": _code(),
            "queue": folder_digest(self.queue),
        }  # fmt: skip
        temporary.write_text(json.dumps(note), encoding="utf-8")
        temporary.replace(path)

    def _is_whole(self, note: dict[str, Any]) -> bool:
        """Whether the queue is what it was when the crawl paused."""
        if note.get("made by") != _code() or not self.queue.is_dir():
            return False
        return bool(note.get("queue") == folder_digest(self.queue))

    def finish(self) -> None:
        """Delete what only a resumed crawl would need."""
        (self.folder / PAUSED).unlink(missing_ok=True)
        shutil.rmtree(self.queue, ignore_errors=True)

    def recover(self, snapshots: Snapshots, source: str) -> None:
        """Bring snapshot files that a killed crawl has left to the store."""
        for path in sorted(self.snapshots.glob(f"*{SUFFIX}")):
            name = snapshots.publish(source, path)
            log.info("snapshot recovered", file=path.name, kept=name is not None)


def _code() -> list[str]:
    """What wrote the queue and its note: requests name methods of the spider."""
    return [PAUSE_FORMAT, version("twin"), version("scrapy")]


@contextmanager
def open_workspace(
    settings: Settings, author_id: str, source: str, run_id: str, snapshots: Snapshots | None
) -> Iterator[Workspace]:
    """The folder of this crawl, with what earlier ones have left in theirs brought to the store.

    Raises:
        TryAgainError: another process crawls this source in the same run.
    """
    parent = settings.home.resolve() / "crawls" / author_id / source
    own = Workspace(parent / run_slug(run_id))
    own.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(own.folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TryAgainError(
            f"source {source!r}: another process still crawls it in run {run_id!r}"
        ) from None
    try:
        _sweep(parent, own.folder, snapshots, source)
        if snapshots is not None:
            own.recover(snapshots, source)
        yield own
    finally:
        if not own.queue.exists() and not any(own.snapshots.glob("*")):
            shutil.rmtree(own.folder, ignore_errors=True)
        lock.release()


def _sweep(parent: Path, own: Path, snapshots: Snapshots | None, source: str) -> None:
    """Recover from the folders of crawls that have ended; delete those of no further use."""
    for folder in sorted(parent.iterdir()):
        if folder == own or not folder.is_dir():
            continue
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue  # it is being crawled, or was deleted just now
        try:
            other = Workspace(folder)
            if snapshots is not None:
                other.recover(snapshots, source)
            paused = folder / PAUSED
            with suppress(FileNotFoundError):
                if time.time() - paused.stat().st_mtime < STALE_SECONDS:
                    continue
            if not any(other.snapshots.glob("*")):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()
