"""Whose hand: how sure three independent measures are that a text is the author's.

Each measure (`hands`) learns from masked pieces of the author's training documents and of texts by
others. What its scores are worth is found on documents and authors that it did not learn from, four
parts in turn: a logistic curve, with the text's length in it, so that a short text comes out as
undecided. So all three speak one language: the probability that the author and nobody else wrote
the text, had both been as likely before. Their mean is the measure that the gate judges by.

How well they tell hands apart is measured on texts that neither saw: the author's test documents
against other authors that were left out of it all.

Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999 (the logistic curve).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadDataError
from twin.evaluation.hands import (
    Learn,
    Scorer,
    character_grams,
    distributions,
    function_word_grammar,
)
from twin.evaluation.masking import PIECE, Mask, length, mask_of, pieces
from twin.evaluation.other_authors import OtherText
from twin.evaluation.resampling import Statistic, ratio_of
from twin.evaluation.separation import area_under_curve
from twin.text.language import language_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METHODS: dict[str, tuple[str, Learn]] = {
    "characters": ("Runs of characters", character_grams),
    "grammar": ("Grammar of function words and marks (LambdaG)", function_word_grammar),
    "distributions": ("Frequent words, trigrams, marks, sentence lengths", distributions),
}
TOGETHER = "authorship"
"""The mean of all measures."""
FOLDS = 4
LEAST_PIECES = 12
"""Of the author's, below which nothing is learned."""
LEAST_AUTHORS = 8
LEAST_AUC = 0.8
"""On what was not learned from, below which the measure would only reject by chance."""
MOST_PIECES = 250
"""Of the author, and of the others: more teach little and cost time."""
_OF_A_DOCUMENT = 12
#: Share of the other authors that nothing is learned from, in sixteenths.
_LEFT_OUT = 4
#: Words of the shorter pieces that teach the curve what a short text is worth.
_SHORT = PIECE // 4


@dataclass(frozen=True)
class Piece:
    """A piece of masked text, and the document (or other author) that it is of."""

    text: str
    group: str


@dataclass(frozen=True)
class Curve:
    """From a score and a text's length to a probability."""

    scorer: Scorer
    fitted: Any

    def probability(self, texts: Sequence[str]) -> "NDArray[np.float64]":
        """How likely each text is the author's; without a word, even odds."""
        import numpy as np

        if not texts:
            return np.zeros(0)
        found = self.fitted.predict_proba(_evidence(self.scorer(texts), texts))[:, 1]
        return np.where([length(text) > 0 for text in texts], found, 0.5)


@dataclass(frozen=True)
class Authorship:
    """What tells the author's hand from others.

    ``others`` are whom it was learned against, ``left_out`` the pieces of whom it was not.
    """

    mask: Mask
    curves: Mapping[str, Curve]
    others: tuple[str, ...]
    left_out: tuple[Piece, ...]
    words: int
    other_words: int

    def probabilities(self, texts: Sequence[str]) -> "dict[str, NDArray[np.float64]]":
        """By measure, and by all `TOGETHER`, how likely each masked text is the author's."""
        import numpy as np

        found = {name: curve.probability(texts) for name, curve in self.curves.items()}
        return {TOGETHER: np.mean(list(found.values()), axis=0), **found}

    def likeness(self, texts: Sequence[str], groups: Sequence[str]) -> dict[str, Statistic]:
        """By measure, how likely the texts are the author's, word for word.

        Texts of a group are put together, since single answers are too short to have a manner; so
        the statistics are those of whole groups. A group without a word counts as one word that is
        undecided.
        """
        import numpy as np

        first: dict[str, int] = {}
        parts: list[Piece] = []
        for group, members in _by_group(groups).items():
            first[group] = members[0]
            made = pieces([self.mask(texts[place]) for place in members]) or [""]
            parts += [Piece(text, group) for text in made]
        found = self.probabilities([part.text for part in parts])
        weights = np.zeros(len(texts))
        sums = {name: np.zeros(len(texts)) for name in found}
        for number, part in enumerate(parts):
            words = max(length(part.text), 1)
            weights[first[part.group]] += words
            for name, values in found.items():
                sums[name][first[part.group]] += words * values[number]
        return {name: ratio_of(each, weights, least=0.0, most=1.0) for name, each in sums.items()}


def learn_authorship(
    documents: Mapping[str, Sequence[str]], others: Sequence[OtherText], language: str
) -> Authorship:
    """Learn the author's hand against others'.

    Args:
        documents: the author's training documents, each in parts.
        others: texts by other hands.
        language: ISO 639-1, of all of them.

    Raises:
        BadDataError: that cannot be done; the message says for want of what.
    """
    mask = mask_of(language)
    if mask is None:
        raise BadDataError(f"not available for {language}: its function words are not known")
    mine = masked_pieces(mask, documents)
    theirs = masked_pieces(mask, _by_author(others))
    names = sorted({piece.group for piece in theirs})
    kept = [name for name in names if _draw(name) >= _LEFT_OUT]
    _check_enough(mine, documents, kept, language)
    known = [piece for piece in theirs if piece.group in set(kept)]
    made = {name: _learn(method, mine, known) for name, (_, method) in METHODS.items()}
    _check_worth([unseen for _, unseen in made.values()], len(mine))
    return Authorship(
        mask=mask,
        curves={name: curve for name, (curve, _) in made.items()},
        others=tuple(kept),
        left_out=tuple(piece for piece in theirs if piece.group not in set(kept)),
        words=sum(length(piece.text) for piece in mine),
        other_words=sum(length(piece.text) for piece in known),
    )


def language_of_texts(texts: Sequence[str]) -> str:
    """The language of most of the texts, by their number.

    Raises:
        BadDataError: it can't be told.
    """
    counted: dict[str, int] = defaultdict(int)
    for text in texts:
        if code := language_of(text)[0]:
            counted[code] += 1
    if not counted:
        raise BadDataError("not available: the language of the training texts can't be told")
    return max(counted, key=lambda code: (counted[code], code))


def masked_pieces(mask: Mask, documents: Mapping[str, Sequence[str]]) -> list[Piece]:
    """Some pieces of each document, at most `MOST_PIECES` in all; too short a document has none.

    Which, depends on names and texts only.
    """
    made: list[Piece] = []
    for name in sorted(documents, key=_digest):
        found = pieces([mask(part) for part in documents[name]])
        long = sorted((text for text in found if length(text) >= PIECE // 2), key=_digest)
        made += [Piece(text, name) for text in long[:_OF_A_DOCUMENT]]
        if len(made) >= MOST_PIECES:
            break
    return sorted(made[:MOST_PIECES], key=lambda piece: (piece.group, piece.text))


def _by_author(others: Sequence[OtherText]) -> dict[str, list[str]]:
    written: dict[str, list[str]] = defaultdict(list)
    for each in others:
        written[each.author].append(each.text)
    return written


def _check_enough(
    mine: Sequence[Piece], documents: Mapping[str, object], kept: Sequence[str], language: str
) -> None:
    if len(mine) < LEAST_PIECES or len({piece.group for piece in mine}) < 2:
        raise BadDataError(
            f"not available: of {len(documents)} training document(s) there are {len(mine)} pieces "
            f"of {PIECE} words; at least {LEAST_PIECES}, of two documents, are needed"
        )
    if len(kept) < LEAST_AUTHORS:
        raise BadDataError(
            f"not available: texts by {len(kept)} others in the author's language ({language}), at "
            f"least {LEAST_AUTHORS} are needed: name some in evaluation.style of the recipe"
        )


def _check_worth(unseen: "Sequence[NDArray[np.float64]]", count: int) -> None:
    """Refuse a measure that tells nobody apart: it could only reject by chance.

    Args:
        unseen: by measure, the scores of all pieces when they were not learned from, on one scale.
        count: how many of them, the first, are the author's.
    """
    import numpy as np

    together = np.mean(unseen, axis=0)
    area = area_under_curve(together[:count], together[count:])
    worth = float(area.of(np.ones(len(together))))
    if worth < LEAST_AUC:
        raise BadDataError(
            f"not available: it does not tell the author from the others (AUC {worth:.2f}, at "
            f"least {LEAST_AUC} is needed): name texts by others in evaluation.style of the recipe"
        )


def _learn(
    method: Learn, mine: Sequence[Piece], theirs: Sequence[Piece]
) -> "tuple[Curve, NDArray[np.float64]]":
    """The method on all pieces, with a curve from what it says of those that it has not seen.

    Returns:
        That, and the scores of all pieces when they were not seen, on the scale of the curve.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    all_pieces = [*mine, *theirs]
    texts = [piece.text for piece in all_pieces]
    labels = np.array([1] * len(mine) + [0] * len(theirs))
    # The author's documents and the others must not share a name.
    groups = [f"{label} {piece.group}" for label, piece in zip(labels, all_pieces, strict=True)]
    evidence, truth = [], []
    whole_evidence = np.zeros((len(texts), 2))
    folds = min(FOLDS, len({piece.group for piece in mine}))
    for seen, unseen in StratifiedGroupKFold(folds).split(texts, labels, groups):
        if len(set(labels[seen])) < 2:
            continue  # all of the author's is in one part
        scorer = _fit(method, texts, labels, seen)
        for whole in (True, False):
            shown = [texts[place] if whole else _beginning(texts[place]) for place in unseen]
            evidence.append(_evidence(scorer(shown), shown))
            truth.append(labels[unseen])
            if whole:
                whole_evidence[unseen] = evidence[-1]
    # Scores of the three differ in size by orders of magnitude.
    curve = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, class_weight="balanced"))
    curve.fit(np.concatenate(evidence), np.concatenate(truth))
    return Curve(_fit(method, texts, labels, range(len(texts))), curve), (
        curve[0].transform(whole_evidence)[:, 0]
    )


def _fit(method: Learn, texts: Sequence[str], labels: Any, seen: Any) -> Scorer:
    return method(
        [texts[place] for place in seen if labels[place]],
        [texts[place] for place in seen if not labels[place]],
    )


def _beginning(text: str) -> str:
    """Its first sentences, some `_SHORT` words."""
    return pieces([text], _SHORT)[0]


def _evidence(scores: "NDArray[np.float64]", texts: Sequence[str]) -> "NDArray[np.float64]":
    """What the curve sees: the score, and the score by how much text it rests on."""
    import numpy as np

    share = np.minimum([length(text) / PIECE for text in texts], 1.0)
    return np.column_stack([scores * np.sqrt(share), share])


def _by_group(groups: Sequence[str]) -> dict[str, list[int]]:
    members: dict[str, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        members[group].append(place)
    return members


def _draw(name: str) -> int:
    """A number from 0 to 15 that depends on the name only."""
    return int(_digest(name)[0], 16)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
