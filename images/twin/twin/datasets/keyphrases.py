"""What a passage is about, in its own words: the phrases that tell it from its neighbours."""

import math
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from twin.text.shingles import number_of

MIN_WORDS, MAX_WORDS = 2, 3

_CODE = re.compile(r"`[^`]*`|\[([^\]]*)\]\([^)]*\)")
_BREAK = re.compile(r"[^\w'\u2019-]+|_+")
_SENTENCE_PART = re.compile(r"[^\w\s'\u2019-]+|\n")


def phrases(text: str) -> list[str]:
    """Candidate phrases: runs of two or three words without a stop word or a mark between them.

    The candidates of RAKE (Rose et al., 2010), lower-cased.
    """
    found, stop_words = [], _stop_words()
    for part in _SENTENCE_PART.split(_CODE.sub(lambda match: match[1] or ";", text)):
        run: list[str] = []
        for word in [*_BREAK.split(part.lower()), ""]:
            if len(word) > 2 and not word.isdigit() and word not in stop_words:
                run.append(word)
                continue
            if MIN_WORDS <= len(run) <= MAX_WORDS:
                found.append(" ".join(run))
            run = []
    return found


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


class KeyPhrases:
    """How frequent phrases are in texts, and by that the most telling ones of each, by TF-IDF.

    A phrase that stands in one text only is taken for an accident of its sentence, not for a term.
    Held are the numbers of those that stand in several.

    Args:
        texts: the `phrases` of each.
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        import numpy as np

        numbers = array("q")
        self._texts = 0
        for said in texts:
            self._texts += 1
            numbers.extend({number_of(phrase) for phrase in said})
        held, counts = np.unique(np.frombuffer(numbers, dtype=np.int64), return_counts=True)
        self._numbers, self._counts = held[counts > 1], counts[counts > 1]

    def of(self, said: Iterable[str], most: int = 3) -> list[str]:
        """Up to ``most`` phrases of a text, the most telling first.

        Args:
            said: the `phrases` of the text.
            most: how many.
        """
        scored = [
            (-(math.log(times) + 1) * (math.log((self._texts + 1) / (held + 1)) + 1), phrase)
            for phrase, times in Counter(said).items()
            if (held := self._holders(phrase)) > 1
        ]
        return [phrase for _, phrase in sorted(scored)[:most]]

    def _holders(self, phrase: str) -> int:
        number = number_of(phrase)
        place = int(self._numbers.searchsorted(number))
        is_held = place < len(self._numbers) and self._numbers[place] == number
        return int(self._counts[place]) if is_held else 0
