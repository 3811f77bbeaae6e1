"""The job `twin serving batch`: the questions of a file, answered by the endpoint that runs.

So a batch takes the same chain as every caller: the version in service, its guardrails, its traces,
the limits of its key. Ray Data reads the file and spreads the asking over processes (and, on a
cluster, nodes); this process alone writes, so that a kill loses only what was being written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.answer import Answer
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.job import Job
from twin.serving.batch_file import AnswersFile
from twin.serving.batch_rows import Asker

if TYPE_CHECKING:
    from ray.data import Dataset

#: Rows that one task asks, one after the other: what a kill loses of a process, at most.
ROWS_PER_TASK = 4
OBJECT_STORE_BYTES = 200_000_000


def answer_rows(
    job: Job, questions: Path, place: Path, *, at_once: int, version: str | None = None
) -> None:
    """Answer every row of a file that has no answer yet.

    Args:
        job: whose recipe names the twin.
        questions: a file of JSON lines or Parquet, see `twin.serving.batch_rows`.
        place: where the answers go, see `twin.serving.batch_file`.
        at_once: rows that are asked at the same time.
        version: which version answers; None: the one that has the traffic.

    Raises:
        NothingToDo: every row was answered before.
        BadDataError: a file can't be read, or not one row could be asked.
        TryAgainError: the endpoint is away; what is answered stays.
        BadConfigurationError: no key, or the endpoint does not take it.
    """
    if not job.settings.api_keys:
        raise BadConfigurationError("a batch asks the endpoint: set TWIN_API_KEYS to a key of it")
    answers = AnswersFile(place)
    model = job.recipe.model_name + (f"-v{version}" if version else "")
    asker = Asker(
        job.settings.endpoint_url,
        job.settings.api_keys[0].get_secret_value(),
        model,
        frozenset(answers.done),
    )
    with _ray(at_once):
        rows = _rows(questions)
        _write(job, rows, asker, answers, at_once)
    job.result.uris["answers"] = str(place)
    _check_outcome(job, questions)


def _write(job: Job, rows: "Dataset", asker: Asker, answers: AnswersFile, at_once: int) -> None:
    total = rows.count()

    def ask(row: dict[str, Any]) -> list[dict[str, Any]]:
        return asker.outcomes(row)

    outcomes = rows.repartition(target_num_rows_per_block=ROWS_PER_TASK).flat_map(
        ask, num_cpus=0.1, concurrency=at_once
    )
    failed = answers.place.with_name(f"{answers.place.name}.failed.jsonl")
    failed.unlink(missing_ok=True)
    with job.progress("answers", total) as advance, answers.appending():
        for outcome in outcomes.iter_rows():
            job.counts.read += 1
            _take(job, outcome, answers, failed)
            advance(1)
    answers.finish()


def _take(job: Job, outcome: dict[str, Any], answers: AnswersFile, failed: Path) -> None:
    row = outcome["id"]
    if outcome["away"]:
        kind, _, reason = outcome["away"].partition(": ")
        raise (BadConfigurationError if kind == "BadConfigurationError" else TryAgainError)(reason)
    if outcome["error"]:
        job.fail_item(row, outcome["error"])
        with failed.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"id": row, "error": outcome["error"]}) + "\n")
    elif row in answers.done:  # before this run, or a row that asked the same
        job.counts.skipped += 1
    else:
        answers.add(row, Answer.model_validate_json(outcome["answer"]))
        job.counts.written += 1


def _check_outcome(job: Job, questions: Path) -> None:
    counts = job.counts
    if not counts.read:
        raise BadDataError(f"{questions}: holds no row")
    if counts.failed == counts.read:
        reason = next(iter(job.result.failures.values()))
        raise BadDataError(f"{questions}: not one row could be asked; the first: {reason}")
    if not counts.written and not counts.failed:
        raise NothingToDo(f"all {counts.read:,} rows of {questions} were answered before")


def _rows(questions: Path) -> "Dataset":
    """The rows, unread. Lines are parsed one by one, so that a bad one is no more than that."""
    import ray.data

    if not questions.is_file():
        raise BadDataError(f"{questions}: no such file")
    if questions.suffix == ".parquet":
        try:
            return ray.data.read_parquet(str(questions))
        except Exception as error:
            reason = str(error).splitlines()[0][:200]
            raise BadDataError(f"{questions}: can't be read as Parquet: {reason}") from None
    if questions.suffix in (".jsonl", ".ndjson"):
        return ray.data.read_text(str(questions), drop_empty_lines=True).rename_columns(
            {"text": "line"}
        )
    raise BadDataError(f"{questions}: rows are read from .jsonl, .ndjson and .parquet")


@contextmanager
def _ray(at_once: int) -> Iterator[None]:
    """The cluster that RAY_ADDRESS names, else a Ray of this process's own."""
    import os

    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = "RAY_ADDRESS" not in os.environ
    more: dict[str, Any] = (
        {"address": "local", "num_cpus": max(2, at_once), "include_dashboard": False,
         "object_store_memory": OBJECT_STORE_BYTES}
        if own else {}
    )  # fmt: skip
    ray.init(logging_level="ERROR", log_to_driver=False, **more)
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield
    finally:
        ray.shutdown()
