"""Answers given again to questions that ask the same (`serving.cache` of a recipe; off by default).

A question is looked up after its passages were retrieved and before anything is written. An answer
is given again if its question is as near as the recipe wants, everything else that its caller asked
for is the same, and it was written from the very passages that were found now. So an index that
says something else, or a document that was forgotten, ends what came from it by itself. A process
answers as one version of a model, with one prompt, and keeps its own: nothing outlives either.
"""

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twin.domain.answer import Answer
from twin.rag.query import Query

if TYPE_CHECKING:
    from twin.models.embedder import Embedder
    from twin.rag.prompt_writer import Prompt
    from twin.recipes.serving import CacheSection

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Lookup:
    """A question as it was looked up, and the answer that there was.

    Attributes:
        key: of what must be the same.
        vector: of the question.
        answer: an earlier one; None: there is none that fits.
    """

    key: Key
    vector: Sequence[float]
    answer: Answer | None = None


@dataclass(frozen=True)
class _Kept:
    vector: Sequence[float]
    answer: Answer
    until: float


class AnswerCache:
    """The answers of one process. Blocking for as long as a question takes to embed; to be shared
    between threads.

    Args:
        section: the recipe's.
        embedder: of questions.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        section: "CacheSection",
        embedder: "Embedder",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._section = section
        self._embedder = embedder
        self._clock = clock
        self._lock = threading.Lock()
        #: By what must be the same, and there by the answer's id; the last used at the end.
        self._kept: OrderedDict[Key, OrderedDict[str, _Kept]] = OrderedDict()

    def __len__(self) -> int:
        """How many answers are kept."""
        return sum(map(len, self._kept.values()))

    def look(self, query: Query, prompt: "Prompt") -> Lookup | None:
        """Look a question up; None: answers to such questions are not given again.

        Such are later turns of a conversation, JSON by a schema, and what is refused.
        """
        if query.history or query.json_schema or not prompt.answerable or not prompt.passages:
            return None
        (vector,) = self._embedder.encode_questions([query.question])
        key = _key(query, prompt)
        with self._lock:
            self._drop_what_is_over(key)
            nearest = max(
                self._kept.get(key, OrderedDict()).items(),
                key=lambda item: _cosine(vector, item[1].vector),
                default=None,
            )
            if nearest is None:
                return Lookup(key, vector)
            identity, kept = nearest
            if _cosine(vector, kept.vector) < self._section.min_similarity:
                return Lookup(key, vector)
            self._kept[key].move_to_end(identity)
            self._kept.move_to_end(key)
        return Lookup(key, vector, kept.answer)

    def keep(self, lookup: Lookup, answer: Answer) -> None:
        """Keep what was answered, if it is whole and from the texts."""
        if answer.refused or not answer.grounded or answer.finish_reason != "stop":
            return
        until = self._clock() + self._section.seconds
        with self._lock:
            kept = self._kept.setdefault(lookup.key, OrderedDict())
            kept[answer.id] = _Kept(lookup.vector, answer, until)
            self._kept.move_to_end(lookup.key)
            while len(self) > self._section.max_answers:
                oldest = next(iter(self._kept.values()))
                oldest.popitem(last=False)
                if not oldest:
                    self._kept.popitem(last=False)

    def _drop_what_is_over(self, key: Key) -> None:
        now = self._clock()
        kept = self._kept.get(key, OrderedDict())
        for identity in [each for each, one in kept.items() if one.until <= now]:
            del kept[identity]
        if key in self._kept and not kept:
            del self._kept[key]


def given_again(answer: Answer, query: Query, trace: str) -> Answer:
    """An earlier answer as the answer to this question: its own id and trace, and no tokens."""
    return answer.model_copy(
        update={
            "id": uuid.uuid4().hex,
            "question": query.question,
            "trace_id": trace,
            "again": answer.again or answer.id,
            "prompt_tokens": 0,
            "completion_tokens": 0,
        }
    )


def _key(query: Query, prompt: "Prompt") -> Key:
    """All that shapes an answer but the question's own words."""
    asked = query.model_dump_json(exclude={"question", "sources_first"})
    passages = sorted((each.chunk_id, each.revision, each.joined) for each in prompt.passages)
    return (asked, repr(prompt.params), tuple(passages))


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of unit vectors."""
    return sum(a * b for a, b in zip(one, other, strict=True))
