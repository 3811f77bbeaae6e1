"""What an operator sees of the endpoint: counters and histograms by twin and version.

The names are Prometheus's. On Ray they go out with what Ray itself exports, on every node, and are
called ``ray_…`` there (`twin.serving.ray_metrics`); elsewhere a process counts for itself.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

PATH = "/metrics"
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 25.0, 60.0)
SPEEDS = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
OF_VERSION = ("model", "version")
#: And by which version of the prompt it was asked.
OF_PROMPT = (*OF_VERSION, "prompt")


@dataclass(frozen=True)
class Measure:
    """Something that is counted, or whose values are distributed over buckets.

    A counter is called ``…_total`` where it is read.
    """

    name: str
    kind: Literal["counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


ANSWERS = Measure(
    "twin_answers", "counter",
    "Answers by outcome: grounded, ungrounded (from no passage), refused (the author has not "
    "written about it), failed, left (by its caller)",
    (*OF_PROMPT, "outcome"),
)  # fmt: skip
SENTENCES = Measure(
    "twin_sentences", "counter",
    "Sentences of answers that were checked, by whether a source supports them",
    (*OF_PROMPT, "supported"),
)  # fmt: skip
TOKENS = Measure(
    "twin_tokens", "counter", "Tokens read (prompt) and written (completion)", (*OF_PROMPT, "kind")
)
FIRST_WORD = Measure(
    "twin_first_word_seconds", "histogram",
    "From a version's taking a question to the first word of its answer",
    OF_PROMPT, SECONDS,
)  # fmt: skip
ENGINE_WAIT = Measure(
    "twin_engine_wait_seconds", "histogram",
    "From asking the engine to its first word: the queue before it, and the prompt's reading",
    OF_PROMPT, SECONDS,
)  # fmt: skip
SPEED = Measure(
    "twin_tokens_per_second", "histogram",
    "Tokens a second of an answer, from its first word to its last", OF_PROMPT, SPEEDS,
)  # fmt: skip
GUARDRAIL_HITS = Measure(
    "twin_guardrail_hits", "counter",
    "What guardrails have found, by where: question, system, schema, history, passage; link, key, "
    "personal or toxic (of an answer)",
    (*OF_VERSION, "where"),
)  # fmt: skip
LIMITED = Measure(
    "twin_limited_requests", "counter", "Requests that a limit of their key has refused", ("code",)
)
ANSWERS_DROPPED = Measure(
    "twin_answers_dropped", "counter", "Answers that should have been kept and could not be"
)
SPANS_DROPPED = Measure(
    "twin_spans_dropped", "counter", "Spans of traces that did not reach MLflow"
)
BACKGROUND = Measure(
    "twin_background_answers", "counter",
    "Answers in the background by how they ended: completed, incomplete, failed or cancelled",
    ("outcome",),
)  # fmt: skip
WEBHOOKS = Measure(
    "twin_webhooks", "counter",
    "Ends of answers that a webhook was told: told, again (tried later) or given_up", ("outcome",),
)  # fmt: skip

MEASURES = (
    ANSWERS, SENTENCES, TOKENS, FIRST_WORD, ENGINE_WAIT, SPEED, GUARDRAIL_HITS, LIMITED,
    ANSWERS_DROPPED, SPANS_DROPPED, BACKGROUND, WEBHOOKS,
)  # fmt: skip


class Metrics(Protocol):
    """Takes measurements; cheap, and never fails."""

    def count(self, measure: Measure, number: float = 1, /, **labels: str) -> None:
        """Add to a counter."""

    def observe(self, measure: Measure, value: float, /, **labels: str) -> None:
        """Add a value to a histogram."""

    async def text(self) -> str:
        """All that was measured, in Prometheus's text format.

        Raises:
            TryAgainError: it cannot be had now.
        """


class ProcessMetrics:
    """Metrics of this process alone."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            each.name: Counter(each.name, each.help, each.labels, registry=self._registry)
            for each in MEASURES
            if each.kind == "counter"
        }
        self._histograms = {
            each.name: Histogram(
                each.name, each.help, each.labels, registry=self._registry, buckets=each.buckets
            )
            for each in MEASURES
            if each.kind == "histogram"
        }

    def count(self, measure: Measure, number: float = 1, /, **labels: str) -> None:
        """See `Metrics.count`."""
        counter = self._counters[measure.name]
        (counter.labels(**labels) if labels else counter).inc(number)

    def observe(self, measure: Measure, value: float, /, **labels: str) -> None:
        """See `Metrics.observe`."""
        self._histograms[measure.name].labels(**labels).observe(value)

    async def text(self) -> str:
        """See `Metrics.text`."""
        return generate_latest(self._registry).decode()


def merged(texts: Iterable[str], prefixes: tuple[str, ...]) -> str:
    """Several texts of Prometheus's format as one: of each family one head, then all samples.

    Args:
        texts: as several processes export them.
        prefixes: of the families that are wanted.
    """
    heads: dict[str, dict[str, str]] = defaultdict(dict)
    samples: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        family = ""
        for line in text.splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                _, kind, family, *_ = line.split(" ")
                heads[family].setdefault(kind, line)
            elif line and not line.startswith("#"):
                samples[family].append(line)
    wanted = sorted(family for family in samples if family.startswith(prefixes))
    lines = [line for each in wanted for line in (*heads[each].values(), *samples[each])]
    return "".join(f"{line}\n" for line in lines)
