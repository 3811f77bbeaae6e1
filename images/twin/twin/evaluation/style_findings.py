"""What a report says of the author's hand: the measure, where it can be learned, and its worth."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from twin.domain.errors import BadDataError
from twin.domain.sample import WITHHELD, InstructSample
from twin.domain.written import QuestionKind
from twin.evaluation.authorship import (
    METHODS,
    TOGETHER,
    Authorship,
    language_of_texts,
    learn_authorship,
    masked_pieces,
)
from twin.evaluation.material import Material
from twin.evaluation.other_authors import other_texts
from twin.evaluation.resampling import Statistic, estimate
from twin.evaluation.separation import separation
from twin.evaluation.style_report import Separation, StyleMeasure, StylePoint, StyleReport
from twin.recipes import Recipe
from twin.stores.files import FileStore

OTHERS = "others"
LABELS = {TOGETHER: "All three together"} | {name: label for name, (label, _) in METHODS.items()}
#: Answers of these kinds are the recipe's refusal and nobody's writing.
_REFUSALS = {WITHHELD, QuestionKind.UNANSWERABLE.value}


def find_authorship(
    train: Sequence[InstructSample], recipe: Recipe, files: FileStore
) -> tuple[Authorship | None, str]:
    """What tells the author's hand from others, learned from training samples.

    Returns:
        The measure, or None and why there can't be one.
    """
    section = recipe.evaluation.style
    if not (section.packages or section.recipes or section.folder):
        return None, "not available: the recipe names no texts by others (evaluation.style)"
    documents = _written(train)
    try:
        language = language_of_texts([text for texts in documents.values() for text in texts])
        others = other_texts(section, files, recipe, language)
        return learn_authorship(documents, others, language), ""
    except BadDataError as error:
        return None, str(error)


def style_report(
    authorship: Authorship,
    material: Material,
    hands: Mapping[str, Mapping[str, Statistic]],
    groups: Sequence[str],
) -> StyleReport:
    """The block of the report.

    Args:
        authorship: the measure.
        material: with the author's test documents.
        hands: who wrote to what `Authorship.likeness` says of it.
        groups: each sample's document group.
    """
    told = _separations(authorship, material)
    return StyleReport(
        language=authorship.mask.language,
        words=authorship.words,
        other_words=authorship.other_words,
        others=authorship.others,
        left_out=tuple(sorted({piece.group for piece in authorship.left_out})),
        measures=tuple(
            StyleMeasure(
                name=name,
                label=label,
                separation=told.get(name),
                scores={who: estimate(each[name], groups) for who, each in hands.items()},
            )
            for name, label in LABELS.items()
        ),
        points=(*_points(hands, groups), *_points_of_others(authorship)),
    )


def _written(samples: Iterable[InstructSample]) -> dict[str, list[str]]:
    """What the author wrote in each document, each answer once."""
    written: dict[str, dict[str, None]] = defaultdict(dict)
    for sample in samples:
        if sample.kind not in _REFUSALS:
            written[sample.document_id][sample.answer] = None
    return {document: list(answers) for document, answers in written.items()}


def _separations(authorship: Authorship, material: Material) -> dict[str, Separation]:
    """By measure, how well it tells the test documents from the authors that were left out."""
    mine, theirs = masked_pieces(authorship.mask, _written(material.clean)), authorship.left_out
    if not mine or not theirs:
        return {}
    own = authorship.probabilities([piece.text for piece in mine])
    other = authorship.probabilities([piece.text for piece in theirs])
    groups = [material.groups[piece.group] for piece in mine]
    authors = [piece.group for piece in theirs]
    return {name: separation(own[name], groups, other[name], authors) for name in LABELS}


def _points(
    hands: Mapping[str, Mapping[str, Statistic]], groups: Sequence[str]
) -> Iterable[StylePoint]:
    """One point for each who wrote and each group of documents."""
    import numpy as np

    for group in sorted(set(groups)):
        members = np.array([each == group for each in groups], dtype=np.float64)
        for who, each in hands.items():
            scores = {name: float(each[name].of(members)) for name in LABELS}
            yield StylePoint(who=who, scores=scores)


def _points_of_others(authorship: Authorship) -> Iterable[StylePoint]:
    """One point for each author that nothing was learned from."""
    import numpy as np

    authors = np.array([piece.group for piece in authorship.left_out])
    found = authorship.probabilities([piece.text for piece in authorship.left_out])
    for author in sorted(set(authors)):
        scores = {name: float(found[name][authors == author].mean()) for name in LABELS}
        yield StylePoint(who=OTHERS, scores=scores)
