"""Shared wording of a model's answer and the author's passage: ROUGE-L, BLEU and chrF.

Sources: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004 (longest common
subsequence of words, F-measure); K. Papineni et al., "BLEU: a Method for Automatic Evaluation of
Machine Translation", ACL 2002; M. Popović, "chrF: character n-gram F-score for automatic MT
evaluation", WMT 2015; M. Post, "A Call for Clarity in Reporting BLEU Scores", WMT 2018 (sacrebleu).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from twin.evaluation.resampling import Statistic, mean_of
from twin.text.words import words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 4
"""Words of the longest runs that BLEU counts."""


class WordTokenizer:
    """Words of any script: the library's own tokenizer drops all but a-z and 0-9."""

    def tokenize(self, text: str) -> list[str]:
        """Lower-case words of ``text``."""
        return words(text.lower())


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """ROUGE-L F-measure of each answer, from 0 (nothing shared) to 1 (the same words)."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], tokenizer=WordTokenizer())
    return [
        float(scorer.score(reference, answer)["rougeL"].fmeasure)
        for answer, reference in zip(answers, references, strict=True)
    ]


def bleu(answers: Sequence[str], references: Sequence[str]) -> Statistic:
    """Corpus BLEU, from 0 to 1: runs of up to four words, counted over all answers together.

    Answers that are shorter than the author's are worth less, and words that are not the author's
    too: so which text is the reference matters.
    """
    import numpy as np
    from sacrebleu.metrics.bleu import BLEU

    counter = BLEU(tokenize="none", effective_order=True)
    counted = [
        counter.sentence_score(_spaced(answer), [_spaced(reference)])
        for answer, reference in zip(answers, references, strict=True)
    ]
    table = np.array(
        [[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in counted],
        dtype=np.float64,
    )

    def score(sums: "NDArray[np.float64]") -> float:
        right, whole = sums[:LONGEST], sums[LONGEST : 2 * LONGEST]
        made = BLEU.compute_bleu(
            correct=list(map(int, right)),
            total=list(map(int, whole)),
            sys_len=int(sums[-2]),
            ref_len=int(sums[-1]),
            smooth_method="exp",
            effective_order=True,
        )
        return min(float(made.score) / 100, 1.0)

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        return np.apply_along_axis(score, -1, weights @ table)

    return Statistic(of, least=0.0, most=1.0)


def chrf(answers: Sequence[str], references: Sequence[str]) -> Statistic:
    """Mean chrF of the answers, from 0 to 1: letter runs shared, recall counting twice."""
    from sacrebleu.metrics.chrf import CHRF

    counter = CHRF()
    scores = [
        counter.sentence_score(answer, [reference]).score / 100
        for answer, reference in zip(answers, references, strict=True)
    ]
    return mean_of(scores, least=0.0, most=1.0)


def _spaced(text: str) -> str:
    """Words of any script with blanks between them, as the library counts them."""
    return " ".join(WordTokenizer().tokenize(text))
