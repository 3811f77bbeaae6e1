"""Measuring the contestants: from weights and test samples to findings. Decides nothing."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.evaluation.contest import Contest
from twin.evaluation.gate import BASE, CHAMPION, Check, Evidence, judge
from twin.evaluation.held_out import HeldOut, hold_out
from twin.evaluation.measures import MEASURES, Measured, author_statistics, gains, measure
from twin.evaluation.report import Figure, Retrieval, SideBySide
from twin.evaluation.resampling import Estimate, Statistic, estimate
from twin.evaluation.retrieval import ranks, recall, reciprocal_rank
from twin.evaluation.style import author_style
from twin.evaluation.transcripts import Transcript, transcript_of
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.bases.base_models import prepare_base_model
from twin.models.embedder import Embedder, load_embedder
from twin.models.language_model import SamplingParams
from twin.rag.prompt import END_MARKS
from twin.rag.retrieve import make_retriever
from twin.stores.files import FileStore, folder_digest
from twin.stores.index import open_index

CANDIDATE = "candidate"
AUTHOR = "author"
SHOWN_SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Findings:
    """Everything that was measured."""

    held_out: HeldOut
    transcripts: Mapping[str, Transcript]
    figures: tuple[Figure, ...]
    retrieval: Retrieval
    checks: tuple[Check, ...]
    side_by_side: tuple[SideBySide, ...]


def examine(
    job: Job,
    contest: Contest,
    train: list[InstructSample],
    test: list[InstructSample],
    files: FileStore,
) -> Findings:
    """Measure candidate, base and champion (if any) on the test samples.

    ``train`` is where the author's style is learned from. One language model at a time is in
    memory, and none while the embedder works.
    """
    recipe, section = job.recipe, job.recipe.evaluation
    held_out = hold_out(
        test, recipe.author.name, max_samples=section.max_samples, seed=section.seed
    )
    transcripts = _transcripts(job, contest, held_out, files)
    embedder = load_embedder(recipe.features.embedder, job.settings)
    style = author_style([sample.answer for sample in train])
    measured = {
        role: measure(transcript, held_out, style, embedder)
        for role, transcript in transcripts.items()
    }
    sure = partial(estimate, resamples=section.bootstrap_resamples, seed=section.seed)
    size = len(held_out.samples)
    figures = _figures(measured, author_statistics(held_out, style), lambda s: sure(s, size))
    retrieval = _retrieval(job, embedder, test, sure)
    evidence = Evidence(
        soundness=measured[CANDIDATE].soundness,
        gains={
            role: {figure.name: figure.gains[role] for figure in figures}
            for role in (BASE, CHAMPION)
            if role in measured
        },
        recall=retrieval.recall,
        recall_k=retrieval.k,
    )
    return Findings(
        held_out=held_out,
        transcripts=transcripts,
        figures=figures,
        retrieval=retrieval,
        checks=tuple(judge(evidence, section.gate)),
        side_by_side=_side_by_side(held_out, transcripts),
    )


def _transcripts(
    job: Job, contest: Contest, held_out: HeldOut, files: FileStore
) -> dict[str, Transcript]:
    contestants = _contestants(job, contest)
    params = SamplingParams(
        max_new_tokens=job.recipe.evaluation.max_new_tokens,
        temperature=0.0,
        repetition_penalty=job.recipe.serving.repetition_penalty,
        stop=END_MARKS,
    )
    total = len(contestants) * len(held_out.samples)
    with job.progress("measuring", total) as advance:
        return {
            role: transcript_of(
                digest,
                weights,
                held_out,
                params,
                settings=job.settings,
                files=files,
                advance=advance,
            )
            for role, (digest, weights) in contestants.items()
        }


def _contestants(job: Job, contest: Contest) -> dict[str, tuple[str, Callable[[], Path]]]:
    """Role to the digest of the weights and a way to get them."""
    settings, candidate, champion = job.settings, contest.candidate, contest.champion
    base_model = candidate.tags.get("base_model", job.recipe.training.base_model)
    base = prepare_base_model(base_model, settings)
    made: dict[str, tuple[str, Callable[[], Path]]] = {}
    for role, version in ((CANDIDATE, candidate), (CHAMPION, champion)):
        if version is not None:
            made[role] = (version.weights_digest, partial(whole_weights, version, settings))
    made[BASE] = (folder_digest(base), lambda: base)
    return {role: made[role] for role in (CANDIDATE, BASE, CHAMPION) if role in made}


def _figures(
    measured: Mapping[str, Measured],
    author: Mapping[str, Statistic],
    sure: Callable[[Statistic], Estimate],
) -> tuple[Figure, ...]:
    gained = {
        role: gains(measured[CANDIDATE], measured[role])
        for role in (BASE, CHAMPION)
        if role in measured
    }
    made = []
    for each in MEASURES:
        values = {role: sure(model.statistics[each.name]) for role, model in measured.items()}
        if each.name in author:
            values[AUTHOR] = sure(author[each.name])
        made.append(
            Figure(
                name=each.name,
                label=each.label,
                better=each.better,
                values=values,
                gains={role: sure(statistics[each.name]) for role, statistics in gained.items()},
            )
        )
    return tuple(made)


def _retrieval(
    job: Job, embedder: Embedder, test: list[InstructSample], sure: Callable[..., Estimate]
) -> Retrieval:
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
                (one.instruction, one.chunk_id)
                for one in test
                if one.chunk_id in indexed and not one.history
            }
        )
        if not asked:
            raise BadDataError(
                "the index holds none of the test passages any more: run twin datasets make and "
                "train a new candidate"
            )
        found = ranks(
            [instruction for instruction, _ in asked],
            [chunk_id for _, chunk_id in asked],
            lambda question, limit: [hit.chunk_id for hit in retriever.search(question, limit)],
            k,
        )
    return Retrieval(
        k=k,
        questions=len(found),
        recall=sure(recall(found), len(found)),
        reciprocal_rank=sure(reciprocal_rank(found), len(found)),
    )


def _side_by_side(
    held_out: HeldOut, transcripts: Mapping[str, Transcript]
) -> tuple[SideBySide, ...]:
    return tuple(
        SideBySide(
            instruction=sample.instruction,
            title=sample.title,
            url=sample.url,
            author=sample.answer,
            answers={role: made.answers[place] for role, made in transcripts.items()},
        )
        for place, sample in enumerate(held_out.samples[:SHOWN_SIDE_BY_SIDE])
    )
