"""What jobs read and write, as OpenLineage events (https://openlineage.io) for Marquez and others:
START, and COMPLETE, FAIL or ABORT, each with the data sets of the job.

Nothing is sent, and the client is not imported, unless OpenLineage's own variables say where to:
``OPENLINEAGE_URL``, ``OPENLINEAGE_CONFIG`` or ``OPENLINEAGE__TRANSPORT…``. Airflow's run is the
parent by ``OPENLINEAGE_PARENT_ID`` (namespace/name/run id), which the JobOperator sets. An event
that can't be sent is a warning in the log: it never fails a job.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from twin.domain.result import JobResult
from twin.recipes import Recipe
from twin.settings import Settings

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

#: Each says where events go to.
_CONFIGURED_BY = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
PARENT = "OPENLINEAGE_PARENT_ID"
NAMESPACE = "OPENLINEAGE_NAMESPACE"
PRODUCER = "https://github.com/llm-twin/llm-twin"

#: What a job reads and what it writes, by the words of `_DATASETS`; of others only that they ran.
JOBS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "crawl run": (("sources",), ("documents",)),
    "crawl forget": (("documents",), ("documents", "index", "answers")),
    "features build": (("documents",), ("index",)),
    "features snapshot": (("index",), ("snapshots",)),
    "features train-reranker": (("index", "samples"), ("rerankers",)),
    "features finetune-embedder": (("index", "samples"), ("embedders",)),
    "datasets make": (("documents", "index"), ("samples",)),
    "datasets feedback": (("answers",), ("pairs",)),
    "training sft": (("samples",), ("adapters",)),
    "training pairs": (("samples", "adapters"), ("pairs",)),
    "training dpo": (("samples", "pairs", "adapters"), ("adapters",)),
    "training distill": (("samples", "adapters"), ("adapters",)),
    "training prune": (("samples", "adapters"), ("adapters",)),
    "training package": (("adapters",), ("weights",)),
    "evaluation run": (("weights", "samples", "index"), ("reports",)),
    "rollout start": (("weights", "index"), ("service",)),
    "monitoring run": (("documents", "index", "samples", "answers"), ("monitoring",)),
    "monitoring questions": (("answers",), ("questions",)),
    "monitoring topics": (("index", "answers"), ("topics",)),
    "backup create": (("documents", "index"), ("backups",)),
    "backup restore": (("backups",), ("documents", "index")),
}

#: Folders and files of the file store.
_FILES = {
    "samples": "datasets/{recipe}",
    "adapters": "training/{recipe}",
    "pairs": "pairs/{recipe}",
    "rerankers": "rerankers/{recipe}",
    "embedders": "embedders/{recipe}",
    "snapshots": "snapshots/{recipe}",
    "backups": "backups/{recipe}",
    "weights": "models/{model}",
    "reports": "reports/{model}",
    "service": "rollouts/{model}.json",
    "monitoring": "monitoring/{recipe}.json",
    "questions": "monitoring/questions/{recipe}",
    "topics": "monitoring/topics/{recipe}",
}

#: Which of a result's ids is the version of a data set.
_VERSIONS = {
    "samples": "dataset_version",
    "pairs": "pairs_version",
    "weights": "model_version",
    "service": "model_version",
    "index": "index",
    "snapshots": "snapshot",
    "backups": "backup",
}

log = structlog.get_logger("twin")


class DataSet(NamedTuple):
    """A data set by OpenLineage's naming: where it is, its name there, and its version if known."""

    namespace: str
    name: str
    version: str = ""


def are_wanted() -> bool:
    """Whether the environment says where events go to, and this process speaks for its job: of
    several on as many GPUs the first one does."""
    is_first = os.environ.get("RANK", "0") == "0"
    return is_first and any(name.startswith(_CONFIGURED_BY) for name in os.environ)


class LineageEvents:
    """The events of one run of a job; without a transport nothing is ever sent.

    Args:
        outcome: of the job, as far as it is known when an event is sent.
    """

    def __init__(self, outcome: JobResult) -> None:
        self._outcome = outcome
        self._known: tuple[Recipe, Settings]
        self._client: OpenLineageClient | None = None
        self._run_id = ""

    def start(self, recipe: Recipe, settings: Settings) -> None:
        """Tell that the job works now, on what its recipe says."""
        if are_wanted():
            self._known = (recipe, settings)
            self._quietly(self._open)
            self._send("START")

    def end(self, *, stopped: bool = False) -> None:
        """Tell how the job has ended, with the data sets in the versions that it names."""
        if self._client is not None:
            failed = "ABORT" if stopped else "FAIL"
            self._send(failed if self._outcome.status == "failed" else "COMPLETE")
            self._quietly(self._client.close)

    def _open(self) -> None:
        from openlineage.client import OpenLineageClient
        from openlineage.client.uuid import generate_new_uuid

        self._run_id = str(generate_new_uuid())
        self._client = OpenLineageClient()

    def _send(self, state: str) -> None:
        client = self._client
        if client is not None:
            self._quietly(lambda: client.emit(self._event(state)))

    def _quietly(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            log.warning("no lineage event is sent", job=self._outcome.job, reason=reason)

    def _event(self, state: str) -> "RunEvent":
        from openlineage.client.event_v2 import (
            InputDataset,
            Job,
            OutputDataset,
            Run,
            RunEvent,
            RunState,
        )
        from openlineage.client.facet_v2 import (
            DatasetFacet,
            RunFacet,
            dataset_version_dataset,
            error_message_run,
            job_type_job,
            parent_run,
        )

        outcome = self._outcome
        run_facets: dict[str, RunFacet] = {}
        if (parent := _parent()) is not None:
            namespace, name, identity = parent
            run_facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=identity), job=parent_run.Job(namespace, name)
            )
        if outcome.status == "failed" and outcome.message:
            run_facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=outcome.message, programmingLanguage="python"
            )

        def versioned(each: DataSet) -> dict[str, DatasetFacet]:
            facet = dataset_version_dataset.DatasetVersionDatasetFacet
            return {"version": facet(datasetVersion=each.version)} if each.version else {}

        reads, writes = data_sets(outcome, *self._known)
        kind = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="LLM_TWIN", jobType="JOB"
        )
        return RunEvent(
            eventType=RunState[state],
            eventTime=datetime.now(UTC).isoformat(),
            producer=PRODUCER,
            run=Run(runId=self._run_id, facets=run_facets),
            job=Job(
                namespace=os.environ.get(NAMESPACE, "llm-twin"),
                name=f"{self._known[0].name}.{outcome.job.replace(' ', '.')}",
                facets={"jobType": kind},
            ),
            inputs=[InputDataset(*each[:2], facets=versioned(each)) for each in reads],
            outputs=[OutputDataset(*each[:2], facets=versioned(each)) for each in writes],
        )


def data_sets(
    outcome: JobResult, recipe: Recipe, settings: Settings
) -> tuple[list[DataSet], list[DataSet]]:
    """What a job reads and writes; none of a job that is not in `JOBS`.

    Args:
        outcome: whose ids name versions.
        recipe: whose data sets.
        settings: where the stores are; credentials are no part of a name.
    """
    reads, writes = JOBS.get(outcome.job, ((), ()))

    def named(words: tuple[str, ...]) -> list[DataSet]:
        return [each for word in words for each in _named(word, outcome, recipe, settings)]

    return named(reads), named(writes)


def _named(word: str, outcome: JobResult, recipe: Recipe, settings: Settings) -> list[DataSet]:
    if word == "sources":
        return [DataSet(f"source://{recipe.author.id}", source.name) for source in recipe.sources]
    version = outcome.ids.get(_VERSIONS.get(word, ""), "")
    if word in ("documents", "answers"):
        address = _address(settings.mongo_uri.get_secret_value())
        return [DataSet(address, f"{settings.mongo_database}.{word}")]
    if word == "index":
        where = settings.index_url
        address = _address(where) if where else _address(settings.home.resolve().as_uri())
        return [DataSet(address, f"index/{recipe.name}", version)]
    name = _FILES[word].format(recipe=recipe.name, model=recipe.model_name)
    return [_file(settings.files_root, name, version)]


def _file(root: str, name: str, version: str) -> DataSet:
    """A place of the file store: of a bucket the namespace is the bucket, else "file"."""
    parts = urlsplit(root)
    path = f"{parts.path.strip('/')}/{name}".strip("/")
    if parts.scheme in ("", "file"):
        return DataSet("file", f"/{path}", version)
    return DataSet(f"{parts.scheme}://{parts.netloc}", path, version)


def _address(url: str) -> str:
    """A URL's scheme, hosts and ports: no user, password or options."""
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{hosts}" if hosts else "file"


def _parent() -> tuple[str, str, str] | None:
    """Namespace, name and run id of what has started the job, if that is told as it should be."""
    parts = os.environ.get(PARENT, "").split("/")
    with suppress(ValueError):
        namespace, name, identity = parts
        return namespace, name, str(UUID(identity))
    return None
