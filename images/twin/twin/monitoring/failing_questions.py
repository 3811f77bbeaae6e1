"""What readers ask and are not answered well: alike questions together, the most asked first.

Groups are those of HDBSCAN over the questions' vectors: it needs no number of groups, and leaves
out what is like nothing else. A group counts by its callers, so nobody makes one alone, and none is
shown that fewer than a few callers have asked: what only one person asks may be about that person.

Source: L. McInnes, J. Healy, S. Astels, "hdbscan: Hierarchical density based clustering", Journal
of Open Source Software 2(11), 2017.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.seen_answer import SeenAnswer
from twin.recipes.monitoring import QuestionsSection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Mask = Callable[[str], str]
"""A text without personal data."""


class QuestionGroup(BaseModel):
    """Questions that ask alike.

    Attributes:
        question: the one in the middle, which stands for all.
        examples: others, of as many callers as there are.
        questions: how many there are.
        callers: who have asked them.
        refused: share whose answer was that the author has not written about it.
        disliked: share whose caller found the answer bad.
        nearest: title of the document that was shown most often; empty if none was.
    """

    model_config = ConfigDict(frozen=True)

    question: str
    examples: tuple[str, ...]
    questions: int
    callers: int
    refused: float = Field(ge=0, le=1)
    disliked: float = Field(ge=0, le=1)
    nearest: str = ""

    @property
    def is_unwritten(self) -> bool:
        """Whether most answers were that the author has not written about it."""
        return self.refused >= 0.5


def groups(
    failed: Sequence[SeenAnswer],
    vectors: Sequence[Sequence[float]],
    mask: Mask,
    section: QuestionsSection,
) -> list[QuestionGroup]:
    """The groups of these questions, those of the most callers first.

    Args:
        failed: answers that were not good.
        vectors: of their questions, each of length one.
        mask: takes personal data out of what is shown.
        section: what makes a group.
    """
    import numpy as np

    if len(failed) < section.least_questions:
        return []
    points = np.asarray(vectors, dtype=np.float64)
    labels = _labels(points, section.least_questions)
    found = []
    for label in sorted(set(labels) - {-1}):
        places = np.flatnonzero(labels == label)
        members = [failed[int(place)] for place in places]
        if len({each.caller for each in members}) >= section.least_callers:
            found.append(_group(members, points[places], mask, section.examples))
    return sorted(found, key=lambda each: (-each.callers, -each.questions, each.question))


def _labels(points: "NDArray[np.float64]", least: int) -> "NDArray[np.int64]":
    """Number of each question's group; -1: it is in none."""
    from sklearn.cluster import HDBSCAN

    # min_samples 1: a few questions are a group as soon as they lie together.
    clustering = HDBSCAN(
        min_cluster_size=least, min_samples=1, cluster_selection_method="leaf", copy=True
    )
    labels: NDArray[np.int64] = clustering.fit_predict(points)
    return labels


def _group(
    members: Sequence[SeenAnswer], points: "NDArray[np.float64]", mask: Mask, examples: int
) -> QuestionGroup:
    import numpy as np

    by_middle = np.argsort(((points - points.mean(axis=0)) ** 2).sum(axis=1), kind="stable")
    ordered = [members[int(place)] for place in by_middle]
    nearest = Counter(each.nearest for each in members if each.nearest).most_common(1)
    ratings = [each.rating for each in members]
    middle = mask(ordered[0].question)
    return QuestionGroup(
        question=middle,
        examples=_examples(ordered, mask, examples, middle),
        questions=len(members),
        callers=len({each.caller for each in members}),
        refused=sum(each.refused for each in members) / len(members),
        disliked=sum(each is not None and each < 0.5 for each in ratings) / len(members),
        nearest=nearest[0][0] if nearest else "",
    )


def _examples(
    ordered: Sequence[SeenAnswer], mask: Mask, count: int, middle: str
) -> tuple[str, ...]:
    """One of each caller, those nearest to the middle first; no text twice."""
    of_caller: dict[str, str] = {}
    for each in ordered:
        of_caller.setdefault(each.caller, mask(each.question))
    distinct = [text for text in dict.fromkeys(of_caller.values()) if text != middle]
    return tuple(distinct[:count])
