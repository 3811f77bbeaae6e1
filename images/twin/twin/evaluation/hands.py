"""Three ways to tell one hand from others, each by something else that writers do not choose.

All read masked text (`masking`), so none of them knows what it is about. Each learns from pieces of
the author and of others, and gives a function from pieces to scores: the higher, the more like the
author. What a score is worth is found elsewhere (`authorship`).

Sources: E. Stamatatos, "A Survey of Modern Authorship Attribution Methods", JASIST 60(3), 2009
(character n-grams); A. Nini, O. Halvani, L. Graner, V. Gherardi, S. Ishihara, "Authorship
Verification based on the Likelihood Ratio of Grammar Models", 2024 (LambdaG).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import regex

from twin.evaluation.style import author_style

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scorer: TypeAlias = "Callable[[Sequence[str]], NDArray[np.float64]]"
Learn: TypeAlias = "Callable[[Sequence[str], Sequence[str]], Scorer]"

#: What LambdaG's grammar is made of: words and marks, and of how many the next one depends.
_TOKEN = regex.compile(r"[\p{L}\p{M}']+|\p{N}|[^\p{L}\p{N}\p{M}\s]")
_ORDER = 4
#: Grammars of other hands, each learned from as much text as the author's.
_REFERENCES = 2
_SEED = 7


def character_grams(author: Sequence[str], others: Sequence[str]) -> Scorer:
    """Runs of two to five characters, weighed by TF-IDF, in a logistic regression.

    They catch function words with what stands beside them, endings, punctuation and its blanks.
    Embeddings beside them do harm: they know the topic. Within one, the AUC of pieces fell from
    0.89 to 0.78 with those of the recipe's embedder (which alone had 0.58).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    made = make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=(2, 5), lowercase=False, sublinear_tf=True, min_df=3
        ),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1_000),
    )
    made.fit([*author, *others], [1] * len(author) + [0] * len(others))

    def score(texts: Sequence[str]) -> "NDArray[np.float64]":
        decided: NDArray[np.float64] = made.decision_function(list(texts))
        return decided

    return score


def function_word_grammar(author: Sequence[str], others: Sequence[str]) -> Scorer:
    """LambdaG: how much likelier a text is under the author's grammar than under others'.

    A grammar is a Kneser-Ney model of function words, marks and placeholders, within sentences. The
    score is the mean of the logarithms of the likelihood ratios to the grammars of other hands, by
    the square root of the text's length (its correction for longer texts).
    """
    import numpy as np

    draw = np.random.default_rng(_SEED)
    known = _sentences(author)
    other = _sentences(others)
    count = min(len(known), len(other))
    grammar = _Grammar(known)
    references = [
        _Grammar([other[place] for place in draw.choice(len(other), count, replace=False)])
        for _ in range(_REFERENCES)
    ]

    def score_of(text: str) -> float:
        said = _sentences([text])
        ratio = grammar.log_likelihood(said) - float(
            np.mean([each.log_likelihood(said) for each in references])
        )
        return ratio / float(np.sqrt(max(sum(map(len, said)), 1)))

    return lambda texts: np.array([score_of(text) for text in texts], dtype=np.float64)


class _Grammar:
    """A Kneser-Ney model that keeps what it has worked out: masked text says the same again."""

    def __init__(self, sentences: Sequence[tuple[str, ...]]) -> None:
        from lambdag.language_models.kneser_ney import KneserNeyLanguageModel

        self._model: Any = KneserNeyLanguageModel(order=_ORDER, discount=0.75)
        for sentence in sentences:
            self._model.fit(sentence)
        self._known: dict[tuple[str, ...], float] = {}

    def log_likelihood(self, sentences: Sequence[tuple[str, ...]]) -> float:
        from math import log

        from lambdag.language_models.language_model import ngrams

        total = 0.0
        for sentence in sentences:
            for gram in ngrams(self._model.pad_sequence(sentence), _ORDER):
                if gram not in self._known:
                    self._known[gram] = log(self._model.probability(gram[-1], gram[:-1]))
                total += self._known[gram]
        return total


def _sentences(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """The tokens of each sentence; a piece has one sentence on a line."""
    lines = (line for text in texts for line in text.split("\n"))
    tokens = (tuple(_TOKEN.findall(line.lower())) for line in lines)
    return [each for each in tokens if each]


def distributions(author: Sequence[str], others: Sequence[str]) -> Scorer:
    """Frequent words, trigrams, punctuation and sentence lengths, each a distribution (`style`).

    The score is by how much a text's are more like the author's than like those of the others.
    """
    import numpy as np

    mine, theirs = author_style(author), author_style(others)

    def score(texts: Sequence[str]) -> "NDArray[np.float64]":
        each = np.eye(len(texts))
        return mine.similarity(texts).of(each) - theirs.similarity(texts).of(each)

    return score
