"""The folder in which a job of training works, which is one job's at a time."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from twin.domain.errors import TryAgainError
from twin.models.gpus import is_first, process_number
from twin.settings import Settings


@contextmanager
def scratch_folder(settings: Settings, name: str) -> Iterator[Path]:
    """An empty folder for work in progress, under the home folder; gone afterwards.

    Its name is fixed, so what a killed attempt left is cleared by the next one. Each process of a
    training has its own.

    Raises:
        TryAgainError: another process works in it.
    """
    home = settings.home.resolve()
    if not is_first():
        name = f"{name}-{process_number()}"
    folder = home / "work" / name
    with _alone(home / "locks" / f"{name}.lock"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock that the system takes back from a process that is killed."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TryAgainError(
                f"another job is at work on {lock.stem} here (it holds {lock}): try again when "
                "it has ended"
            ) from None
        yield
