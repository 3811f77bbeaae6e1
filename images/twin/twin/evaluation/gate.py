"""The gate: whether a candidate may become champion, and every reason in plain words.

The verdict is one of three:

* ``reject``: a hard limit is broken (special tokens shown, empty answers, loops, copying, passages
  not found), or an interval shows a loss beyond what is tolerated.
* ``promote``: no check fails, and there is a reason to change the champion: a gain in the primary
  measure whose interval lies above zero, or documents that the champion was not trained on. The
  latter show in no figure on the old ones; so there it is enough that nothing was lost.
* ``hold``: neither is shown. An equal candidate is held, and so is one whose evidence is wanting: a
  small set, a figure that is no number, a champion that can't be measured. A person may promote it.

Without a champion the hard limits and the gain over the untuned base decide, on a set of any size.

Every comparison is read at the worse end of its interval, so that a small test set makes the gate
stricter and not blinder. One measure only is asked for a gain, for among several one or another
gains by chance. That is perplexity unless the recipe says otherwise: it is computed over every word
of the author's, so it tells small differences apart, and no way of answering (copying, refusing,
length) moves it.

What is tolerated at one promotion may not add up over many: the reference champion, which stays
where it is, bounds the sum. It is asked anew about each candidate, and each time chance may let one
through; so its intervals are wide enough (Bonferroni) for `CANDIDATES` of them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan

from twin.evaluation.checks import (
    Check,
    Verdict,
    better_end,
    hard_limit,
    interval,
    percent,
    signed,
    word,
    worse_end,
)
from twin.evaluation.measures import AUTHORSHIP, MEANING, PERPLEXITY, RIGHT, ROUGE_L, STYLE
from twin.evaluation.power import MIN_GROUPS, Power, power_of
from twin.evaluation.resampling import CONFIDENCE, Estimate
from twin.evaluation.soundness import Soundness
from twin.recipes import GateSection

BASE = "base"
CHAMPION = "champion"
REFERENCE = "reference"

CANDIDATES = 50
"""So many may be measured against one reference champion before one too many is let through."""
REPEATED = 1 - (1 - CONFIDENCE) / CANDIDATES


@dataclass(frozen=True)
class Evidence:
    """What the gate judges by.

    Attributes:
        soundness: counts of what is wrong with the answers.
        copies: share of their long sentences that are copied.
        gains: opponent to the candidate's gain on each measure: base, and where there is one that
            can be measured, champion, and reference unless it is the champion.
        recall: share of the passages that retrieval finds.
        recall_k: among how many.
        groups: document groups of the test samples.
        has_champion: whether there is one, measured or not.
        new_documents: how many the candidate was trained on and the champion was not.
        doubts: what could not be done: a champion that does not load, a data set that is gone.
        further: hard limits that are looked at elsewhere.
    """

    soundness: Soundness
    copies: Estimate
    gains: Mapping[str, Mapping[str, Estimate]]
    recall: Estimate
    recall_k: int
    groups: int
    has_champion: bool = False
    new_documents: int = 0
    doubts: tuple[str, ...] = ()
    further: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """The verdict with its reasons, all checks, and what the set could show at all."""

    verdict: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    power: Power


def judge(evidence: Evidence, gate: GateSection) -> Judgement:
    """All checks, passed or not, in the order in which they are worth reading, and the verdict."""
    checks = (*_hard_limits(evidence, gate), *_certainty(evidence), *_comparisons(evidence, gate))
    power = _power(evidence, gate)
    failed = {check.otherwise for check in checks if not check.passed}
    verdict = next((v for v in (Verdict.REJECT, Verdict.HOLD) if v in failed), Verdict.PROMOTE)
    reasons = [c.text for c in checks if not c.passed and c.otherwise is verdict]
    if verdict is Verdict.PROMOTE:
        reasons = [_why_promoted(evidence, gate)]
    if verdict is Verdict.HOLD and evidence.has_champion and not power.is_enough:
        reasons.append(too_small(power))
    return Judgement(verdict, tuple(reasons), checks, power)


def too_small(power: Power) -> str:
    """What the set cannot show, and what set would."""
    show = amount(power.measure)
    can = (
        f"shows a gain from {show(power.smallest)} on"
        if power.smallest is not None
        else "is too small for any gain"
    )
    needed = (
        f"about {power.needed} document groups of this kind would show it"
        if power.needed
        else "no set of a usual size would show it: loosen min_effect or the tolerances"
    )
    return (
        f"the test set of {power.groups} document group(s) {can}; the recipe wants "
        f"{show(power.wanted)} in {NAMES[power.measure]} to be seen: {needed}"
    )


def _hard_limits(evidence: Evidence, gate: GateSection) -> Iterator[Check]:
    found = evidence.soundness
    broken = gate.max_broken_share
    for name, what, bad, most in (
        ("no special tokens", "show special tokens", found.leaking, 0.0),
        ("no empty answers", "are empty", found.empty, broken),
        ("no loops", "end in a loop", found.looping, broken),
    ):
        share = bad / found.answers
        said = f"{bad} of {found.answers} answers {what}: {percent(share)}"
        yield hard_limit(name, share, said, most=most)
    copies, recall = evidence.copies, evidence.recall
    yield hard_limit(
        "no mere copying",
        copies,
        f"{percent(copies.value)} of the long sentences in its answers stand verbatim in the "
        "prompt or in the training text",
        most=gate.max_copy_share,
    )
    yield hard_limit(
        "retrieval",
        recall,
        f"retrieval finds the passage among the first {evidence.recall_k} for "
        f"{percent(recall.value)} of the test instructions ({interval(recall, percent)})",
        least=gate.min_recall,
    )
    yield from evidence.further


def _certainty(evidence: Evidence) -> Iterator[Check]:
    """Whether the evidence is such that figures may decide at all."""
    least = MIN_GROUPS if evidence.has_champion else 2
    enough = evidence.groups >= least
    why = (
        "below that no interval is vouched for"
        if evidence.has_champion
        else "one document tells nothing of others"
    )
    yield Check(
        name="document groups",
        passed=enough,
        otherwise=Verdict.HOLD,
        measured=evidence.groups,
        threshold=least,
        text=f"the test samples come from {evidence.groups} group(s) of documents, at least "
        f"{least} are needed ({why}; more come with more documents, or with a larger "
        f"datasets.test_share): {word(enough)}",
    )
    odd = [
        f"{NAMES.get(name, name)} against {opponent}"
        for opponent, gained in evidence.gains.items()
        for name, gain in gained.items()
        if isnan(gain.value) or isnan(gain.low) or isnan(gain.high)
    ]
    odd += ["copy share"] if isnan(evidence.copies.value) else []
    odd += ["retrieval"] if isnan(evidence.recall.value) else []
    odd += [check.name for check in evidence.further if isnan(check.measured)]
    yield Check(
        name="every figure is a number",
        passed=not odd,
        otherwise=Verdict.HOLD,
        measured=len(odd),
        threshold=0,
        text=f"{len(odd)} figure(s) are no numbers{_in_brackets(odd)}: {word(not odd)}",
    )
    for doubt in evidence.doubts:
        yield Check(
            name="evidence is whole",
            passed=False,
            otherwise=Verdict.HOLD,
            measured=1,
            threshold=0,
            text=f"{doubt}: {word(False)}",
        )


def _comparisons(evidence: Evidence, gate: GateSection) -> Iterator[Check]:
    gains = evidence.gains
    yield _gain(PERPLEXITY, BASE, gains[BASE][PERPLEXITY], gate.min_perplexity_gain)
    for name in _others(gains[BASE], PERPLEXITY):
        yield _no_measured_loss(name, gains[BASE][name], gate.tolerances[name])
    if not evidence.has_champion or CHAMPION not in gains:
        return
    for name in _judged(gains[CHAMPION]):
        yield _gain(name, CHAMPION, gains[CHAMPION][name], -gate.tolerances[name])
    for name in _judged(gains.get(REFERENCE, {})):
        total = gate.max_total_loss if name == gate.primary else gate.tolerances[name]
        yield _gain(name, REFERENCE, gains[REFERENCE][name].at(REPEATED), -total)
    primary = gains[CHAMPION][gate.primary]
    if not primary.high < -gate.tolerances[gate.primary]:  # else it has been said already
        yield _progress(evidence, gate)


def _judged(gained: Mapping[str, Estimate]) -> list[str]:
    return [name for name in NAMES if name in gained]


def _others(gained: Mapping[str, Estimate], primary: str) -> list[str]:
    return [name for name in _judged(gained) if name != primary]


NAMES = {
    PERPLEXITY: "perplexity",
    RIGHT: "answers right",
    ROUGE_L: "ROUGE-L",
    AUTHORSHIP: "the author's hand",
    STYLE: "style similarity",
    MEANING: "semantic similarity",
}
"""The measures that are judged, as the checks call them."""


def _gain(name: str, opponent: str, gain: Estimate, limit: float) -> Check:
    said = _change(name, opponent, gain)
    return worse_end(f"{NAMES[name]} against {opponent}", gain, limit, said, amount(name))


def _no_measured_loss(name: str, gain: Estimate, tolerance: float) -> Check:
    """The candidate need not be as good as the base in everything."""
    said = _change(name, BASE, gain)
    return better_end(f"{NAMES[name]} against {BASE}", gain, -tolerance, said, amount(name))


def _progress(evidence: Evidence, gate: GateSection) -> Check:
    """Whether there is a reason to change the champion at all."""
    gain = evidence.gains[CHAMPION][gate.primary]
    passed = gain.low > 0 or evidence.new_documents > 0
    lost = gain.high < 0 and not evidence.new_documents
    return Check(
        name="gain or new knowledge",
        passed=passed,
        otherwise=Verdict.REJECT if lost else Verdict.HOLD,
        measured=gain.value,
        low=gain.low,
        high=gain.high,
        threshold=0.0,
        text=f"{_change(gate.primary, CHAMPION, gain)}; to be promoted its worse end must lie "
        f"above zero, or the candidate must have learned from documents that the champion has not "
        f"({evidence.new_documents}): {word(passed)}",
    )


def _why_promoted(evidence: Evidence, gate: GateSection) -> str:
    if not evidence.has_champion:
        gain = evidence.gains[BASE][PERPLEXITY]
        return f"first version: {_change(PERPLEXITY, BASE, gain)}, and no hard limit is broken"
    gain = evidence.gains[CHAMPION][gate.primary]
    if gain.low > 0:
        return f"a real gain: {_change(gate.primary, CHAMPION, gain)}, and nothing else was lost"
    return (
        f"new knowledge at no loss: learned from {evidence.new_documents} document(s) that the "
        f"champion was not trained on; {_change(gate.primary, CHAMPION, gain)}"
    )


def _power(evidence: Evidence, gate: GateSection) -> Power:
    """What the set can show against the champion; before there is one, as far as the base tells."""
    gained = evidence.gains.get(CHAMPION, evidence.gains[BASE])
    primary = gate.primary if gate.primary in gained else PERPLEXITY
    tolerated = [(gained[name], gate.tolerances[name]) for name in _others(gained, primary)]
    return power_of(primary, gained[primary], tolerated, gate.min_effect)


def _change(name: str, opponent: str, gain: Estimate) -> str:
    show = amount(name)
    said = f"changes by {show(gain.value)} against {opponent} ({interval(gain, show)})"
    if name == PERPLEXITY and gain.value < 0:
        ends = interval(gain, show)
        said = f"rises by {show(-gain.value)} against {opponent} (as a fall, {ends})"
    elif name == PERPLEXITY:
        said = said.replace("changes", "falls", 1)
    return f"{NAMES[name]} {said}"


def amount(name: str) -> Callable[[float], str]:
    """How a change of a measure is written."""
    return percent if name == PERPLEXITY else signed


def _in_brackets(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""
