"""Shared wording: ROUGE-L of a model's answer against the author's passage.

Source: C.-Y. Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004 (longest common
subsequence of words, F-measure).
"""

from collections.abc import Sequence

from twin.text.words import words


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
