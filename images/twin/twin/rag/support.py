"""Whether a passage supports a sentence: the one verifier of the house.

Three pieces of evidence, weighed by logistic regression: the share of the sentence's telling words
that the passage holds, the cosine to the passage's most alike sentence, and the numbers and code
words that the passage lacks.

The weights were fitted on 1,254 pairs of a sentence and a passage from the written answers of two
thirds of the handbook's articles. On 777 pairs of the others the area under the ROC curve is 0.963
(0.934 where the wrong passage is the one most alike to the sentence); from `THRESHOLD` on it
accepts 90 % of the right passages, 10 % of those most alike and none of the random ones. `make
bench-support` measures it again. It sees words, not logic: a negation that is dropped goes through.
"""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from twin.models.embedder import Embedder
from twin.text.sentences import sentences
from twin.text.words import has_unspaced, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEXICAL, SEMANTIC, LACKING, BIAS = 7.0, 5.4, -5.8, -6.8
"""Weights of the share of words, of the cosine, and of each exact word that is missing."""
MOST_LACKING = 2

THRESHOLD = 0.5
"""Probability from which a sentence counts as supported."""

FEWEST_WORDS = 3
"""Words below which a sentence says nothing that could be verified ("Yes.", "No.")."""

STEM = 6
"""Letters by which words are compared, so that a plural or a tense makes no difference."""
TELLING = 4
"""Letters below which a word of a script with blanks is most likely a function word."""

KEPT = 4_096
"""Sentences whose vectors are kept: passages come again with every question about them."""

_EXACT = re.compile(r"`([^`\n]+)`|(\d+(?:[.,:]\d+)*)")


@dataclass(frozen=True)
class Evidence:
    """What speaks for a passage supporting a sentence.

    Attributes:
        lexical: share of the sentence's telling words that the passage holds, 0 to 1.
        semantic: cosine of the sentence to the passage's most alike sentence.
        lacking: numbers and code words of the sentence that the passage does not hold.
    """

    lexical: float
    semantic: float
    lacking: int

    @property
    def probability(self) -> float:
        """That the passage supports the sentence."""
        weighed = (
            LEXICAL * self.lexical
            + SEMANTIC * self.semantic
            + LACKING * min(self.lacking, MOST_LACKING)
            + BIAS
        )
        return 1 / (1 + math.exp(-weighed))


@dataclass(frozen=True)
class Support:
    """A sentence of an answer with the passage that supports it best.

    ``passage`` is its place among the passages; None where there are none.
    """

    sentence: str
    passage: int | None
    probability: float

    @property
    def is_supported(self) -> bool:
        """Whether the passage supports the sentence."""
        return self.probability >= THRESHOLD


class SupportVerifier:
    """Verifies answers by their passages. Safe to share between threads.

    Args:
        embedder: whose vectors tell what is alike.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, passages: Sequence[str]) -> None:
        """Embed the sentences of passages ahead of `verify`."""
        self._vectors([each for passage in passages for each in sentences(passage)])

    def verify(self, answer: str, passages: Sequence[str]) -> list[Support]:
        """The answer's sentences, each with its best passage, but for those that say too little.

        Args:
            answer: as it was written.
            passages: as they were shown (`twin.rag.prompt.format_passage`).
        """
        found = telling_sentences(answer)
        self._vectors([*found, *(each for passage in passages for each in sentences(passage))])
        return [self._best(sentence, passages) for sentence in found]

    def evidence(self, sentence: str, passage: str) -> Evidence:
        """What speaks for one passage."""
        asked = _telling_words(sentence)
        held = _stems(passage)
        [vector, *others] = self._vectors([sentence, *sentences(passage)])
        alike = (float(vector @ other) for other in others)
        return Evidence(
            lexical=sum(word in held for word in asked) / max(1, len(asked)),
            semantic=max(alike, default=0.0),
            lacking=sum(exact not in passage for exact in _exact_words(sentence)),
        )

    def _best(self, sentence: str, passages: Sequence[str]) -> Support:
        found = [self.evidence(sentence, passage).probability for passage in passages]
        if not found:
            return Support(sentence, None, 0.0)
        best = max(range(len(found)), key=found.__getitem__)
        return Support(sentence, best, found[best])

    def _vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """Kept ones, and the others made together."""
        import numpy as np

        with self._lock:
            found = {text: self._kept.get(text) for text in texts}
        missing = [text for text, vector in found.items() if vector is None]
        made = self._embedder.encode(missing) if missing else []
        found |= {
            text: np.asarray(vector, dtype=np.float32)
            for text, vector in zip(missing, made, strict=True)
        }
        vectors = {text: vector for text, vector in found.items() if vector is not None}
        with self._lock:
            for text, vector in vectors.items():
                self._kept[text] = vector
                self._kept.move_to_end(text)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return [vectors[text] for text in texts]


def telling_sentences(text: str) -> list[str]:
    """The sentences of a text that say something to be verified."""
    return [each for each in sentences(text) if tells(each)]


def tells(sentence: str) -> bool:
    """Whether a sentence says something to be verified."""
    return len(words(sentence)) >= FEWEST_WORDS


def _telling_words(sentence: str) -> list[str]:
    return [_stem(word) for word in words(sentence) if _is_telling(word)]


def _is_telling(word: str) -> bool:
    long = len(word) >= TELLING or has_unspaced(word)
    return long or any(character.isdigit() for character in word)


@lru_cache(KEPT)
def _stems(passage: str) -> frozenset[str]:
    return frozenset(map(_stem, words(passage)))


def _stem(word: str) -> str:
    return word.casefold()[:STEM]


def _exact_words(sentence: str) -> set[str]:
    return {code or number for code, number in _EXACT.findall(sentence)}
