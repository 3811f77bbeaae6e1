import asyncio
import socket
import time

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult

from twin.rag.query import Query
from twin.serving.traces import TIMEOUT_SECONDS, MlflowSpans


@pytest.fixture
def traced(chain, monkeypatch):
    """Give the chain a tracer of the test's own; returns its provider."""

    def use(settings):
        provider = TracerProvider()
        spans = MlflowSpans(settings, f"traces-{time.time_ns()}")
        provider.add_span_processor(BatchSpanProcessor(spans, schedule_delay_millis=100))
        monkeypatch.setattr(chain._spans, "_tracer", provider.get_tracer("test"))
        return provider, spans

    return use


def test_an_answer_is_one_trace_in_mlflow_with_what_was_retrieved(
    chain, traced, settings, mlflow_url
):
    provider, _ = traced(settings.model_copy(update={"mlflow_tracking_uri": mlflow_url}))
    answer = asyncio.run(chain.answer(Query(question="Why pods?", max_new_tokens=5)))
    provider.force_flush()

    import mlflow

    mlflow.set_tracking_uri(mlflow_url)
    found = mlflow.get_trace(answer.trace_id)
    spans = {span.name: span for span in found.data.spans}
    assert set(spans) == {"answer", "guardrails", "retrieve", "generate", "cite"}
    assert spans["retrieve"].parent_id == spans["answer"].span_id
    assert spans["answer"].inputs == {"question": "Why pods?"}
    assert spans["answer"].outputs["sources"] == [source.chunk_id for source in answer.sources]
    assert spans["retrieve"].span_type == "RETRIEVER"
    assert {span.attributes["twin.prompt_version"] for span in spans.values()} == {"3"}
    assert found.info.token_usage["output_tokens"] == answer.completion_tokens
    provider.shutdown()


def test_answers_do_not_wait_for_an_mlflow_that_is_down_and_it_is_found_again(
    chain, traced, settings, mlflow_url
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        away = settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{port}"})
        provider, spans = traced(away)
        started = time.monotonic()
        for _ in range(5):
            assert asyncio.run(chain.answer(Query(question="Why?", max_new_tokens=1))).answer
        # Each would wait for as long as a request to MLflow may take.
        assert time.monotonic() - started < 5 * TIMEOUT_SECONDS
    assert spans.export([]) is SpanExportResult.FAILURE
    spans._url = mlflow_url  # as if it were started now
    assert spans.export([_span(provider)]) is SpanExportResult.SUCCESS
    provider.shutdown()


def _span(provider):
    with provider.get_tracer("test").start_as_current_span("again") as span:
        pass
    return span


def test_without_a_provider_an_answer_has_a_trace_id_too(chain):
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    query = Query(question="Why?", max_new_tokens=1)
    one, two = (asyncio.run(chain.answer(query)) for _ in range(2))
    assert one.trace_id != two.trace_id


def test_a_password_goes_into_the_header_only(settings):
    keyed = settings.model_validate(
        {**settings.model_dump(), "mlflow_username": "me", "mlflow_password": "secret"}
    )
    headers = MlflowSpans(keyed, "e")._headers
    assert httpx.BasicAuth("me", "secret")._auth_header == headers["Authorization"]
