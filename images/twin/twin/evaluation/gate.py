"""The gate: whether a candidate may become champion, and every reason in plain words.

Three kinds of checks, all of which must pass:

* Soundness: answers are there, free of special tokens, and not stuck in loops.
* Against the base model: training must have done something. Perplexity must fall by
  ``min_perplexity_gain``; likeness to the author may not suffer.
* Against the champion, where there is one: not worse, beyond the recipe's tolerances. It need not
  be better: a candidate trained on this month's documents answers for them, which no figure on the
  old ones shows, and the intervals already make it prove that nothing was lost.

Every comparison is read at the worse end of its interval, so that a small test set makes the gate
stricter and not blinder. Retrieval is checked too: a twin that cannot find its sources should not
be put forward.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from twin.evaluation.measures import MEANING, PERPLEXITY, ROUGE_L, STYLE
from twin.evaluation.resampling import CONFIDENCE, Estimate
from twin.evaluation.soundness import Soundness
from twin.recipes import GateSection

BASE = "base"
CHAMPION = "champion"


@dataclass(frozen=True)
class Evidence:
    """What the gate judges by.

    ``gains`` maps base (and champion, if there is one) to the candidate's gain on each measure.
    """

    soundness: Soundness
    gains: Mapping[str, Mapping[str, Estimate]]
    recall: Estimate
    recall_k: int


class Check(BaseModel):
    """One check: what was measured, what was asked for, and whether that was met."""

    model_config = ConfigDict(frozen=True)

    name: str
    passed: bool
    measured: float
    low: float | None = None
    high: float | None = None
    threshold: float
    text: str


def judge(evidence: Evidence, gate: GateSection) -> list[Check]:
    """All checks, passed or not, in the order in which they are worth reading."""
    checks = _soundness(evidence.soundness, gate)
    base_limits = {
        PERPLEXITY: gate.min_perplexity_gain,
        ROUGE_L: -gate.max_rouge_loss,
        STYLE: -gate.max_similarity_loss,
        MEANING: -gate.max_similarity_loss,
    }
    limits = {
        BASE: base_limits,
        CHAMPION: {**base_limits, PERPLEXITY: -gate.max_perplexity_loss},
    }
    for opponent, gained in evidence.gains.items():
        checks += [
            _gain(name, opponent, gained[name], limit) for name, limit in limits[opponent].items()
        ]
    return [*checks, _recall(evidence, gate)]


def _soundness(found: Soundness, gate: GateSection) -> list[Check]:
    return [
        _share("no special tokens", "show special tokens", found.leaking, found.answers, 0.0),
        _share("no empty answers", "are empty", found.empty, found.answers, gate.max_broken_share),
        _share("no loops", "end in a loop", found.looping, found.answers, gate.max_broken_share),
    ]


def _share(name: str, what: str, bad: int, answers: int, limit: float) -> Check:
    share = bad / answers
    passed = share <= limit
    return Check(
        name=name,
        passed=passed,
        measured=share,
        threshold=limit,
        text=f"{bad} of {answers} answers {what}: {_percent(share)}, "
        f"at most {_percent(limit)} allowed: {_word(passed)}",
    )


_GAIN_NAMES = {
    PERPLEXITY: "perplexity",
    ROUGE_L: "ROUGE-L",
    STYLE: "style similarity",
    MEANING: "semantic similarity",
}


def _gain(name: str, opponent: str, gain: Estimate, limit: float) -> Check:
    passed = gain.low >= limit
    show, verb = (_percent, "falls by") if name == PERPLEXITY else (_points, "changes by")
    return Check(
        name=f"{_GAIN_NAMES[name]} against {opponent}",
        passed=passed,
        measured=gain.value,
        low=gain.low,
        high=gain.high,
        threshold=limit,
        text=f"{_GAIN_NAMES[name]} {verb} {show(gain.value)} against {opponent} "
        f"({CONFIDENCE:.0%} interval {show(gain.low)} to {show(gain.high)}); "
        f"the lower end must be at least {show(limit)}: {_word(passed)}",
    )


def _recall(evidence: Evidence, gate: GateSection) -> Check:
    found = evidence.recall
    passed = found.value >= gate.min_recall
    return Check(
        name="retrieval",
        passed=passed,
        measured=found.value,
        low=found.low,
        high=found.high,
        threshold=gate.min_recall,
        text=f"retrieval finds the passage among the first {evidence.recall_k} for "
        f"{_percent(found.value)} of the test instructions ({CONFIDENCE:.0%} interval "
        f"{_percent(found.low)} to {_percent(found.high)}); it must be at "
        f"least {_percent(gate.min_recall)}: {_word(passed)}",
    )


def _percent(share: float) -> str:
    return f"{share:.1%}" if abs(share) < 10 else f"{share * 100:.3g}%"


def _points(change: float) -> str:
    return f"{change:+.3f}"


def _word(passed: bool) -> str:
    return "passed" if passed else "FAILED"
