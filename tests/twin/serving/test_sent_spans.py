"""What of a trace leaves the process: a share of them, and no personal data."""

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client.parser import text_string_to_metric_families

from tests.twin import twins
from tests.twin.answers import answer, passage
from twin.rag.spans import AnswerSpans, record_answer, record_passages
from twin.recipes.traces import TracesSection
from twin.serving.metrics import ProcessMetrics
from twin.serving.sent_spans import RedactedSpans, is_sent
from twin.serving.traces import CountedBatches

MAIL, CARD, KEY = "ann@pods.example", "4111 1111 1111 1111", "ghp_" + "a1" * 20
PERSONAL = f"Write to {MAIL}, pay by {CARD}, use {KEY}, ask Bob Marlow, call +44 20 7946 0958."
ITEMS = (MAIL, CARD, KEY, "+44 20 7946 0958")


class Kept(SpanExporter):
    """Takes everything."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self):
        pass


@pytest.fixture
def recipe(tmp_path):
    made = twins.write_recipe(tmp_path / "recipes")
    names = made.datasets.personal_data.model_copy(update={"names": ("Bob Marlow",)})
    datasets = made.datasets.model_copy(update={"personal_data": names})
    return made.model_copy(update={"datasets": datasets})


def with_traces(recipe, **traces):
    section = TracesSection(**traces)
    serving = recipe.serving.model_copy(update={"traces": section})
    return recipe.model_copy(update={"serving": serving})


def traced(exporter, **options):
    """Spans of a process that sends to this exporter; and their provider."""
    provider = TracerProvider()
    metrics = ProcessMetrics()
    provider.add_span_processor(CountedBatches(exporter, metrics, **options))
    spans = AnswerSpans("twin-tiny", "1", "3")
    spans._tracer = provider.get_tracer("test")
    return spans, provider, metrics


def one_answer(spans):
    with (
        pytest.raises(ValueError, match="Write to"),
        spans.span("answer", "CHAIN", {"question": PERSONAL}) as span,
    ):
        record_answer(span, answer(text=PERSONAL))
        with spans.span("retrieve", "RETRIEVER", PERSONAL, parent=span) as inner:
            record_passages(inner, [passage("pods", PERSONAL)])
            inner.set_attribute("twin.notes", [PERSONAL, "plain"])
        raise ValueError(PERSONAL)


def test_no_personal_data_leaves_in_any_part_of_a_span(recipe):
    kept = Kept()
    spans, provider, _ = traced(RedactedSpans(kept, recipe))
    one_answer(spans)
    provider.force_flush()
    whole = "".join(span.to_json() for span in kept.spans)
    assert len(kept.spans) == 2
    for item in ITEMS:
        assert item not in whole
    assert "Bob Marlow" in whole, "names are not among the default kinds"
    retrieve, chain = kept.spans
    shown = json.loads(retrieve.attributes["mlflow.spanOutputs"])[0]["page_content"]
    assert shown == (
        "Write to [EMAIL_ADDRESS], pay by [CREDIT_CARD], use [SECRET_KEY], ask Bob Marlow, "
        "call [PHONE_NUMBER]."
    )
    assert retrieve.attributes["twin.notes"] == [shown, "plain"]
    assert json.loads(chain.attributes["mlflow.spanInputs"]) == {"question": shown}
    assert json.loads(chain.attributes["mlflow.spanOutputs"])["answer"] == shown
    assert chain.status.description == shown
    assert "[EMAIL_ADDRESS]" in chain.events[0].attributes["exception.message"]


def test_all_but_the_words_of_a_span_stays(recipe):
    plain, cleaned = Kept(), Kept()
    for exporter in (plain, RedactedSpans(cleaned, recipe)):
        spans, provider, _ = traced(exporter)
        one_answer(spans)
        provider.force_flush()
    for before, after in zip(plain.spans, cleaned.spans, strict=True):
        assert (after.name, after.kind, after.resource) == (
            before.name, before.kind, before.resource,
        )  # fmt: skip
        assert set(after.attributes) == set(before.attributes)
        assert after.attributes["twin.prompt_version"] == "3"
        assert [event.name for event in after.events] == [event.name for event in before.events]
        assert after.status.status_code is before.status.status_code
        assert after.end_time >= after.start_time > 0
    retrieve, chain = cleaned.spans
    assert retrieve.parent.span_id == chain.context.span_id
    assert retrieve.context.trace_id == chain.context.trace_id


def test_the_recipe_names_the_kinds(recipe):
    for kinds, gone in ((("PERSON",), ("Bob Marlow",)), ((), ())):
        kept = Kept()
        exporter = RedactedSpans(kept, with_traces(recipe, redact=kinds))
        spans, provider, _ = traced(exporter)
        one_answer(spans)
        provider.force_flush()
        whole = "".join(span.to_json(indent=None) for span in kept.spans)
        for item in (*ITEMS, "Bob Marlow"):
            assert (item in whole) == (item not in gone)


def test_outputs_that_are_no_json_are_looked_through_all_the_same(recipe):
    kept = Kept()
    spans, provider, _ = traced(RedactedSpans(kept, recipe))
    with spans.span("answer", "CHAIN", "?") as span:
        span.set_attribute("mlflow.spanOutputs", f"not json: {MAIL}")
    provider.force_flush()
    assert kept.spans[0].attributes["mlflow.spanOutputs"] == "not json: [EMAIL_ADDRESS]"


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_traces_is_sent_each_whole_or_not_at_all(share):
    kept = Kept()
    spans, provider, metrics = traced(kept, share=share)
    answers = 400
    for _ in range(answers):
        with spans.span("answer", "CHAIN", "?") as span, spans.span("cite", "X", "", parent=span):
            pass
        provider.force_flush()
    of_trace = {}
    for span in kept.spans:
        of_trace.setdefault(span.context.trace_id, []).append(span)
    assert all(len(each) == 2 for each in of_trace.values())
    assert abs(len(of_trace) - share * answers) <= 60 * (0 < share < 1)
    import asyncio

    lost = [
        sample.value
        for family in text_string_to_metric_families(asyncio.run(metrics.text()))
        for sample in family.samples
        if sample.name == "twin_spans_dropped_total"
    ]
    assert lost == [0.0], "what is left out is not lost"


def test_the_trace_alone_decides():
    assert is_sent(2**56 - 1, 1.0)
    assert not is_sent(0, 0.0)
    assert is_sent(2**55 - 1, 0.5) and not is_sent(2**55, 0.5)
    assert is_sent(2**120, 0.01), "only the last bits are looked at"
