"""What needs no encoder: the most frequent label, and a linear model of words.

A classifier that does not beat these is not worth its time.
"""

from collections.abc import Callable, Sequence

from twin.domain.sample import Split
from twin.training.classifiers.corpus import Splits
from twin.training.classifiers.measures import Judged, likeliest

MAJORITY = "most frequent label"
WORDS = "words (TF-IDF, logistic regression)"

STRENGTHS = (1.0, 10.0, 100.0)
"""Of the linear model's regularisation (inverse), of which validation chooses."""

Classify = Callable[[Sequence[str]], Judged]


def majority(splits: Splits, labels: Sequence[str]) -> Classify:
    """Says the most frequent label of the training split of every text."""
    held = [each.label for each in splits[Split.TRAIN]]
    most = max(labels, key=held.count)
    said = {label: float(label == most) for label in labels}
    return lambda texts: [said for _ in texts]


def words(splits: Splits, seed: int) -> Classify:
    """A logistic regression over words and pairs of words, fitted to the training split."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score
    from sklearn.pipeline import make_pipeline

    def fitted(strength: float) -> Classify:
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(
                C=strength, class_weight="balanced", max_iter=2_000, random_state=seed
            ),
        )
        learned = splits[Split.TRAIN]
        model.fit([each.text for each in learned], [each.label for each in learned])
        labels = [str(label) for label in model.classes_]
        return lambda texts: [
            dict(zip(labels, map(float, row), strict=True)) for row in model.predict_proba(texts)
        ]

    held = splits[Split.VALIDATION]
    texts, truth = [each.text for each in held], [each.label for each in held]

    def macro_f1(classify: Classify) -> float:
        return float(f1_score(truth, likeliest(classify(texts)), average="macro", zero_division=0))

    return max(map(fitted, STRENGTHS), key=macro_f1)
