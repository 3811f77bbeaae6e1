"""Chunks of a made-up author of any size, and one run over them in a process of its own.

As a program: `python -m tests.bench.datasets_corpus PASSAGES` makes the samples of so many passages
and prints what it took as JSON.
"""

import json
import random
import resource
import sys
import time
from collections.abc import Iterator

from tests.twin import corpora
from twin.datasets.instruct import InstructSet, make_instruct_set
from twin.datasets.model_gates import toxicity_gate
from twin.datasets.personal_data import Redactor
from twin.domain.chunk import Chunk
from twin.recipes import DatasetsSection

OF_DOCUMENT = 10
"""Passages of a document."""
VOCABULARY = 20_000
WORDS = 90
"""Words of a passage, which are as frequent as those of a language (Zipf)."""


def chunks(passages: int) -> Iterator[Chunk]:
    """So many chunks, the same each time; one document in fifty is a copy of the one before it."""
    draw = random.Random(1)
    names = [_name(number) for number in range(VOCABULARY)]
    weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
    words = iter(draw.choices(names, weights, k=passages * WORDS))
    own: list[Chunk] = []
    for number in range(passages // OF_DOCUMENT):
        made = corpora.document(f"d{number:06}", OF_DOCUMENT) if number < 2 else own
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


def _make(made: list[Chunk], knobs: DatasetsSection) -> InstructSet:
    """As the job does, from chunks to samples, with the gates that load no model."""
    redactor = Redactor(knobs.personal_data, "Ann")
    redacted = [redactor.chunk(chunk) for chunk in made]
    return make_instruct_set(redacted, knobs, gates=[toxicity_gate(0.95)])


def main(passages: int) -> None:
    """Make the samples of so many passages and print what it took."""
    made = list(chunks(passages))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    knobs = DatasetsSection(max_samples=4 * passages)
    _make(made[:200], knobs)  # imports
    started, at = time.process_time(), time.perf_counter()
    found = _make(made, knobs)
    seconds, waited = time.process_time() - started, time.perf_counter() - at
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {
        "passages": passages,
        "samples": len(found.samples),
        "rejected": len(found.rejected),
        "seconds": seconds,
        "waited": waited,
        "chunks_mib": before / 1024,
        "peak_mib": peak / 1024,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))
