"""Chunks of a made-up author of any size, and one run over them in a process of its own.

As a program: `python -m tests.bench.datasets_corpus PASSAGES [SHARDS]` makes the samples of so many
passages by the job itself, all gates that load no model among it, and prints what it took as JSON.
"""

import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import accumulate
from pathlib import Path

from tests.twin import corpora
from twin.datasets import make
from twin.datasets.parts import Shard
from twin.domain.chunk import Chunk
from twin.domain.result import JobResult
from twin.job import Job
from twin.settings import Settings
from twin.stores.index import DocumentState, IndexState
from twin.stores.spool import Spool, spool_of

OF_DOCUMENT = 10
"""Passages of a document."""
VOCABULARY = 20_000
WORDS = 90
"""Words of a passage, which are as frequent as those of a language (Zipf)."""


def chunks(passages: int) -> Iterator[Chunk]:
    """So many chunks, the same each time; one document in fifty is a copy of the one before it."""
    draw = random.Random(1)
    names = [_name(number) for number in range(VOCABULARY)]
    sums = list(accumulate(1 / (rank + 1) for rank in range(VOCABULARY)))
    own: list[Chunk] = []
    for number in range(passages // OF_DOCUMENT):
        made = corpora.document(f"d{number:06}", OF_DOCUMENT) if number < 2 else own
        words = iter(draw.choices(names, cum_weights=sums, k=WORDS * OF_DOCUMENT))
        texts = [_text([next(words) for _ in range(WORDS)]) for _ in range(OF_DOCUMENT)]
        if number % 50 == 49:
            texts = [chunk.text for chunk in own]
        own = [
            chunk.model_copy(
                update={
                    "id": f"{number}-{chunk.ordinal}",
                    "document_id": f"d{number:06}",
                    "text": text,
                    "title": f"Of {text.split()[0]} {number}",
                    "headings": (f"On {' '.join(text.split()[1:3])}",),
                }
            )
            for chunk, text in zip(made, texts, strict=True)
        ]
        yield from own


def _name(number: int) -> str:
    """A word that can be spoken, of a number."""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    word = ""
    while number or not word:
        number, rest = divmod(number, len(syllables))
        word += syllables[rest]
    return word + "n"


def _text(words: list[str]) -> str:
    sentences = [words[start : start + 15] for start in range(0, len(words), 15)]
    return " ".join(f"{' '.join(each).capitalize()}." for each in sentences)


class _State:
    """What the job asks of the index before it opens it, and the reader that it opens."""

    def __init__(self, chunks: Spool[Chunk], documents: dict[str, DocumentState]) -> None:
        self._chunks = chunks
        self._state = IndexState(spec=corpora.SPEC, documents=documents)

    def state(self) -> IndexState:
        return self._state

    def read(self) -> "_Reader":
        return _Reader(self._chunks, self._state)


class _Reader:
    """Chunks out of a file, as an index gives them: a store's own memory is not measured."""

    def __init__(self, chunks: Spool[Chunk], state: IndexState) -> None:
        self._chunks = chunks
        self.state = state

    def chunks(self, ids: Collection[str] | None = None) -> Iterator[Chunk]:
        return (c for c in self._chunks if ids is None or c.document_id in ids)

    def fingerprint(self) -> str:
        return self.state.fingerprint

    def close(self) -> None:
        pass


def index_of(passages: int) -> _State:
    """An index of so many chunks, written to a file."""
    held = spool_of(Chunk)
    counts: Counter[str] = Counter()
    for chunk in chunks(passages):
        held.append(chunk)
        counts[chunk.document_id] += 1
    states = {id_: DocumentState(revision="r1", chunks=n) for id_, n in counts.items()}
    return _State(held, states)


def main(passages: int, shards: int) -> None:
    """Make the samples of so many passages by the job itself, and print what it took."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), recipes=Path(home) / "recipes")
        knobs = {**corpora.SMALL, "max_samples": 4 * passages}
        recipe = corpora.write_recipe(settings.recipes, Path("none"), datasets=knobs)

        def run(index: _State, body: Callable[[Job], None]) -> JobResult:
            make.open_index = lambda *_: index
            result = JobResult(job="datasets make", recipe="ann", run_id="r")
            body(Job(recipe, settings, "r", result))
            return result

        run(index_of(200), make.make_samples)  # imports
        index = index_of(passages)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, at = time.process_time(), time.perf_counter()
        of_shards = []
        for number in range(1, shards + 1) if shards > 1 else ():
            began = time.process_time()
            run(index, lambda job, n=number: make.prepare_shard(job, Shard(n, shards)))
            of_shards.append(time.process_time() - began)
        found = run(index, lambda job: make.make_samples(job, shards))
        figures = {
            "passages": passages,
            "samples": found.counts.written,
            "seconds": time.process_time() - started,
            "waited": time.perf_counter() - at,
            "of_shards": of_shards,
            "before_mib": before / 1024,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
