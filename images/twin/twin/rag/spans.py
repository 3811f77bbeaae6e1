"""One trace an answer: ``answer`` with its parts ``retrieve`` and ``generate``.

OpenTelemetry's API does nothing until a provider is set.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import INVALID_TRACE_ID, Span, set_span_in_context

from twin.domain.answer import Answer, Passage
from twin.models.language_model import Generation
from twin.rag.retrieve import Found

#: Attribute of spans that ended early: the caller went away, or the time was up.
STOPPED = "twin.stopped"
#: Event of spans: the first word has come.
FIRST_WORD_EVENT = "first word"
#: Attribute of a generation: its tokens, as a JSON object.
USAGE = "mlflow.chat.tokenUsage"


class AnswerSpans:
    """Begins the spans of one model version's answers, asked by one version of the prompt.

    ``configuration`` is the digest of all that shapes its answers; "" where it is not served.
    """

    def __init__(self, model: str, version: str, prompt: str, configuration: str = "") -> None:
        self.model = model
        self.version = version
        self.configuration = configuration
        self._prompt = prompt
        self._tracer = trace.get_tracer("twin.rag")

    @contextmanager
    def span(self, name: str, kind: str, inputs: Any, parent: Span | None = None) -> Iterator[Span]:
        """A span that is ended in any case and holds what went in.

        Never made current: a stream may be closed in another context than it was begun in.
        """
        context = set_span_in_context(parent) if parent else None
        span = self._tracer.start_span(name, context=context)
        span.set_attribute("mlflow.spanType", kind)
        span.set_attribute("mlflow.spanInputs", _json(inputs))
        span.set_attribute("twin.model", self.model)
        span.set_attribute("twin.model_version", self.version)
        span.set_attribute("twin.prompt_version", self._prompt)
        span.set_attribute("twin.configuration", self.configuration)
        try:
            yield span
        except Exception as error:
            span.record_exception(error)
            span.set_status(trace.StatusCode.ERROR, str(error))
            raise
        except BaseException:  # the generator is closed, or its task cancelled
            span.set_attribute(STOPPED, True)
            raise
        finally:
            span.end()


def trace_id(span: Span) -> str:
    """MLflow's name of the trace; a random one of the same form where nothing is traced."""
    number = span.get_span_context().trace_id
    return f"tr-{number:032x}" if number != INVALID_TRACE_ID else f"tr-{uuid.uuid4().hex}"


def record_found(span: Span, found: Found) -> None:
    """What retrieval says of the question."""
    span.set_attribute("twin.answerable", found.answerable)
    if found.similarity is not None:
        span.set_attribute("twin.similarity", found.similarity)
    if found.notes:
        span.set_attribute("twin.notes", found.notes)


def record_passages(span: Span, passages: Sequence[Passage]) -> None:
    """The passages that are shown to the model."""
    documents = [
        {
            "page_content": passage.text,
            "metadata": {
                "doc_uri": passage.url,
                "chunk_id": passage.chunk_id,
                "title": passage.title,
                "score": passage.score,
            },
        }
        for passage in passages
    ]
    span.set_attribute("mlflow.spanOutputs", _json(documents))


def record_generation(span: Span, generation: Generation) -> None:
    """What was written, and its tokens."""
    usage = {
        "input_tokens": generation.prompt_tokens,
        "output_tokens": generation.completion_tokens,
        "total_tokens": generation.prompt_tokens + generation.completion_tokens,
    }
    span.set_attribute(USAGE, _json(usage))
    span.set_attribute("mlflow.spanOutputs", _json(generation.text))


def record_answer(span: Span, answer: Answer) -> None:
    """The answer, with the ids of what it cites."""
    outputs = {
        "answer": answer.answer,
        "sources": [source.chunk_id for source in answer.sources],
        "grounded": answer.grounded,
        "finish_reason": answer.finish_reason,
        "sentences": len(answer.sentences),
        "supported": sum(sentence.supported for sentence in answer.sentences),
    }
    span.set_attribute("mlflow.spanOutputs", _json(outputs))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
