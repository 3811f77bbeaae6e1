"""Measuring the contestants: from weights and test samples to findings. Decides nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.domain.sample import InstructSample
from twin.domain.written import plain
from twin.evaluation.abilities import AbilitiesReport, measure_abilities
from twin.evaluation.authorship_check import authorship_check
from twin.evaluation.contest import Contest
from twin.evaluation.faithfulness_limit import faithfulness_check
from twin.evaluation.forgetting import forgetting_checks
from twin.evaluation.gate import BASE, CHAMPION, REFERENCE, Check, Evidence, Judgement, judge
from twin.evaluation.held_out import HeldOut, hold_out
from twin.evaluation.judged_grounding import JudgedGrounding, judge_grounding
from twin.evaluation.judging import JudgeReport, ask_judge, judge_doubts, preference_checks
from twin.evaluation.material import Material
from twin.evaluation.measures import (
    AUTHORSHIP,
    COPIES,
    MEASURES,
    STYLE,
    Measured,
    Yardstick,
    author_hands,
    author_statistics,
    gains,
    measure,
)
from twin.evaluation.report import Figure, Retrieval, SideBySide
from twin.evaluation.resampling import Estimate, Statistic, difference, estimate
from twin.evaluation.retrieval import ranks, recall, reciprocal_rank
from twin.evaluation.style import author_style
from twin.evaluation.style_findings import find_authorship, style_report
from twin.evaluation.style_report import StyleReport
from twin.evaluation.transcripts import Transcript, transcript_of
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.bases.base_models import prepare_base_model
from twin.models.embedder import Embedder, load_embedder
from twin.models.language_model import SamplingParams
from twin.rag.prompt import END_MARKS
from twin.rag.retrieve import make_retriever
from twin.rag.support import SupportVerifier
from twin.recipes import GateSection, Recipe
from twin.stores.files import FileStore, folder_digest
from twin.stores.index import open_index

CANDIDATE = "candidate"
AUTHOR = "author"
OPPONENTS = (BASE, CHAMPION, REFERENCE)
SHOWN_SIDE_BY_SIDE = 12


@dataclass(frozen=True)
class Findings:
    """Everything that was measured, and what the gate makes of it."""

    held_out: HeldOut
    transcripts: Mapping[str, Transcript]
    figures: tuple[Figure, ...]
    retrieval: Retrieval
    judged: JudgeReport | None
    judged_grounding: JudgedGrounding | None
    abilities: AbilitiesReport | None
    style: StyleReport
    judgement: Judgement
    side_by_side: tuple[SideBySide, ...]


def examine(job: Job, contest: Contest, material: Material, files: FileStore) -> Findings:
    """Measure candidate, base, champion and reference (if any) on the test samples.

    One language model at a time is in memory, and none while the embedder works. A champion that
    can't be measured is a doubt, which the gate holds the candidate for.

    Raises:
        BadDataError: candidate or base can't be measured, or the set does not allow the measure
            that the recipe's gate decides by.
    """
    recipe, section = job.recipe, job.recipe.evaluation
    held_out = hold_out(
        material.clean,
        material.groups,
        recipe.author.name,
        max_samples=section.max_samples,
        seed=section.seed,
    )
    transcripts, doubts = _transcripts(job, contest, held_out, files)
    abilities = measure_abilities(job, _contestants(job, contest), files)
    embedder = load_embedder(recipe.features.embedder, job.settings)
    authorship, why_absent = find_authorship(material.train, recipe, files)
    by = replace(make_yardstick(recipe, held_out, material.train, embedder), authorship=authorship)
    measured = {role: measure(transcript, by) for role, transcript in transcripts.items()}
    _check_primary(section.gate.primary, measured[CANDIDATE], why_absent)
    sure = partial(estimate, groups=held_out.groups)
    hands = {role: each.hands for role, each in measured.items()} | {AUTHOR: author_hands(by)}
    figures = figures_of(measured, author_statistics(by), sure)
    retrieval = _retrieval(job, embedder, material)
    judged = ask_judge(job, held_out, transcripts, files)
    evidence = Evidence(
        soundness=measured[CANDIDATE].soundness,
        copies=next(each for each in figures if each.name == COPIES).values[CANDIDATE],
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
            *faithfulness_check(
                {each.name: each.values[CANDIDATE] for each in figures}, section.gate
            ),
        ),
    )
    return Findings(
        held_out=held_out,
        transcripts=transcripts,
        figures=figures,
        retrieval=retrieval,
        judged=judged,
        judged_grounding=judge_grounding(job, held_out, transcripts, by, files),
        abilities=abilities,
        style=StyleReport(absent=why_absent)
        if authorship is None
        else style_report(authorship, material, hands, held_out.groups),
        judgement=judge(evidence, section.gate),
        side_by_side=side_by_side(held_out, transcripts, SHOWN_SIDE_BY_SIDE),
    )


def _check_primary(primary: str, candidate: Measured, no_authorship: str) -> None:
    if primary == AUTHORSHIP and no_authorship:
        raise BadDataError(f"evaluation.gate.primary is {primary}: {no_authorship}")
    if primary not in candidate.statistics:
        raise BadDataError(
            f"evaluation.gate.primary is {primary}, but no test sample can be measured by it: "
            "write questions with facts for documents of the test split, or choose perplexity"
        )


def _transcripts(
    job: Job, contest: Contest, held_out: HeldOut, files: FileStore
) -> tuple[dict[str, Transcript], list[str]]:
    """The transcripts by role, and why an earlier champion has none."""
    contestants = _contestants(job, contest)
    params = SamplingParams(
        max_new_tokens=job.recipe.evaluation.max_new_tokens,
        temperature=0.0,
        repetition_penalty=job.recipe.serving.repetition_penalty,
        stop=END_MARKS,
    )
    made: dict[str, Transcript] = {}
    doubts = []
    with job.progress("measuring", len(contestants) * len(held_out.samples)) as advance:
        for role, (digest, weights) in contestants.items():
            try:
                made[role] = transcript_of(
                    digest,
                    weights,
                    held_out,
                    params,
                    settings=job.settings,
                    files=files,
                    advance=advance,
                )
            except (BadDataError, BadConfigurationError) as error:
                if role in {CANDIDATE, BASE}:
                    raise
                doubts.append(f"the {role} can't be measured: {error}")
    return made, doubts


def _contestants(job: Job, contest: Contest) -> dict[str, tuple[str, Callable[[], Path]]]:
    """Role to the digest of the weights and a way to get them."""
    settings, candidate, champion = job.settings, contest.candidate, contest.champion
    base_model = candidate.tags.get("base_model", job.recipe.training.base_model)
    base = prepare_base_model(base_model, settings)
    made: dict[str, tuple[str, Callable[[], Path]]] = {}
    versions = ((CANDIDATE, candidate), (CHAMPION, champion), (REFERENCE, contest.reference))
    for role, version in versions:
        if version is not None:
            made[role] = (version.weights_digest, partial(whole_weights, version, settings))
    made[BASE] = (folder_digest(base), lambda: base)
    return {role: made[role] for role in (CANDIDATE, *OPPONENTS) if role in made}


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
        values = {role: sure(model.statistics[each.name]) for role, model in measured.items()}
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
        retriever = make_retriever(job.recipe, reader, embedder)
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
            instruction=sample.instruction,
            title=sample.title,
            url=sample.url,
            author=sample.answer,
            answers={role: made.answers[place] for role, made in transcripts.items()},
        )
        for place, sample in enumerate(held_out.samples[:most])
    )
