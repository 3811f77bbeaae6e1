"""What of an answer's spans leaves the process: a share of the traces, without personal data."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from twin.recipes import Recipe
from twin.text.personal_data import PersonalDataDetector, redacted

#: Ids of traces are random; this many of their bits decide whether one is sent.
BITS = 56
#: Attributes that hold JSON, whose texts are looked at one by one.
AS_JSON = ("mlflow.spanInputs", "mlflow.spanOutputs")


def is_sent(trace_id: int, share: float) -> bool:
    """Whether a trace is among the share that is sent: all of its spans, or none."""
    within: int = trace_id & ((1 << BITS) - 1)
    return within < share * (1 << BITS)


class RedactedSpans(SpanExporter):
    """Exports spans by another exporter, with personal data replaced by its kind.

    Args:
        exporter: takes the spans as they may leave.
        recipe: names the kinds, and people.
    """

    def __init__(self, exporter: SpanExporter, recipe: Recipe) -> None:
        self._exporter = exporter
        self._kinds = frozenset(recipe.serving.traces.redact)
        names = recipe.datasets.personal_data.names
        self._detector = PersonalDataDetector(names, recipe.author.name)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch."""
        if self._kinds:
            spans = [self._redacted(span) for span in spans]
        return self._exporter.export(spans)

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()

    def _redacted(self, span: ReadableSpan) -> ReadableSpan:
        description = span.status.description
        return ReadableSpan(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=self._attributes(span.attributes or {}),
            events=[
                Event(event.name, self._attributes(event.attributes or {}), event.timestamp)
                for event in span.events
            ],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code, description and self._text(description)),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _attributes(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in attributes.items()}

    def _value(self, name: str, value: Any) -> Any:
        if name not in AS_JSON:
            return self._within(value)
        try:
            held = json.loads(value)
        except ValueError:
            return self._within(value)
        return json.dumps(self._within(held), ensure_ascii=False)

    def _within(self, value: Any) -> Any:
        """A value with every text in it looked through."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self._within(item) for key, item in value.items()}
        if isinstance(value, Sequence):
            return [self._within(item) for item in value]
        return value

    def _text(self, text: str) -> str:
        return redacted(text, self._detector, self._kinds)[0]
