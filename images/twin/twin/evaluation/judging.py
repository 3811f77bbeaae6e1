"""How often a judge prefers the candidate's answers, and what that is worth by people's verdicts.

A judge is somebody else's service: down, slow, or writing junk. None of that may promote anything:
it is written into the report, and where the recipe lets the judge decide, it holds the candidate.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import TryAgainError, TwinError
from twin.domain.sample import InstructSample
from twin.evaluation.calibration import SCORES, Calibration, calibrate, corrected
from twin.evaluation.checks import Check, better_end, interval, percent, worse_end
from twin.evaluation.gate import BASE, CHAMPION
from twin.evaluation.held_out import HeldOut
from twin.evaluation.people_pairs import JudgedPair, read_pairs
from twin.evaluation.resampling import Estimate, estimate, share_of
from twin.evaluation.transcripts import Transcript
from twin.job import Job
from twin.models.engines.remote import RemoteModel
from twin.rag.judge import Comparison, Judge, Winner
from twin.recipes import GateSection
from twin.recipes.engines import JudgeSection
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies
from twin.stores.kept_reports import JUDGE_REPLIES

CANDIDATE = "candidate"
OPPONENTS = (BASE, CHAMPION)

MOST_UNREAD = 0.2
"""Share of comparisons without a verdict above which those with one are no sample of all."""

ORDERS = 2
"""Replies to a comparison: one for each order of its answers."""


class Preference(BaseModel):
    """What the judge makes of the candidate's answers against an opponent's.

    Attributes:
        opponent: base or champion.
        wins: comparisons in which the candidate's answer is preferred in both orders.
        ties: in which neither is.
        losses: in which the opponent's is.
        unread: without a verdict.
        rate: wins and half of the ties, of those with a verdict.
        corrected: the rate that people would have found; None where nobody can tell.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    opponent: str
    wins: int
    ties: int
    losses: int
    unread: int
    rate: Estimate
    corrected: Estimate | None = None


class JudgeReport(BaseModel):
    """The judge's part of a report; ``doubt`` says why it is worth nothing, or less than it seems.

    ``decides`` says whether the gate asks for it.
    """

    model_config = ConfigDict(frozen=True)

    judge: str
    decides: bool
    preferences: tuple[Preference, ...] = ()
    calibration: Calibration | None = None
    doubt: str = ""


def ask_judge(
    job: Job, held_out: HeldOut, transcripts: Mapping[str, Transcript], files: FileStore
) -> JudgeReport | None:
    """Have the candidate's answers compared with base's and champion's; None without a judge.

    Args:
        job: whose recipe names the judge.
        held_out: the questions.
        transcripts: role to what that model wrote.
        files: keep the judge's replies.
    """
    section, judging = job.recipe.judge, job.recipe.evaluation.judge
    if section is None:
        return None
    said = JudgeReport(judge=section.model, decides=judging.decides)
    try:
        pairs = read_pairs(judging.calibration) if judging.calibration else []
        asked = {
            role: _comparisons(held_out, transcripts[CANDIDATE], transcripts[role])
            for role in OPPONENTS
            if role in transcripts
        }
        known = [pair.comparison for pair in pairs]
        verdicts = _verdicts(
            job, section, [*known, *(c for each in asked.values() for c in each)], files
        )
    except TwinError as error:
        return said.model_copy(update={"doubt": f"the judge gave no verdicts: {error}"})
    calibration = calibrate(
        [pair.people for pair in pairs], verdicts[: len(pairs)], [pair.group for pair in pairs]
    )
    left = iter(verdicts[len(pairs) :])
    preferences = tuple(
        _preference(role, [next(left) for _ in each], held_out.groups, calibration)
        for role, each in asked.items()
    )
    found = {"preferences": preferences, "calibration": calibration}
    doubt = _doubt(preferences, pairs, calibration)
    return said.model_copy(update={**found, "doubt": doubt})


def judge_doubts(report: JudgeReport | None) -> tuple[str, ...]:
    """Why the evidence is not whole, where the gate asks for the judge's word."""
    if report is None or not report.decides or not report.doubt:
        return ()
    return (f"{report.doubt}, and the recipe makes the judge decide",)


def preference_checks(report: JudgeReport | None, gate: GateSection) -> tuple[Check, ...]:
    """A check for each corrected win rate, where the recipe lets the judge decide.

    One that is in doubt decides nothing: `judge_doubts` then holds the candidate.
    """
    if report is None or not report.decides or report.doubt:
        return ()
    return tuple(
        _check(each.opponent, each.corrected, 0.5 - gate.max_win_loss)
        for each in report.preferences
        if each.corrected is not None
    )


def _check(opponent: str, rate: Estimate, limit: float) -> Check:
    """Against the base a proven loss only counts; against the champion no loss must be proven."""
    said = (
        "the judge, corrected by people's verdicts, prefers the candidate's answers to the "
        f"{opponent}'s in {percent(rate.value)} ({interval(rate, percent)})"
    )
    compared = better_end if opponent == BASE else worse_end
    return compared(f"judge against {opponent}", rate, limit, said, percent)


def comparison_of(sample: InstructSample, mine: str, theirs: str) -> Comparison:
    """The candidate's answer first. From memory, the author's own passage is the measure."""
    passages = sample.context or (sample.answer,)
    return Comparison(sample.instruction, passages, mine, theirs, sample.document_id)


def _comparisons(held_out: HeldOut, first: Transcript, second: Transcript) -> list[Comparison]:
    return list(map(comparison_of, held_out.samples, first.answers, second.answers))


def _verdicts(
    job: Job, section: JudgeSection, comparisons: Sequence[Comparison], files: FileStore
) -> list[Winner]:
    kept = KeptReplies(files, f"{JUDGE_REPLIES}/{job.recipe.model_name}")
    deadline = time.monotonic() + job.recipe.evaluation.judge.max_seconds
    with (
        closing(RemoteModel(section, job.settings.judge_api_key)) as model,
        job.progress("judging", ORDERS * len(comparisons)) as advance,
    ):
        return Judge(model, kept).compare(comparisons, until(deadline, advance))


def until(deadline: float, advance: Callable[[int], None]) -> Callable[[int], None]:
    """Count replies, each of which is kept by now, and give up where they have taken too long."""

    def counted(replies: int) -> None:
        advance(replies)
        if time.monotonic() > deadline:
            raise TryAgainError(
                "it is slower than evaluation.judge.max_seconds allows; what it has replied is "
                "kept, so twin evaluation run --again asks for the rest"
            )

    return counted


def _preference(
    opponent: str,
    verdicts: Sequence[Winner],
    groups: Sequence[str],
    calibration: Calibration | None,
) -> Preference:
    read = [verdict in SCORES for verdict in verdicts]
    sure = partial(estimate, groups=groups)
    nothing = Estimate(value=0.5, low=0.0, high=1.0)
    scores = [SCORES.get(verdict, 0.0) for verdict in verdicts]
    rate = sure(share_of(scores, read)) if any(read) else nothing
    return Preference(
        opponent=opponent,
        wins=verdicts.count(Winner.FIRST),
        ties=verdicts.count(Winner.TIE),
        losses=verdicts.count(Winner.SECOND),
        unread=verdicts.count(Winner.NONE),
        rate=rate,
        corrected=corrected(rate, calibration) if calibration else None,
    )


def _doubt(
    preferences: Sequence[Preference],
    pairs: Sequence[JudgedPair],
    calibration: Calibration | None,
) -> str:
    for each in preferences:
        asked = each.wins + each.ties + each.losses + each.unread
        if each.unread > MOST_UNREAD * asked:
            return (
                f"the judge gave no verdict that can be read on {each.unread} of {asked} "
                f"comparisons with the {each.opponent}"
            )
    if not pairs:
        return "nobody has compared the judge with people: its win rates are as it gives them"
    if calibration is None:
        return f"the judge gave no verdict on any of the {len(pairs)} pairs that people have judged"
    if calibration.doubt:
        return calibration.doubt
    if any(each.corrected is None for each in preferences):
        return "the test samples come from too few groups of documents to correct a win rate"
    return ""
