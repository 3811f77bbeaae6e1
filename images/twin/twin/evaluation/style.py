"""Stylometry: does a model's text count like the author's, whatever it is about?

Four families of features that writers do not choose on purpose: frequent words, runs of three
characters, punctuation, and the lengths of sentences. Each family is a distribution; likeness is
one minus the Jensen-Shannon distance (base 2) between the model's and the author's, from 0 to 1,
and the style similarity is the mean of the four. Beside it stands Burrows' Delta, the classic.

All are computed from counts summed over the samples, for single answers are too short to have a
style. Nothing here knows a language: the words are the author's most frequent ones that occur
across many passages, which leaves the topics out.

Sources: J. Burrows, "'Delta': a Measure of Stylistic Difference", LLC 17(3), 2002; E. Stamatatos,
"A Survey of Modern Authorship Attribution Methods", JASIST 60(3), 2009 (character n-grams,
punctuation, sentence length); M. Eder, J. Rybicki, M. Kestemont, "Stylometry with R", R Journal
8(1), 2016 (culling of words that few texts have).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import regex

from twin.domain.errors import BadDataError
from twin.evaluation.resampling import Statistic
from twin.text.words import spaced

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.feature_extraction.text import CountVectorizer

WORDS = 100
TRIGRAMS = 300
MARKS = 30
#: A word counts as frequent only if at least this share of the author's passages has it.
CULLING = 0.2
FAMILIES = ("words", "trigrams", "punctuation", "sentences")

#: A word, with the part after an apostrophe. Numbers are none.
_WORD = regex.compile(r"\p{L}[\p{L}\p{M}]*(?:['\u2019]\p{L}[\p{L}\p{M}]*)?")
_MARK = r"[^\w\s]"
_HALF_END = ".!?\u2026"
#: Full-width full stop, exclamation and question mark: no space follows them.
_FULL_END = "\u3002\uff01\uff1f"
_CLOSING = "\"'\u201d\u2019)\\]"
_SENTENCE_END = re.compile(
    rf"(?<=[{_HALF_END}])[{_CLOSING}]*\s+|(?<=[{_FULL_END}])[{_CLOSING}]*\s*"
)
_ENDED = re.compile(rf"[{_HALF_END}{_FULL_END}][{_CLOSING}]*\s*$")
#: Upper bounds, in words, of the classes of sentence length.
_LENGTHS = (3, 6, 9, 12, 16, 20, 25, 30, 40, 60)


@dataclass(frozen=True)
class AuthorStyle:
    """What the author's own texts look like: made once, compared with many."""

    counters: "dict[str, CountVectorizer]"
    reference: "dict[str, NDArray[np.float64]]"
    word_mean: "NDArray[np.float64]"
    word_spread: "NDArray[np.float64]"

    def similarity(self, texts: Sequence[str]) -> Statistic:
        """Likeness of the texts, taken together, to the author's: 1 is indistinguishable."""
        counts = _count(texts, self.counters)

        def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
            likeness = [
                _likeness(weights @ counts[family], self.reference[family]) for family in FAMILIES
            ]
            mean: NDArray[np.float64] = sum(likeness[1:], start=likeness[0]) / len(FAMILIES)
            return mean

        return Statistic(of, least=0.0, most=1.0)

    def delta(self, texts: Sequence[str]) -> Statistic:
        """Burrows' Delta of the texts, taken together: 0 is the author's average, less is closer.

        The mean absolute z-score of the frequent words' frequencies, in units of how much the
        author varies from passage to passage.
        """
        import numpy as np

        counts = _count(texts, self.counters)["words"]

        def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
            total = weights @ counts
            frequencies = total[..., :-1] / np.maximum(total.sum(axis=-1, keepdims=True), 1)
            scores = np.abs(frequencies - self.word_mean) / self.word_spread
            mean: NDArray[np.float64] = scores.mean(axis=-1)
            return mean

        return Statistic(of, least=0.0)


def author_style(texts: Sequence[str]) -> AuthorStyle:
    """Learn the frequent words and trigrams of the author's texts, and how they are used.

    Raises:
        BadDataError: the texts hold no words.
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    counters = {
        "words": CountVectorizer(
            tokenizer=_words, token_pattern=None, min_df=CULLING, max_features=WORDS
        ),
        "trigrams": CountVectorizer(analyzer="char", ngram_range=(3, 3), max_features=TRIGRAMS),
        "punctuation": CountVectorizer(token_pattern=_MARK, max_features=MARKS),
    }
    try:
        for counter in counters.values():
            counter.fit(texts)
    except ValueError as error:
        raise BadDataError(f"the author's training texts show no style: {error}") from None
    counts = _count(texts, counters)
    frequencies = counts["words"] / np.maximum(counts["words"].sum(axis=1, keepdims=True), 1)
    spread = frequencies[:, :-1].std(axis=0)
    return AuthorStyle(
        counters=counters,
        reference={family: counts[family].sum(axis=0) for family in FAMILIES},
        word_mean=frequencies[:, :-1].mean(axis=0),
        # One passage, or a word used equally in all, has no spread to divide by.
        word_spread=np.where(spread > 0, spread, 1.0),
    )


def _words(text: str) -> list[str]:
    found: list[str] = _WORD.findall(spaced(text))
    return found


def _count(
    texts: Sequence[str], counters: "dict[str, CountVectorizer]"
) -> "dict[str, NDArray[np.float64]]":
    """Counts per text (rows) and family; the last column is what the family leaves out."""
    import numpy as np

    words = [len(_words(text)) for text in texts]
    marks = [len(re.findall(_MARK, text)) for text in texts]
    totals = {
        "words": words,
        "trigrams": [max(len(text) - 2, 0) for text in texts],
        # Between the marks stand words: how many is what tells sparse from heavy punctuation.
        "punctuation": np.add(words, marks),
    }
    counts = {
        family: _with_rest(counters[family].transform(texts).toarray(), total)
        for family, total in totals.items()
    }
    lengths = np.array([_sentence_lengths(text) for text in texts], dtype=np.float64)
    return {**counts, "sentences": lengths}


def _with_rest(counts: Any, total: Any) -> "NDArray[np.float64]":
    import numpy as np

    rest = np.maximum(np.asarray(total)[:, None] - counts.sum(axis=1, keepdims=True), 0)
    return np.hstack([counts, rest]).astype(np.float64)


def _sentence_lengths(text: str) -> list[int]:
    """Number of sentences in each class of length; a cut-off last one is left out."""
    sentences = [part for part in _SENTENCE_END.split(text) if part.strip()]
    if len(sentences) > 1 and not _ENDED.search(sentences[-1]):
        sentences.pop()
    lengths = [len(_words(sentence)) for sentence in sentences]
    bounds = (0, *_LENGTHS, float("inf"))
    return [sum(low < length <= high for length in lengths) for low, high in pairwise(bounds)]


def _likeness(counts: Any, reference: Any) -> Any:
    """One minus the Jensen-Shannon distance; texts without any feature are not alike at all."""
    import numpy as np
    from scipy.spatial.distance import jensenshannon

    empty = counts.sum(axis=-1) == 0
    usable = np.where(empty[..., None], reference, counts)
    distance = jensenshannon(usable, np.broadcast_to(reference, usable.shape), base=2, axis=-1)
    return np.where(empty, 0.0, 1.0 - np.nan_to_num(distance))
