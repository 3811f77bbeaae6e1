"""The job `twin serving prune-traces`: traces of answers go when their time is over."""

from datetime import UTC, datetime, timedelta

from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.stores.answer_traces import AnswerTraces


def prune_traces(job: Job) -> None:
    """Delete the traces that are older than the recipe's ``serving.traces.kept_days``.

    Raises:
        NothingToDo: there is none, or the recipe keeps them for ever.
        TryAgainError: MLflow does not answer.
    """
    days = job.recipe.serving.traces.kept_days
    if not days:
        raise NothingToDo("serving.traces.kept_days is 0: traces are kept for ever")
    before = datetime.now(UTC) - timedelta(days=days)
    total = 0
    with AnswerTraces(job.settings) as traces, job.progress("traces deleted", None) as advance:
        for deleted in traces.prune(job.recipe.name, before):
            total += deleted
            advance(deleted)
    job.counts.read = total
    job.result.detail["deleted"] = total
    if not total:
        raise NothingToDo(f"no trace of an answer is older than {days} days")
