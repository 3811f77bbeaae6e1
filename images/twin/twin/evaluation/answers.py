"""Plain figures of what a model wrote: does it copy, refuse, run on, or say the same each time?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twin.domain.written import plain, refuses
from twin.evaluation.resampling import Statistic, mean_of, ratio_of, share_of
from twin.text.personal_data import PersonalDataDetector
from twin.text.sentences import sentences
from twin.text.words import count_words, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONG = 8
"""A sentence of more words that stands elsewhere verbatim is no coincidence."""
REPEATED = 4
"""Words of a run that counts as said again."""
REFERENCES = 50
"""Answers that one answer is compared with: what they cost grows with the square of all."""


def copy_share(
    answers: Sequence[str], prompts: Sequence[str], trained: str, refusal: str
) -> Statistic:
    """Share of the long sentences that stand verbatim in their prompt or in the training text.

    Blanks and line breaks do not matter. Answers without a long sentence do not count; where none
    has one, nothing is copied.

    Args:
        answers: what a model wrote.
        prompts: all that it was shown, one for each answer.
        trained: all that it was trained to write, as `plain` gives it.
        refusal: the recipe's ``retrieval.dont_know``, which is always said in the same words.
    """
    long = [
        [each for each in _long_sentences(answer) if not refuses(each, refusal)]
        for answer in answers
    ]
    if not any(long):
        return share_of([0.0] * len(answers))
    copied = [
        sum(_is_copied(sentence, shown, trained) for sentence in own)
        for own, shown in zip(long, map(plain, prompts), strict=True)
    ]
    return ratio_of(copied, [len(own) for own in long], least=0.0, most=1.0)


def own_words(
    answers: Sequence[str], prompts: Sequence[str], trained: str, refusal: str
) -> list[str]:
    """The answers without what says nothing of how a model writes: copied sentences, refusals.

    Here short sentences are copies too, for to leave one out by mistake costs little. The arguments
    are those of `copy_share`.
    """

    def is_own(sentence: str, shown: str) -> bool:
        return not (_is_copied(plain(sentence), shown, trained) or refuses(sentence, refusal))

    return [
        "\n".join(sentence for sentence in sentences(answer) if is_own(sentence, shown))
        for answer, shown in zip(answers, map(plain, prompts), strict=True)
    ]


def refusal_share(answers: Sequence[str], refusal: str) -> Statistic:
    """Share of the answers that say the recipe's ``retrieval.dont_know``."""
    return share_of([float(refuses(answer, refusal)) for answer in answers])


def personal_data_share(
    answers: Sequence[str], prompts: Sequence[str], detector: PersonalDataDetector
) -> Statistic:
    """Share of the answers with personal data that their prompts do not hold.

    Args:
        answers: what a model wrote.
        prompts: all that it was shown, one for each answer.
        detector: of personal data; it knows the author's own name and the recipe's names.
    """

    def invents(answer: str, shown: str) -> bool:
        found = (answer[find.start : find.end] for find in detector.finds(answer))
        return any(plain(item) not in shown for item in found)

    return share_of(
        [
            float(invents(answer, shown))
            for answer, shown in zip(answers, map(plain, prompts), strict=True)
        ]
    )


def mean_length(answers: Sequence[str]) -> Statistic:
    """Words of an answer."""
    return mean_of([count_words(answer) for answer in answers], least=0.0)


def distinct_pairs(answers: Sequence[str]) -> Statistic:
    """Distinct-2; see `distinct`."""
    return distinct(answers, 2)


def distinct(answers: Sequence[str], length: int) -> Statistic:
    """Distinct-n: share of the runs of so many words, over all answers, that are different.

    It falls as there is more text, so it compares models on the same questions only.

    Source: J. Li et al., "A Diversity-Promoting Objective Function for Neural Conversation
    Models", NAACL 2016.
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer

    def runs(text: str) -> list[str]:
        return _runs(text, length)

    counter = CountVectorizer(analyzer=runs, dtype=np.float64)
    if not any(map(runs, answers)):
        return share_of([0.0] * len(answers))
    counts = counter.fit_transform(answers)
    lengths = np.asarray(counts.sum(axis=1)).ravel()

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        there = (weights > 0).astype(np.float64) @ counts > 0
        return np.asarray(there.sum(axis=-1) / (weights @ lengths))

    return Statistic(of, counted=lengths > 0, least=0.0, most=1.0)


def repetition(answers: Sequence[str]) -> Statistic:
    """Share of the runs of four words that stand in the same answer before; the mean of answers.

    Answers of fewer words do not count.

    Source: S. Welleck et al., "Neural Text Generation with Unlikelihood Training", ICLR 2020
    (seq-rep-4).
    """
    made = [_runs(answer, REPEATED) for answer in answers]
    if not any(made):
        return share_of([0.0] * len(answers))
    shares = [1 - len(set(runs)) / len(runs) if runs else 0.0 for runs in made]
    return share_of(shares, [bool(runs) for runs in made])


def self_bleu(answers: Sequence[str]) -> Statistic:
    """How alike the answers are to one another: mean BLEU of each, the others being references.

    0 means that no two share a run of four words, 1 that all are the same. Of many others, some
    are references: as many as `REFERENCES`.

    Source: Y. Zhu et al., "Texygen: A Benchmarking Platform for Text Generation Models", SIGIR
    2018.
    """
    from sacrebleu.metrics.bleu import BLEU

    counter = BLEU(tokenize="none", effective_order=True)
    spaced = [" ".join(words(answer.lower())) for answer in answers]
    scores = []
    for place, text in enumerate(spaced):
        others = [*spaced[place + 1 :], *spaced[:place]][:REFERENCES]
        alike = counter.sentence_score(text, others).score / 100 if text and others else 0.0
        scores.append(min(alike, 1.0))
    return share_of(scores)


def _is_copied(sentence: str, shown: str, trained: str) -> bool:
    """Whether a sentence stands in what was shown or trained; all as `plain` gives them."""
    return sentence in trained or sentence in shown


def _long_sentences(answer: str) -> list[str]:
    return [plain(each) for each in sentences(answer) if count_words(each) > LONG]


def _runs(text: str, length: int) -> list[str]:
    said = words(text.lower())
    return [" ".join(said[start : start + length]) for start in range(len(said) - length + 1)]
