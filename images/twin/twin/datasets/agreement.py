"""How far people agree: Cohen's kappa of each two who have judged the same samples or pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from twin.domain.verdict import Decision, Verdict


@dataclass(frozen=True)
class Agreement:
    """Two people's, on the samples that both have judged.

    Attributes:
        people: their numbers.
        shared: samples that both have judged.
        alike: of which both say the same.
        kappa: how much more often than by chance; None where both say one thing of all of them,
            so that chance alone would have them agree.
    """

    people: tuple[str, str]
    shared: int
    alike: int
    kappa: float | None


def agreements(verdicts: Sequence[Verdict]) -> list[Agreement]:
    """The agreement of every two people with samples in common, those with most first."""
    said: dict[str, dict[tuple[str, str], Decision]] = {}
    for verdict in verdicts:
        for opinion in verdict.opinions:
            of_person = said.setdefault(opinion.person, {})
            of_person[verdict.sample, verdict.seen] = opinion.decision
    found = [
        _agreement((one, other), said[one], said[other])
        for one, other in combinations(sorted(said), 2)
        if said[one].keys() & said[other].keys()
    ]
    return sorted(found, key=lambda each: (-each.shared, each.people))


def render_agreements(found: Sequence[Agreement], noun: str = "sample") -> list[str]:
    """A line for every two people, and what to know where there are none."""
    if not found:
        return [f"agreement: no {noun} was judged by two people"]
    return [
        f"agreement of {each.people[0]} and {each.people[1]}: {each.alike} of {each.shared} alike, "
        + ("kappa undefined" if each.kappa is None else f"Cohen's kappa {each.kappa:.2f}")
        for each in found
    ]


def _agreement(
    people: tuple[str, str],
    one: dict[tuple[str, str], Decision],
    other: dict[tuple[str, str], Decision],
) -> Agreement:
    from sklearn.metrics import cohen_kappa_score

    shared = sorted(one.keys() & other.keys())
    first, second = [one[key].value for key in shared], [other[key].value for key in shared]
    alike = sum(1 for mine, theirs in zip(first, second, strict=True) if mine == theirs)
    defined = len({*first, *second}) > 1
    kappa = float(cohen_kappa_score(first, second)) if defined else None
    return Agreement(people, len(shared), alike, kappa)
