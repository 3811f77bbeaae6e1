"""What people's verdicts on pairs show so far, and whether they may stop.

One may ask as often as one likes, after every verdict; see `twin.domain.sequential` for why.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import BadDataError
from twin.domain.sequential import EVEN, Running, running
from twin.evaluation.calibration import SCORES
from twin.evaluation.people_pairs import ExportedTask, read_tasks
from twin.rag.judge import Winner


class Standing(BaseModel):
    """How the candidate stands against one opponent.

    Attributes:
        opponent: whose answers stand beside the candidate's; "" where the file does not say.
        wins: pairs in which people prefer the candidate's answer.
        ties: in which they prefer neither.
        losses: in which they prefer the opponent's.
        waiting: groups of documents that are begun, or not looked at, and so do not count yet.
        rate: of preference, ties being halves, over the groups that are judged whole.
    """

    model_config = ConfigDict(frozen=True)

    opponent: str
    wins: int
    ties: int
    losses: int
    waiting: int
    rate: Running

    @property
    def advice(self) -> str:
        """Stop, and who is better; or go on."""
        other = self.opponent or "other"
        if self.rate.low > EVEN:
            return f"stop: the candidate's answers are better than the {other}'s"
        if self.rate.high < EVEN:
            return f"stop: the candidate's answers are worse than the {other}'s"
        if self.waiting:
            return "go on: neither is shown to be better yet"
        return "neither is shown to be better: judge what is left, or ask about more pairs"

    @property
    def text(self) -> str:
        """The standing in a line."""
        rate = self.rate
        ends = f"{rate.low:.1%} to {rate.high:.1%}"
        return (
            f"candidate against {self.opponent or 'the other'}: {self.wins} won, {self.ties} tied, "
            f"{self.losses} lost; preferred in {rate.value:.1%} over {rate.groups} whole "
            f"group(s) of documents ({rate.confidence:.0%} interval at any moment {ends}), "
            f"{self.waiting} group(s) not judged whole. {self.advice.capitalize()}"
        )


def standings(path: Path) -> list[Standing]:
    """How the candidate stands against each opponent in a file of `twin evaluation pairs`.

    Args:
        path: the file, or what Label Studio has exported of it.

    Raises:
        BadDataError: there is no such file, it is none of pairs, or nobody has judged any.
    """
    tasks = read_tasks(path, "FILE")
    if all(task.people is Winner.NONE for task in tasks):
        raise BadDataError(f"{path}: nobody has judged a pair yet")
    opponents = dict.fromkeys(task.data.opponent for task in tasks)
    return [
        _standing(opponent, [task for task in tasks if task.data.opponent == opponent])
        for opponent in opponents
    ]


def _standing(opponent: str, tasks: Sequence[ExportedTask]) -> Standing:
    groups: dict[str, list[ExportedTask]] = {}
    for number, task in enumerate(tasks):
        groups.setdefault(task.data.document or f"pair {number}", []).append(task)
    whole = [group for group in groups.values() if _is_whole(group)]
    # As they were completed; those that bear no time come as they stand in the file.
    whole.sort(key=lambda group: max(task.judged for task in group))
    values = [value for group in whole for value in _value(group)]
    said = [task.people for task in tasks]
    return Standing(
        opponent=opponent,
        wins=said.count(Winner.FIRST),
        ties=said.count(Winner.TIE),
        losses=said.count(Winner.SECOND),
        waiting=len(groups) - len(whole),
        rate=running(values),
    )


def _is_whole(group: Sequence[ExportedTask]) -> bool:
    """Whether people have looked at every pair of the group, also at those not exported.

    Half a group would count by what its first pairs say, and be looked at again.
    """
    looked_at = sum(bool(task.better or task.annotations) for task in group)
    return looked_at == max(len(group), *(task.data.pairs for task in group))


def _value(group: Sequence[ExportedTask]) -> Iterator[float]:
    """The group's mean; nothing where people have skipped all of it."""
    scores = [SCORES[task.people] for task in group if task.people in SCORES]
    if scores:
        yield sum(scores) / len(scores)
