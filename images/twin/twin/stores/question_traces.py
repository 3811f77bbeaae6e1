"""The questions of an evaluation in MLflow: a trace each, with scores, and a dataset of them all.

MLflow's web UI shows them with the run (*Evaluation runs* of the experiment): question, answer and
expected answer in a row, every score as an assessment, averages above; two runs can be compared
question by question. Nothing is computed here, and no judge is asked.

A trace is known by its run and its sample, so a job that was killed writes the same traces again,
and whoever forgets a document finds them (`trace_id_of`).
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from twin.settings import Settings
from twin.stores.mlflow_connection import mlflow_client, mlflow_errors
from twin.stores.question_ids import DOCUMENT_TAG, SAMPLE_TAG, trace_id_of

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo

EXPECTED = "expected_response"
"""MLflow's own name for what should have been answered."""
SCORER = "twin evaluation"

_RUN_TYPE, _EVALUATION = "mlflow.runType", "genai_evaluate"
_PREVIEW = 1_000  # characters of question and answer that MLflow keeps for its tables
_TRACES_A_CALL = 100


@dataclass(frozen=True)
class AnsweredQuestion:
    """A test question with its answer.

    Attributes:
        sample: id.
        document: id of the document that it was made from.
        question: what was asked.
        passages: what was shown with it.
        expected: what the author wrote.
        answer: of the model that is evaluated.
        others: what other models answered, by their part.
        scores: measure to the answer's own figure.
    """

    sample: str
    document: str
    question: str
    passages: tuple[str, ...]
    expected: str
    answer: str
    others: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Any]:
        """What MLflow pairs two runs' questions by."""
        return {"question": self.question, "passages": list(self.passages)}


def log_questions(
    settings: Settings,
    experiment_id: str,
    run_id: str,
    dataset: str,
    questions: Sequence[AnsweredQuestion],
) -> None:
    """Write the questions of a run; what it had before is replaced.

    Args:
        settings: where MLflow is.
        experiment_id: of the run.
        run_id: of the evaluation.
        dataset: name of the dataset of these questions, which is made or added to.
        questions: all of them.

    Raises:
        TryAgainError: MLflow does not answer.
    """
    from mlflow.entities import DatasetInput
    from mlflow.tracing.client import TracingClient

    client = mlflow_client(settings)
    with mlflow_errors(settings):
        store = TracingClient(settings.mlflow_tracking_uri).store
        ids = iter([trace_id_of(run_id, each.sample) for each in questions])
        while some := list(islice(ids, _TRACES_A_CALL)):
            client.delete_traces(experiment_id, trace_ids=some)
        now = int(time.time() * 1000)
        for each in questions:
            store.start_trace(_trace(experiment_id, run_id, each, now))
        if questions:
            store.log_spans(experiment_id, [_span(run_id, each, now) for each in questions])
        made = next(
            iter(client.search_datasets([experiment_id], f"name = '{dataset}'", max_results=1)),
            None,
        ) or client.create_dataset(dataset, experiment_id)
        store.upsert_dataset_records(made.dataset_id, list(_records(questions)))
        entity = client.get_dataset(made.dataset_id)._to_mlflow_entity()
        client.log_inputs(run_id, [DatasetInput(entity)])
        client.set_tag(run_id, _RUN_TYPE, _EVALUATION)


def _trace(experiment_id: str, run_id: str, asked: AnsweredQuestion, now: int) -> "TraceInfo":
    from mlflow.entities import (
        AssessmentSource,
        AssessmentSourceType,
        Expectation,
        Feedback,
        TraceInfo,
        TraceLocation,
        TraceState,
    )

    trace_id = trace_id_of(run_id, asked.sample)
    code = AssessmentSource(AssessmentSourceType.CODE, SCORER)
    author = AssessmentSource(AssessmentSourceType.HUMAN, "author")
    return TraceInfo(
        trace_id=trace_id,
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=now,
        state=TraceState.OK,
        request_preview=asked.question[:_PREVIEW],
        response_preview=asked.answer[:_PREVIEW],
        execution_duration=0,
        trace_metadata={"mlflow.sourceRun": run_id},
        tags={
            "mlflow.traceName": "test question",
            DOCUMENT_TAG: asked.document,
            SAMPLE_TAG: asked.sample,
        },
        assessments=[
            Expectation(EXPECTED, asked.expected, source=author, trace_id=trace_id),
            *(
                Feedback(name, value, source=code, trace_id=trace_id)
                for name, value in asked.scores.items()
            ),
        ],
    )


def _span(run_id: str, asked: AnsweredQuestion, now: int) -> "Span":
    """The one span of a trace: what was asked, and what everybody answered."""
    from mlflow.entities import Span

    trace_id = trace_id_of(run_id, asked.sample)
    attributes = {
        "mlflow.traceRequestId": trace_id,
        "mlflow.spanType": "CHAT_MODEL",
        "mlflow.spanInputs": asked.inputs,
        "mlflow.spanOutputs": asked.answer,
        **{f"answer of {who}": text for who, text in asked.others.items()},
    }
    return Span.from_dict(
        {
            "trace_id": trace_id,
            "span_id": trace_id[-16:],
            "parent_span_id": None,
            "name": "test question",
            "start_time_unix_nano": now * 1_000_000,
            "end_time_unix_nano": now * 1_000_000,
            "status": {"code": "STATUS_CODE_OK", "message": ""},
            "attributes": {key: json.dumps(value) for key, value in attributes.items()},
            "events": [],
        }
    )


def _records(questions: Sequence[AnsweredQuestion]) -> Iterator[dict[str, Any]]:
    for each in questions:
        yield {
            "inputs": each.inputs,
            "expectations": {EXPECTED: each.expected},
            "tags": {DOCUMENT_TAG: each.document, SAMPLE_TAG: each.sample},
        }
