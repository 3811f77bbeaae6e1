"""Metrics of a version, read off the spans of its answers as they end.

A span is recorded for every answer, whether its trace is sent anywhere or not; so nothing is
measured on the way of a token.
"""

import json
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from twin.rag.answer_guard import CLEANED
from twin.rag.guardrails import MARKED
from twin.rag.spans import FIRST_WORD_EVENT, USAGE
from twin.serving.metrics import (
    ENGINE_WAIT,
    FIRST_WORD,
    GUARDRAIL_HITS,
    SPEED,
    Metrics,
)

NANOSECONDS = 1e9


class SpanMetrics(SpanProcessor):
    """Measures the spans ``answer``, ``guardrails``, ``retrieve`` and ``generate``."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def on_end(self, span: ReadableSpan) -> None:
        """Measure a span."""
        attributes = span.attributes or {}
        labels = {
            "model": str(attributes.get("twin.model", "")),
            "version": str(attributes.get("twin.model_version", "")),
        }
        prompt = str(attributes.get("twin.prompt_version", ""))
        if span.name == "answer":
            self._first_word(span, {**labels, "prompt": prompt})
        elif span.name in ("guardrails", "retrieve"):
            self._marked(attributes, labels)
        elif span.name == "generate":
            self._generated(span, attributes, labels, prompt)

    def _first_word(self, span: ReadableSpan, labels: dict[str, str]) -> None:
        begun = _first_word(span)
        if begun is not None and span.start_time is not None:
            seconds = (begun - span.start_time) / NANOSECONDS
            self._metrics.observe(FIRST_WORD, seconds, **labels)

    def _marked(self, attributes: Mapping[str, Any], labels: dict[str, str]) -> None:
        found = json.loads(attributes.get(MARKED, "{}"))
        for where in ("question", "system", "schema", "history"):
            if hits := len(found.get(where, ())):
                self._metrics.count(GUARDRAIL_HITS, hits, where=where, **labels)
        if passages := sum(map(len, found.get("passages", {}).values())):
            self._metrics.count(GUARDRAIL_HITS, passages, where="passage", **labels)

    def _generated(
        self,
        span: ReadableSpan,
        attributes: Mapping[str, Any],
        labels: dict[str, str],
        prompt: str,
    ) -> None:
        for name, number in json.loads(attributes.get(CLEANED, "{}")).items():
            if number:
                self._metrics.count(GUARDRAIL_HITS, number, where=name.removesuffix("s"), **labels)
        begun = _first_word(span)
        labels = {**labels, "prompt": prompt}
        if begun is None or span.start_time is None or span.end_time is None:
            return
        self._metrics.observe(ENGINE_WAIT, (begun - span.start_time) / NANOSECONDS, **labels)
        written = json.loads(attributes.get(USAGE, "{}")).get("output_tokens", 0)
        seconds = (span.end_time - begun) / NANOSECONDS
        if written > 1 and seconds > 0:
            self._metrics.observe(SPEED, (written - 1) / seconds, **labels)


def _first_word(span: ReadableSpan) -> int | None:
    """When it came, in nanoseconds."""
    return next((each.timestamp for each in span.events if each.name == FIRST_WORD_EVENT), None)
