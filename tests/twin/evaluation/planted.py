"""Gates whose right verdict is known: versions with planted differences, judged by the real code.

A version's likelihoods, and its answers' likeness to the author's, differ from another's by what is
planted, by an effect of the version on each document, and by chance on each sample.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twin.evaluation.checks import Verdict
from twin.evaluation.gate import BASE, CHAMPION, REFERENCE, Evidence, Judgement, judge
from twin.evaluation.measures import MEANING, PERPLEXITY, ROUGE_L, STYLE
from twin.evaluation.perplexity import perplexity_gain
from twin.evaluation.power import power_of
from twin.evaluation.resampling import Estimate, difference, estimate, mean_of
from twin.evaluation.soundness import Soundness
from twin.recipes import GateSection

GATE = GateSection()
#: Spread between documents and between the samples of one, in log perplexity and in likeness.
SPREADS = {
    PERPLEXITY: (0.03, 0.08),
    ROUGE_L: (0.01, 0.03),
    STYLE: (0.03, 0.05),
    MEANING: (0.03, 0.05),
}
SAMPLES = 4
ENOUGH = Estimate(value=0.9, low=0.85, high=0.95)
NOTHING = Estimate(value=0.0, low=0.0, high=0.0)
BASE_LOSS = 0.5


@dataclass(frozen=True)
class Version:
    """A model: its true log perplexity above the author's best, and what is seen of it."""

    log_perplexity: float
    scored: list[tuple[float, int]]
    likeness: dict[str, np.ndarray]


class TestSet:
    """Samples of documents, and versions measured on them, with so much of the usual noise."""

    __test__ = False

    def __init__(self, documents: int, seed: int, noise: float = 1.0) -> None:
        self.noise = noise
        self.draw = np.random.default_rng(seed)
        self.document_of = np.repeat(np.arange(documents), SAMPLES)
        self.groups = [str(document) for document in self.document_of]
        self.tokens = self.draw.integers(20, 120, len(self.groups))
        self.difficulty = self.draw.normal(3, 0.5, documents)[self.document_of]

    def version(self, log_perplexity: float) -> Version:
        """A new version of which only this is true; all else about it is chance."""
        nats = self.difficulty + log_perplexity + self._noise(PERPLEXITY)
        scored = list(zip((-nats * self.tokens).tolist(), self.tokens.tolist(), strict=True))
        likeness = {name: 0.5 + self._noise(name) for name in (ROUGE_L, STYLE, MEANING)}
        return Version(log_perplexity, scored, likeness)

    def _noise(self, name: str) -> np.ndarray:
        between, within = (self.noise * spread for spread in SPREADS[name])
        documents = self.document_of[-1] + 1
        shared = self.draw.normal(0, between, documents)[self.document_of]
        return shared + self.draw.normal(0, within, len(self.groups))

    @cached_property
    def base(self) -> Version:
        """The untuned model."""
        return self.version(BASE_LOSS)

    def gains(self, one: Version, other: Version) -> dict[str, Estimate]:
        """What one gains over the other, as an evaluation measures it."""
        statistics = {PERPLEXITY: perplexity_gain(one.scored, other.scored)} | {
            name: difference(mean_of(one.likeness[name]), mean_of(other.likeness[name]))
            for name in one.likeness
        }
        return {name: estimate(each, self.groups) for name, each in statistics.items()}

    def judge(
        self,
        candidate: Version,
        champion: Version | None = None,
        reference: Version | None = None,
        new_documents: int = 0,
    ) -> Judgement:
        """The gate's judgement."""
        opponents = {BASE: self.base, CHAMPION: champion, REFERENCE: reference}
        evidence = Evidence(
            soundness=Soundness(len(self.groups), 0, 0, 0),
            copies=NOTHING,
            gains={role: self.gains(candidate, each) for role, each in opponents.items() if each},
            recall=ENOUGH,
            recall_k=5,
            groups=len(set(self.groups)),
            has_champion=champion is not None,
            new_documents=new_documents,
        )
        return judge(evidence, GATE)


def promoted(gates: int, documents: int, gain: float, *, new_documents: int = 0) -> float:
    """Share of gates that promote a candidate whose true gain in perplexity is this."""
    verdicts = []
    for seed in range(gates):
        test_set = TestSet(documents, seed)
        champion, candidate = test_set.version(0.0), test_set.version(math.log(1 - gain))
        verdicts.append(test_set.judge(candidate, champion, new_documents=new_documents).verdict)
    return sum(verdict is Verdict.PROMOTE for verdict in verdicts) / gates


def smallest_effect(documents: int) -> float:
    """What a set of so many documents shows, from the true spreads (those of very many)."""
    many = TestSet(1_000, 0)
    gained = many.gains(many.version(0.0), many.version(0.0))
    few = {
        name: each.model_copy(
            update={"error": each.spread / math.sqrt(documents)} | {"groups": documents}
        )
        for name, each in gained.items()
    }
    tolerated = [(few[name], GATE.tolerances[name]) for name in (ROUGE_L, STYLE, MEANING)]
    found = power_of(PERPLEXITY, few[PERPLEXITY], tolerated, GATE.min_effect).smallest
    assert found is not None
    return found


def ratchet(promotions: int, loss: float, seed: int, noise: float) -> tuple[int, float]:
    """A row of candidates each of which is worse than the champion by so much, with new documents.

    Returns how many were promoted, and the true loss of the last champion against the first.
    """
    test_set = TestSet(40, seed, noise)
    champion = reference = test_set.version(0.0)
    count = 0
    for _ in range(promotions):
        candidate = test_set.version(champion.log_perplexity + math.log(1 + loss))
        against = None if champion is reference else reference
        if test_set.judge(candidate, champion, against, 1).verdict is Verdict.PROMOTE:
            champion, count = candidate, count + 1
    return count, math.exp(champion.log_perplexity) - 1


def coverage(sets: int, documents: int) -> float:
    """Share of the intervals that hold the true gain of a candidate that is 10 % better."""
    hits = 0
    for seed in range(sets):
        test_set = TestSet(documents, seed)
        one, other = test_set.version(math.log(0.9)), test_set.version(0.0)
        statistic = perplexity_gain(one.scored, other.scored)
        found = estimate(statistic, test_set.groups)
        hits += found.low <= 0.1 <= found.high
    return hits / sets
