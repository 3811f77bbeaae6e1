"""A guardrail over the recipe's own embedder: a linear head that tells attacks from other texts.

It meets what rules do not: orders in words that nobody foresaw. It is trained from two lists of
texts (`twin rag train-guardrail`) and kept as safetensors, with the id of the embedder whose
vectors it was trained on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from twin.domain.errors import BadDataError
from twin.models.embedder import Embedder
from twin.models.text_classifier import KeptAlarm
from twin.text.hidden_text import plain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "head.safetensors"
LABEL = "INJECTION"
FOLDS, SEED = 5, 0
#: Strength of the regularisation (inverse), chosen by cross-validation among 1, 10 and 100.
INVERSE_REGULARISATION = 1.0
#: Characters of a text that are read: what an embedder sees of it.
LONGEST = 2_000


@dataclass(frozen=True)
class Trained:
    """A head, and what it does to texts that it was not fitted to (cross-validation).

    Attributes:
        weights: one number for each of the embedder's, then the bias (shape: dimension + 1).
        embedder: id of the embedder.
        caught: share of the attacks.
        wrongly: share of the harmless texts.
    """

    weights: "NDArray[np.float32]"
    embedder: str
    caught: float
    wrongly: float

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        measured = {"caught": self.caught, "wrongly": self.wrongly}
        metadata = {"embedder": self.embedder, "measured": json.dumps(measured)}
        save_file({"weights": self.weights}, folder / FILE, metadata=metadata)


def read_texts(path: Path) -> dict[str, list[str]]:
    """Texts to train on, under ``attacks`` and ``harmless``.

    Raises:
        BadDataError: no such file, or no list of texts under one of the two.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadDataError(f"{path} can't be read: {' '.join(str(error).split())}") from None
    texts: dict[str, list[str]] = {}
    for kind in ("attacks", "harmless"):
        given = data.get(kind) if isinstance(data, dict) else None
        if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
            raise BadDataError(f"{path} has no list of texts under {kind!r}")
        texts[kind] = given
    return texts


def train_head(
    attacks: Sequence[str], harmless: Sequence[str], embedder: Embedder, wrongly: float
) -> Trained:
    """Fit a head whose probability 0.5 meets at most a share of harmless texts.

    The threshold is chosen by cross-validation and built into the bias.

    Args:
        attacks: texts to be told.
        harmless: texts near them that are none.
        embedder: whose vectors the head reads.
        wrongly: share of harmless texts that may be met.

    Raises:
        BadDataError: too few texts of a kind to be cross-validated.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    if min(len(attacks), len(harmless)) < 2 * FOLDS:
        raise BadDataError(
            f"{len(attacks)} attacks and {len(harmless)} harmless texts: a head needs at least "
            f"{2 * FOLDS} of each"
        )
    texts = [plain(text)[:LONGEST] for text in (*attacks, *harmless)]
    vectors = np.asarray(embedder.encode_questions(texts), np.float32)
    truth = np.array([1] * len(attacks) + [0] * len(harmless))
    model = LogisticRegression(
        C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=5_000, random_state=SEED
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    judged = cross_val_predict(model, vectors, truth, cv=folds, method="decision_function")
    scores = judged.astype(np.float64)
    least = float(np.quantile(scores[truth == 0], 1 - wrongly, method="higher"))
    least = float(np.nextafter(least, np.inf))
    model.fit(vectors, truth)
    weights = np.append(model.coef_[0], model.intercept_[0] - least).astype(np.float32)
    return Trained(
        weights,
        embedder.id,
        caught=float((scores[truth == 1] >= least).mean()),
        wrongly=float((scores[truth == 0] >= least).mean()),
    )


class HeadClassifier:
    """A trained head over an embedder; safe to share between threads.

    Args:
        folder: as `Trained.save` has written it.
        embedder: the recipe's.

    Raises:
        BadDataError: no head in the folder, or one for another embedder.
    """

    labels = (LABEL,)
    alarm = KeptAlarm(labels=(LABEL,), threshold=0.5)  # the one chosen is built into the bias

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(folder / FILE, framework="np") as file:
                made_for = (file.metadata() or {}).get("embedder", "")
                weights = file.get_tensor("weights")
        except (OSError, SafetensorError) as error:
            raise BadDataError(f"{folder / FILE} can't be read: {error}") from None
        if made_for != embedder.id:
            raise BadDataError(
                f"the guardrail {folder} was trained for the embedder {made_for}, the recipe's is "
                f"{embedder.id}: run `twin rag train-guardrail` with this recipe"
            )
        self._weights = weights
        self._embedder = embedder
        self._probability = lru_cache(maxsize=4_096)(self._judged)

    def probabilities(self, text: str) -> dict[str, float]:
        """How likely a text is an attack, 0 to 1."""
        return {LABEL: self._probability(text)}

    def _judged(self, text: str) -> float:
        import numpy as np

        [vector] = self._embedder.encode_questions([plain(text)[:LONGEST]])
        score = float(np.dot(self._weights[:-1], vector) + self._weights[-1])
        return float(1 / (1 + np.exp(-score)))
