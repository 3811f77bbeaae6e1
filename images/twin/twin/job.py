"""The contract of every job: recipe in, progress out, a small JSON result, an honest exit code."""

import errno
import json
import logging
import os
import resource
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from twin.domain.errors import (
    BadConfigurationError,
    ExitCode,
    TryAgainError,
    TwinError,
    disk_is_full,
)
from twin.domain.result import Counts, JobResult
from twin.lineage_events import LineageEvents
from twin.recipes import Recipe, load_recipe
from twin.recipes.changes import split_assignments
from twin.settings import Settings, get_settings

RecipeOption = Annotated[
    str, typer.Option("--recipe", help="Recipe by name (include/recipes) or file.")
]
RunIdOption = Annotated[
    str | None,
    typer.Option("--run-id", help="Id of the run that this job belongs to; made up if not given."),
]
ResultOption = Annotated[
    str | None,
    typer.Option("--result", help="Where to write the JSON result: a path or an s3:// URI."),
]

MAX_FAILURES_IN_RESULT = 50
SECONDS_BETWEEN_PROGRESS_LINES = 15

log = structlog.get_logger("twin")


class Stopped(SystemExit):
    """SIGTERM has come: what is open is closed, then the process ends."""

    exit_code = 128 + signal.SIGTERM

    def __init__(self) -> None:
        super().__init__(self.exit_code)

    def __str__(self) -> str:
        """For the result and the log."""
        return "told to end (SIGTERM)"


@dataclass
class Job:
    """What a job's body is given to work with and to report to.

    ``changes`` are values that hold in this run instead of the recipe's file, as
    `split_assignments` has them; ``recipe`` has them already.
    """

    recipe: Recipe
    settings: Settings
    run_id: str
    result: JobResult
    changes: tuple[str, ...] = ()
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def counts(self) -> Counts:
        """Counts of the result, to be added to as the job goes."""
        return self.result.counts

    def fail_item(self, item: str, reason: str) -> None:
        """Record an item that could not be used; the job itself goes on."""
        self.counts.failed += 1
        self._name(item, reason)
        log.warning("item failed", item=item, reason=reason)

    def skip_item(self, item: str, reason: str) -> None:
        """Record an item that was left out as the recipe wants it."""
        self.counts.skipped += 1
        self._name(item, reason)

    def _name(self, item: str, reason: str) -> None:
        if len(self.result.failures) < MAX_FAILURES_IN_RESULT:
            self.result.failures[item] = reason

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show progress: a bar on a terminal, a log line now and then elsewhere.

        Yields a function to call with the number of items done since the last call.
        """
        if self.console.is_terminal:
            with _bar(self.console) as bar:
                task = bar.add_task(what, total=total)
                yield lambda done: bar.advance(task, done)
        else:
            yield _progress_lines(what, total)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _progress_lines(what: str, total: int | None) -> Callable[[int], None]:
    done = 0
    started = last = time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if done == total or time.monotonic() - last > SECONDS_BETWEEN_PROGRESS_LINES:
            last = time.monotonic()
            rate = done / max(last - started, 1e-3)
            left = (
                {} if total is None else {"seconds_left": round((total - done) / max(rate, 1e-9))}
            )
            log.info(what, done=done, total=total, per_second=round(rate, 2), **left)

    return advance


def configure_logging() -> None:
    """Log to standard error: one JSON object a line in a pod, lines for people elsewhere."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if _in_pod()
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[*shared, renderer],
        # Standard error as it is at each line: whoever replaced it may have closed the old one.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


def _in_pod() -> bool:
    """Kubernetes sets this in every container."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def run_job(
    name: str,
    body: Callable[[Job], None],
    *,
    recipe: str,
    run_id: str | None = None,
    result: str | None = None,
    changes: Sequence[str] = (),
) -> None:
    """Run ``body`` under the job contract and leave by `typer.Exit` with its exit code.

    A `TwinError` becomes one line on standard error and its own exit code; anything else is a
    defect and keeps its traceback. SIGTERM (a pod that is deleted, a task that is cleared or out
    of time) ends the body as an error would, with exit code 143. The result is written whichever
    of these ways the job ends; the last line on standard error is the reason.
    """
    configure_logging()
    run_id = run_id or uuid.uuid4().hex[:12]
    outcome = JobResult(job=name, recipe=recipe, run_id=run_id)
    with _stopped_by_sigterm():
        code = _run(name, body, outcome, result, changes)
    raise typer.Exit(code)


def _run(
    name: str,
    body: Callable[[Job], None],
    outcome: JobResult,
    destination: str | None,
    changes: Sequence[str],
) -> ExitCode:
    started = time.monotonic()
    ending: TwinError | Stopped | None = None
    events = LineageEvents(outcome)
    try:
        settings = get_settings()
        recipe = load_recipe(
            outcome.recipe, settings.recipes, settings.overrides, changes, name.partition(" ")[0]
        )
        made = tuple(split_assignments(changes))
        events.start(recipe, settings)
        with _disk_errors_explained():
            body(Job(recipe, settings, outcome.run_id, outcome, made))
    except (TwinError, Stopped) as error:
        ending, outcome.message = error, str(error)
        skipped = error.exit_code == ExitCode.NOTHING_TO_DO
        outcome.status = "skipped" if skipped else "failed"
    except BaseException as error:
        outcome.status, outcome.message = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        outcome.seconds = round(time.monotonic() - started, 3)
        outcome.peak_memory_mb = round(_peak_memory_mb(), 1)
        _report(outcome, destination)
        # After the result: a collector that is slow costs the job nothing that others wait for.
        events.end(stopped=isinstance(ending, Stopped))
    if ending is None:
        return ExitCode.DONE
    _say(name, ending)
    if isinstance(ending, Stopped):
        raise ending
    return ending.exit_code


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `Stopped`, once: whoever sends it may send it again meanwhile.

    Only a program's main thread can; elsewhere the program's own handling stays.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _stop(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stopped


@contextmanager
def plain_errors(name: str) -> Iterator[None]:
    """For commands that are no jobs: a `TwinError` ends them in one line, by its exit code."""
    try:
        yield
    except TwinError as error:
        _say(name, error)
        raise typer.Exit(error.exit_code) from None


@contextmanager
def _disk_errors_explained() -> Iterator[None]:
    """What only whoever runs a job can mend about its folders, in plain words."""
    try:
        yield
    except Exception as error:
        if disk_is_full(error):
            path = getattr(error, "filename", None)
            raise TryAgainError(
                f"no space left{f' for {path}' if path else ''}: make some, "
                "or name larger folders with TWIN_HOME and TWIN_FILES_URI (a pod: larger volumes "
                "in its profile)"
            ) from error
        if not isinstance(error, OSError):
            raise
        if error.errno in {errno.EACCES, errno.EROFS} and error.filename:
            raise BadConfigurationError(
                f"user {os.getuid()} may not use {error.filename} ({error.strerror}): give the "
                "right, or name folders of the job's own with TWIN_HOME and TWIN_FILES_URI"
            ) from error
        raise


def _say(name: str, error: TwinError | Stopped) -> None:
    word = "nothing to do" if error.exit_code is ExitCode.NOTHING_TO_DO else "error"
    print(f"twin {name}: {word}: {error}", file=sys.stderr, flush=True)


def _peak_memory_mb() -> float:
    """Largest resident set of this process or one of its children, in MiB."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(_own_peak_kib(), children) / 1024


def _own_peak_kib() -> int:
    # getrusage would count what the process was forked from, before it became this program.
    status = Path("/proc/self/status")
    if status.exists():
        lines = (line.split() for line in status.read_text(encoding="ascii").splitlines())
        return next(int(line[1]) for line in lines if line[0] == "VmHWM:")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _report(outcome: JobResult, destination: str | None) -> None:
    if _in_pod():
        log.info("result", **json.loads(outcome.model_dump_json()))
    else:
        counts = outcome.counts.model_dump()
        log.info(f"{outcome.job}: {outcome.status}", seconds=outcome.seconds, **counts)
    if destination is None:
        return
    text = outcome.model_dump_json(indent=2)
    if "://" in destination:
        import fsspec

        with fsspec.open(destination, "w", encoding="utf-8", auto_mkdir=True) as remote:
            remote.write(text)
        return
    # Renamed into place, so that a reader never sees half a result.
    path = Path(destination)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
