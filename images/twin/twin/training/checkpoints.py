"""Checkpoints of a training in the file store, so that another machine may go on from them."""

import os
import re
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog
from transformers import TrainerCallback  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import TryAgainError
from twin.stores.files import FileStore
from twin.training.patience import STORE_OUTAGE, patiently

log = structlog.get_logger("twin")

Step = int


class Checkpoints(TrainerCallback):
    """Publishes each checkpoint beside the training, whole or not at all, and drops older ones.

    While the store is away training goes on: the newest checkpoint waits, and is tried again with
    the next one and at the end. What a store holds is bounded: the newest ``kept``, and the one of
    the lowest validation loss.

    Args:
        files: the store.
        folder: of the training's checkpoints in it.
        scratch: a folder on the disk that the trainer saves to.
        kept: newest checkpoints to be kept.
    """

    def __init__(self, files: FileStore, folder: str, scratch: Path, kept: int) -> None:
        self._files = files
        self._folder = folder
        self._scratch = scratch
        self._kept = kept
        self._lock = threading.Lock()
        self._waiting: dict[Step, Path] = {}
        self._best: Step | None = None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._at_work: Future[None] | None = None

    def on_save(self, args: Any, state: Any, _control: Any, **_kwargs: Any) -> None:
        """Have the checkpoint just saved published; an older one that still waits is given up."""
        if not state.is_world_process_zero:
            return
        step: Step = state.global_step
        with self._lock:
            self._best = state.best_global_step
            for old in [old for old in self._waiting if old != self._best]:
                shutil.rmtree(self._waiting.pop(old), ignore_errors=True)
            self._waiting[step] = self._linked(Path(args.output_dir) / f"checkpoint-{step}")
        if self._at_work is not None and self._at_work.done():
            self._at_work.result()  # what no later attempt can mend ends the training
        self._at_work = self._worker.submit(self._try_to_publish)

    def finish(self, patience: float = STORE_OUTAGE) -> None:
        """Wait until everything is published.

        Raises:
            TryAgainError: the store was away for ``patience`` seconds.
        """
        self._worker.shutdown(wait=True)
        if self._at_work is not None:
            self._at_work.result()
        patiently(self._publish, patience)

    def newest(self, cache: Path) -> Path | None:
        """The newest whole checkpoint, on this machine's disk."""
        steps = self._published()
        return self._fetch(steps[-1], cache) if steps else None

    def fetch_best(self, step: Step, output_dir: Path, cache: Path) -> None:
        """Put the checkpoint that was best so far where the trainer looks for it."""
        target = output_dir / f"checkpoint-{step}"
        if not target.is_dir() and step in self._published():
            shutil.copytree(self._fetch(step, cache), target)

    def _linked(self, checkpoint: Path) -> Path:
        """The same files by other names: the trainer may delete its own meanwhile."""
        copy = self._scratch / checkpoint.name
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(checkpoint, copy, copy_function=os.link)
        return copy

    def _try_to_publish(self) -> None:
        try:
            self._publish()
        except TryAgainError as error:
            log.warning("checkpoint waits for the file store", reason=str(error))

    def _publish(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                step, local = min(self._waiting.items())
            try:
                self._files.publish_folder(local, f"{self._folder}/checkpoint-{step}")
            except Exception:
                with self._lock:
                    if step in self._waiting:
                        raise
                continue  # given up meanwhile, for a newer one
            with self._lock:
                self._waiting.pop(step, None)
                best = self._best
            shutil.rmtree(local, ignore_errors=True)
            self._drop_before(step, {best, *self._published()[-self._kept :]})

    def _drop_before(self, newest: Step, keep: set[Step | None]) -> None:
        """Remove older checkpoints, half-written ones too."""
        for step in self._named():
            if step < newest and step not in keep:
                self._files.remove(f"{self._folder}/checkpoint-{step}")

    def _named(self) -> list[Step]:
        names = self._files.names(self._folder)
        matches = (re.fullmatch(r"checkpoint-(\d+)", name) for name in names)
        return sorted(int(match[1]) for match in matches if match)

    def _published(self) -> list[Step]:
        return [
            step
            for step in self._named()
            if self._files.is_published(f"{self._folder}/checkpoint-{step}")
        ]

    def _fetch(self, step: Step, cache: Path) -> Path:
        return self._files.fetch_folder(f"{self._folder}/checkpoint-{step}", cache)
