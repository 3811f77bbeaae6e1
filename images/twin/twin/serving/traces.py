"""Traces of answers, to MLflow: in batches, from a thread of their own, and never in the way.

By OpenTelemetry's exporter rather than MLflow's own, which was measured to drain an order of
magnitude slower. MLflow being down costs traces, never answers.
"""

import base64
import threading
from collections.abc import Sequence

import httpx
import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from twin.recipes import Recipe
from twin.serving.metrics import SPANS_DROPPED, Metrics
from twin.serving.sent_spans import RedactedSpans, is_sent
from twin.serving.span_metrics import SpanMetrics
from twin.settings import Settings
from twin.stores.mlflow_connection import shown_url

EXPERIMENT_HEADER = "x-mlflow-experiment-id"
TIMEOUT_SECONDS = 5.0
#: Spans that wait to be sent, four an answer; and those that are sent together.
MOST_WAITING = 2_048
AT_ONCE = 512

log = structlog.get_logger("twin.serving")


def send_traces(settings: Settings, recipe: Recipe, metrics: Metrics) -> TracerProvider:
    """Send the spans of this process to MLflow from now on, and measure them.

    They go to the recipe's experiment: a share of the traces, and those without personal data, as
    its section `serving.traces` says.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": "llm-twin"}))
    provider.add_span_processor(SpanMetrics(metrics))
    exporter = RedactedSpans(MlflowSpans(settings, recipe.name), recipe)
    share = recipe.serving.traces.share
    provider.add_span_processor(CountedBatches(exporter, metrics, share=share))
    trace.set_tracer_provider(provider)
    return provider


class CountedBatches(BatchSpanProcessor):
    """Sends spans in batches, and counts those that are not: the queue is full, or MLflow away.

    Args:
        exporter: takes them.
        metrics: counts those that are lost; what the share leaves out is not lost.
        most_waiting: spans that may wait.
        share: of traces that are sent.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        metrics: Metrics,
        most_waiting: int = MOST_WAITING,
        *,
        share: float = 1.0,
    ) -> None:
        self._share = share
        self._counts = _Counts(exporter, metrics)
        self._most_waiting = most_waiting
        super().__init__(
            self._counts,
            max_queue_size=most_waiting,
            max_export_batch_size=min(AT_ONCE, most_waiting),
        )

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, if its trace is sent and there is room."""
        if not is_sent(span.context.trace_id, self._share):
            return
        if self._counts.take(self._most_waiting):
            super().on_end(span)


class _Counts(SpanExporter):
    """Exports by another exporter; knows how many spans wait for it."""

    def __init__(self, exporter: SpanExporter, metrics: Metrics) -> None:
        self._exporter = exporter
        self._metrics = metrics
        self._waiting = 0
        self._lock = threading.Lock()

    def take(self, most: int) -> bool:
        """Whether one more span may wait."""
        with self._lock:
            if self._waiting < most:
                self._waiting += 1
                return True
        self._metrics.count(SPANS_DROPPED)
        return False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch, and count it if that fails."""
        with self._lock:
            self._waiting -= len(spans)
        result = self._exporter.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._metrics.count(SPANS_DROPPED, len(spans))
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


class MlflowSpans(SpanExporter):
    """Exports to MLflow's OTLP endpoint; finds (or makes) the experiment at the first export."""

    def __init__(self, settings: Settings, experiment: str) -> None:
        self._url = settings.mlflow_tracking_uri.rstrip("/")
        self._shown_url = shown_url(settings)
        self._experiment = experiment
        self._headers = _credentials(settings)
        self._exporter: OTLPSpanExporter | None = None
        self._lost = False
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; failure loses it, is logged once, and is tried again with the next."""
        try:
            with self._lock:
                self._exporter = self._exporter or self._connect()
            result = self._exporter.export(spans)
        except (httpx.HTTPError, KeyError, ValueError) as error:
            self._say_lost(type(error).__name__)
            return SpanExportResult.FAILURE
        if result is SpanExportResult.SUCCESS:
            self._lost = False
        else:
            self._say_lost("MLflow took none")
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        if self._exporter:
            self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _connect(self) -> OTLPSpanExporter:
        headers = {**self._headers, EXPERIMENT_HEADER: self._experiment_id()}
        return OTLPSpanExporter(
            endpoint=f"{self._url}/v1/traces", headers=headers, timeout=TIMEOUT_SECONDS
        )

    def _experiment_id(self) -> str:
        api = f"{self._url}/api/2.0/mlflow/experiments"
        with httpx.Client(timeout=TIMEOUT_SECONDS, headers=self._headers) as http:
            found = http.get(f"{api}/get-by-name", params={"experiment_name": self._experiment})
            if found.status_code == httpx.codes.NOT_FOUND:
                made = http.post(f"{api}/create", json={"name": self._experiment})
                return str(made.raise_for_status().json()["experiment_id"])
            return str(found.raise_for_status().json()["experiment"]["experiment_id"])

    def _say_lost(self, reason: str) -> None:
        if not self._lost:
            log.warning("traces are lost", mlflow=self._shown_url, reason=reason)
        self._lost = True


def _credentials(settings: Settings) -> dict[str, str]:
    if not (settings.mlflow_username and settings.mlflow_password):
        return {}
    pair = f"{settings.mlflow_username}:{settings.mlflow_password.get_secret_value()}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
