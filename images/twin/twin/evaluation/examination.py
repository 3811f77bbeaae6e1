"""Measuring the contestants: from weights and test samples to findings. Decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.domain.written import plain
from twin.evaluation.abilities import AbilitiesReport, measure_abilities
from twin.evaluation.apart import Apart, apart
from twin.evaluation.authorship_check import authorship_check
from twin.evaluation.checks import Check
from twin.evaluation.contest import Contest
from twin.evaluation.contestants import (
    CANDIDATE,
    OPPONENTS,
    contestants_of,
    site_of,
    transcripts_of,
)
from twin.evaluation.faithfulness_limit import faithfulness_check
from twin.evaluation.forgetting import forgetting_checks
from twin.evaluation.gate import Evidence, Judgement, judge
from twin.evaluation.held_out import HeldOut
from twin.evaluation.judged_grounding import JudgedGrounding, judge_grounding
from twin.evaluation.judging import JudgeReport, ask_judge, judge_doubts, preference_checks
from twin.evaluation.material import Material, held_out_of
from twin.evaluation.measures import (
    AUTHORSHIP,
    COPIES,
    MEASURES,
    PERSONAL_DATA,
    STYLE,
    Measured,
    Yardstick,
    author_hands,
    author_statistics,
    gains,
    measure,
)
from twin.evaluation.memorised import (
    Memorised,
    completions_to_write,
    leak_checks,
    look_for_training_data,
    work_of,
)
from twin.evaluation.report import Figure, Retrieval, SideBySide
from twin.evaluation.resampling import Estimate, Statistic, difference, estimate
from twin.evaluation.retrieval import ranks, recall, reciprocal_rank
from twin.evaluation.served_answers import Contestant
from twin.evaluation.site import Site
from twin.evaluation.speed import Speed, speed_check, speed_of
from twin.evaluation.style import author_style
from twin.evaluation.style_findings import find_authorship, style_report
from twin.evaluation.style_report import StyleReport
from twin.evaluation.transcripts import Transcript
from twin.job import Job
from twin.models.embedder import Embedder
from twin.rag.retrieve import make_retriever
from twin.rag.support import SupportVerifier
from twin.recipes import GateSection, Recipe
from twin.recipes.evaluation import CostSection
from twin.stores.files import FileStore
from twin.stores.index import open_index
from twin.text.personal_data import PersonalDataDetector

AUTHOR = "author"
SHOWN_SIDE_BY_SIDE = 12


@dataclass(frozen=True)
class Findings:
    """Everything that was measured, and what the gate makes of it."""

    held_out: HeldOut
    transcripts: Mapping[str, Transcript]
    candidate: Measured
    figures: tuple[Figure, ...]
    retrieval: Retrieval
    judged: JudgeReport | None
    judged_grounding: JudgedGrounding | None
    abilities: AbilitiesReport | None
    style: StyleReport
    judgement: Judgement
    side_by_side: tuple[SideBySide, ...]
    answered_by: str
    apart: Apart
    speed: Mapping[str, Speed]
    memorised: Memorised


def examine(job: Job, contest: Contest, material: Material, files: FileStore) -> Findings:
    """Measure candidate, base, champion and reference (if any) on the test samples.

    One language model at a time is in memory. A champion that can't be measured is a doubt, which
    the gate holds the candidate for.

    Raises:
        BadDataError: candidate or base can't be measured, or the set does not allow the measure
            that the recipe's gate decides by.
    """
    recipe, section = job.recipe, job.recipe.evaluation
    held_out = held_out_of(material, recipe)
    site = site_of(job, files)
    contestants = contestants_of(job, contest)
    ahead = completions_to_write(material.train, recipe)
    transcripts, doubts = transcripts_of(job, contestants, held_out, site, files, ahead)
    memorised = _memorised(job, contest, contestants, material, site, files)
    weights = {role: (each.digest, each.weights) for role, each in contestants.items()}
    abilities = measure_abilities(job, weights, files)
    embedder = site.embedder()
    authorship, why_absent = find_authorship(material.train, recipe, files)
    by = replace(make_yardstick(recipe, held_out, material.train, embedder), authorship=authorship)
    measured = {role: measure(transcript, by) for role, transcript in transcripts.items()}
    _check_primary(section.gate.primary, measured[CANDIDATE], why_absent)
    sure = partial(estimate, groups=held_out.groups)
    hands = {role: each.hands for role, each in measured.items()} | {AUTHOR: author_hands(by)}
    figures = figures_of(measured, author_statistics(by), sure)
    retrieval = _retrieval(job, embedder, material)
    judged = ask_judge(job, held_out, transcripts, files)
    speed = _speed(transcripts, held_out, site, section.cost)
    values = {each.name: each.values[CANDIDATE] for each in figures}
    evidence = Evidence(
        soundness=measured[CANDIDATE].soundness,
        copies=values[COPIES],
        gains={
            role: _judged_gains(figures, role, section.gate.primary)
            for role in OPPONENTS
            if role in measured
        },
        recall=retrieval.recall,
        recall_k=retrieval.k,
        groups=len(set(held_out.groups)),
        has_champion=contest.champion is not None,
        new_documents=material.new_documents,
        doubts=(*material.doubts, *doubts, *judge_doubts(judged)),
        further=(
            *_authorship_checks(hands, sure, section.gate),
            *preference_checks(judged, section.gate),
            *forgetting_checks(abilities, section.gate),
            *faithfulness_check(values, section.gate),
            *speed_check(speed.get(CANDIDATE), section.gate),
            *leak_checks(memorised, values[PERSONAL_DATA], section.gate),
        ),
    )
    return Findings(
        held_out=held_out,
        transcripts=transcripts,
        candidate=measured[CANDIDATE],
        figures=figures,
        retrieval=retrieval,
        judged=judged,
        judged_grounding=judge_grounding(
            job, transcripts[CANDIDATE].as_shown(held_out), transcripts, by, files
        ),
        abilities=abilities,
        style=StyleReport(absent=why_absent)
        if authorship is None
        else style_report(authorship, material, hands, held_out.groups),
        judgement=judge(evidence, section.gate),
        side_by_side=side_by_side(held_out, transcripts, SHOWN_SIDE_BY_SIDE),
        answered_by="; ".join(filter(None, (site.engine, site.engine_note))),
        apart=apart(measured, held_out, sure),
        speed=speed,
        memorised=memorised,
    )


def _memorised(
    job: Job,
    contest: Contest,
    contestants: Mapping[str, Contestant],
    material: Material,
    site: Site,
    files: FileStore,
) -> Memorised:
    tags = contest.candidate.tags
    total = work_of(material.train, tags, job.recipe)
    with job.progress("looking for training data", total) as advance:
        return look_for_training_data(contestants, material.train, tags, site, files, advance)


def _speed(
    transcripts: Mapping[str, Transcript], held_out: HeldOut, site: Site, prices: CostSection
) -> dict[str, Speed]:
    made = {
        role: speed_of(transcript.served, held_out.groups, site.engine, prices)
        for role, transcript in transcripts.items()
    }
    return {role: speed for role, speed in made.items() if speed is not None}


def _check_primary(primary: str, candidate: Measured, no_authorship: str) -> None:
    if primary == AUTHORSHIP and no_authorship:
        raise BadDataError(f"evaluation.gate.primary is {primary}: {no_authorship}")
    if primary not in candidate.statistics:
        raise BadDataError(
            f"evaluation.gate.primary is {primary}, but no test sample can be measured by it: "
            "write questions with facts for documents of the test split, or choose perplexity"
        )


def make_yardstick(
    recipe: Recipe, held_out: HeldOut, train: Sequence[InstructSample], embedder: Embedder
) -> Yardstick:
    """What models are measured by.

    Args:
        recipe: whose refusal it is.
        held_out: the questions.
        train: training samples, by which the author's style is learned.
        embedder: for what texts mean.

    Raises:
        BadDataError: the training samples show no style.
    """
    answers = [sample.answer for sample in train]
    return Yardstick(
        held_out=held_out,
        style=author_style(answers),
        embedder=embedder,
        verifier=SupportVerifier(embedder),
        refusal=recipe.retrieval.dont_know,
        trained=plain("\n".join(dict.fromkeys(answers))),
        detector=PersonalDataDetector(recipe.datasets.personal_data.names, recipe.author.name),
    )


def figures_of(
    measured: Mapping[str, Measured],
    author: Mapping[str, Statistic],
    sure: Callable[[Statistic], Estimate],
    subject: str = CANDIDATE,
    opponents: Sequence[str] = OPPONENTS,
) -> tuple[Figure, ...]:
    """Each measure with its intervals: of all models, and what one gains over its opponents.

    Args:
        measured: name of a model to what was measured of it.
        author: measure to the author's own figure.
        sure: gives a statistic its interval.
        subject: whose gains are wanted.
        opponents: over whom, as far as they are measured.
    """
    gained = {
        role: gains(measured[subject], measured[role]) for role in opponents if role in measured
    }
    made = []
    for each in MEASURES:
        if each.name not in measured[subject].statistics:
            continue
        values = {
            role: sure(model.statistics[each.name])
            for role, model in measured.items()
            if each.name in model.statistics
        }
        if each.name in author:
            values[AUTHOR] = sure(author[each.name])
        made.append(
            Figure(
                name=each.name,
                label=each.label,
                better=each.better,
                values=values,
                gains={
                    role: sure(statistics[each.name])
                    for role, statistics in gained.items()
                    if each.name in statistics
                },
            )
        )
    return tuple(made)


def _authorship_checks(
    hands: Mapping[str, Mapping[str, Statistic]],
    sure: Callable[[Statistic], Estimate],
    gate: GateSection,
) -> tuple[Check, ...]:
    """The hard limit on the author's hand, where that is measured."""
    if not hands[AUTHOR]:
        return ()
    gap = difference(hands[CANDIDATE][AUTHORSHIP], hands[AUTHOR][AUTHORSHIP])
    return (authorship_check(sure(gap), gate),)


def _judged_gains(figures: Sequence[Figure], role: str, primary: str) -> dict[str, Estimate]:
    """What the candidate gains over one opponent, measure by measure.

    Where the author's hand is measured it takes the place of style similarity, which topics and
    copies move, unless that is what the recipe decides by.
    """
    gained = {each.name: each.gains[role] for each in figures if role in each.gains}
    if AUTHORSHIP in gained and primary != STYLE:
        del gained[STYLE]
    return gained


def _retrieval(job: Job, embedder: Embedder, material: Material) -> Retrieval:
    """Look for the passage of every test instruction, each asked once.

    Passages that have left the index since the samples were made cannot be found and are not
    asked for, nor are questions that say too little without the turn before them.
    """
    k = job.recipe.evaluation.recall_k
    with closing(open_index(job.settings, job.recipe).read()) as reader:
        retriever = make_retriever(job.recipe, reader, embedder, settings=job.settings)
        indexed = {chunk.id for chunk in reader.chunks()}
        asked = sorted(
            {
                (one.instruction, one.chunk_id, material.groups[one.document_id])
                for one in material.test
                if one.chunk_id in indexed and not one.history
            }
        )
        if not asked:
            raise BadDataError(
                "the index holds none of the test passages any more: run twin datasets make and "
                "train a new candidate"
            )
        found = ranks(
            [instruction for instruction, _, _ in asked],
            [chunk_id for _, chunk_id, _ in asked],
            lambda question, limit: [hit.chunk_id for hit in retriever.search(question, limit)],
            k,
        )
    groups = [group for _, _, group in asked]
    return Retrieval(
        k=k,
        questions=len(found),
        recall=estimate(recall(found), groups),
        reciprocal_rank=estimate(reciprocal_rank(found), groups),
    )


def side_by_side(
    held_out: HeldOut, transcripts: Mapping[str, Transcript], most: int | None = None
) -> tuple[SideBySide, ...]:
    """What the author and each model wrote, for all samples or the first ones."""
    return tuple(
        SideBySide(
            document=sample.document_id,
            instruction=sample.instruction,
            title=sample.title,
            url=sample.url,
            author=sample.answer,
            answers={role: made.answers[place] for role, made in transcripts.items()},
        )
        for place, sample in enumerate(held_out.samples[:most])
    )
