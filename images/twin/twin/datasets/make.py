"""`twin datasets make`: the index's chunks become a published version of samples."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import structlog

from twin.datasets.card import few_documents, render_card
from twin.datasets.card_page import render_page
from twin.datasets.copies import copy_share
from twin.datasets.gates import Rejected
from twin.datasets.instruct import InstructSet, make_instruct_set
from twin.datasets.personal_data import Redactor
from twin.datasets.questions import written_inputs
from twin.datasets.reviews import Reviews
from twin.datasets.workshop import Workshop, workshop_inputs
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.sample import WITHHELD, Maker, Split
from twin.domain.verdict import Verdict
from twin.job import Job
from twin.models.spending import Spending
from twin.rag.prompt import PROMPT_VERSION
from twin.recipes import Recipe
from twin.stores.files import FileStore, open_files
from twin.stores.index import IndexReader, nothing_published, open_index
from twin.stores.lineage import splits_learnt
from twin.stores.sample_sets import (
    INSTRUCT,
    PAGE,
    SampleSetManifest,
    SampleSets,
    TeacherRecord,
)
from twin.stores.verdicts import Verdicts, digest

log = structlog.get_logger("twin")

MAKER = "7"
"""Version of this stage's code, part of every data set's version: raise it when samples change."""


def make_samples(job: Job) -> None:
    """Make the samples unless the newest version was made from the same inputs.

    Raises:
        NothingToDo: it was.
        BadDataError: there is no index yet, or no passage in it can be an answer.
        TryAgainError: another index was published while this one was read.
    """
    recipe, files = job.recipe, open_files(job.settings)
    index = open_index(job.settings, recipe)
    state = index.state()
    if state is None:
        raise nothing_published(recipe.name)
    sets = SampleSets(files, recipe.name)
    verdicts = Verdicts(files, recipe.name).read()
    version = sample_set_version(recipe, state.fingerprint, verdicts)
    job.result.ids["dataset_version"] = version
    job.result.uris["dataset"] = files.uri(sets.folder(version))
    if sets.is_published(version):
        _adopt(sets, version)
    reader = index.read()
    try:
        _make(job, files, reader, verdicts)
    finally:
        reader.close()


def sample_set_version(
    recipe: Recipe, index_fingerprint: str, verdicts: Sequence[Verdict] = ()
) -> str:
    """SHA-256 (first 12 hex digits) of everything that shapes the samples."""
    parts = (
        MAKER,
        PROMPT_VERSION,
        index_fingerprint,
        recipe.digest("author", "datasets"),
        *written_inputs(recipe),
        *workshop_inputs(recipe),
        *([digest(verdicts)] if verdicts else []),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _adopt(sets: SampleSets, version: str) -> None:
    """The version exists: make it the newest, and say that nothing is to be done."""
    newest = sets.find_latest()
    if newest is None or newest.version != version:
        sets.make_latest(version)
    raise NothingToDo(f"samples {version} are those of the index and the recipe as they are")


def _make(job: Job, files: FileStore, reader: IndexReader, verdicts: Sequence[Verdict]) -> None:
    sets = SampleSets(files, job.recipe.name)
    fingerprint = reader.fingerprint()  # another index may have been published in between
    version = sample_set_version(job.recipe, fingerprint, verdicts)
    with job.progress("reading chunks", reader.count()) as advance:
        redactor = Redactor(job.recipe.datasets.personal_data, job.recipe.author.name)
        chunks = []
        for chunk in reader.chunks():
            chunks.append(redactor.chunk(chunk))
            advance(1)
    if reader.fingerprint() != fingerprint:
        raise TryAgainError("the index changed while its chunks were read: run this again")
    kept = _kept_splits(job, sets)
    reviews = Reviews.of(verdicts, redactor.text)
    workshop = Workshop(job, files, reader, redactor, version)
    with closing(workshop):
        made = make_instruct_set(
            chunks,
            job.recipe.datasets,
            asked=workshop.asked(),
            kept=kept,
            reviews=reviews,
            teach=workshop.teach,
            gates=workshop.gates(),
            measured=workshop.measured(),
        )
    job.counts.read = len(chunks)
    job.counts.skipped = sum(made.skipped.values())
    for question, reason in made.set_aside:
        job.skip_item(question, f"written question: {reason}")
    for refused in reviews.refused.values():
        job.skip_item(refused.question, f"left out by people: {refused}")
    _check(made)
    manifest = _manifest(job, version, fingerprint, made).model_copy(
        update={
            "redacted": dict(sorted(redactor.counts.items())),
            "verdicts": reviews.outcome(made.samples),
            "refused": reviews.reasons(),
            "teacher": _teacher_record(job.recipe, made, workshop.spending),
            "departed": {id_: split for id_, split in kept.items() if id_ not in made.documents},
        }
    )
    card, page = render_card(manifest, made.samples), render_page(manifest, made.samples)
    uri = sets.publish(manifest, made.samples, card, page, list(map(_row, made.rejected)))
    job.counts.written = len(made.samples)
    job.result.ids["dataset_version"] = version
    job.result.uris["dataset"] = uri
    job.result.uris["card"] = f"{uri}/{PAGE}"
    job.result.detail.update(
        counts=manifest.counts,
        skipped=manifest.skipped,
        redacted=manifest.redacted,
        written=manifest.written,
        withheld=manifest.withheld,
        set_aside=manifest.set_aside,
        verdicts=manifest.verdicts,
        refused=manifest.refused,
        rejected=manifest.rejected,
        teacher=manifest.teacher.model_dump() if manifest.teacher else None,
        not_retrieved=made.not_retrieved,
        copy_share=manifest.copy_share,
    )
    if warning := few_documents(manifest):
        job.result.detail["warning"] = warning
        log.warning("few documents", reason=warning)


def _kept_splits(job: Job, sets: SampleSets) -> dict[str, Split]:
    """The split of every document that must not move.

    All versions that were dealt by the recipe's seed say it, the newest first. Where the documents
    are dealt anew, what promoted models learnt from stays what it was to them.
    """
    seed = job.recipe.datasets.split_seed
    newest = sets.find_latest()
    versions = sets.versions()
    others = [each for each in map(sets.manifest, versions) if each.split_seed == seed]
    kept = {id_: split for each in others for id_, split in each.assigned.items()}
    if newest is not None and newest.split_seed == seed:
        return {**kept, **newest.assigned}
    if not versions:
        return {}
    return {**kept, **splits_learnt(job.settings, sets, job.recipe.model_name)}


def _check(made: InstructSet) -> None:
    for split in (Split.TRAIN, Split.TEST):
        if not any(sample.split is split for sample in made.samples):
            why = "; ".join(f"{reason}: {n}" for reason, n in made.skipped.items()) or "no chunks"
            raise BadDataError(
                f"no {split.value} samples from {len(made.documents)} usable documents "
                f"(chunks left out: {why}): crawl at least three articles, or loosen datasets.*"
            )


def _manifest(job: Job, version: str, fingerprint: str, made: InstructSet) -> SampleSetManifest:
    recipe = job.recipe
    kinds = Counter(sample.kind for sample in made.samples if sample.maker is Maker.WRITTEN)
    tally = Counter(sample.split for sample in made.samples)
    counts = {INSTRUCT: {split.value: tally[split] for split in Split}}
    return SampleSetManifest(
        version=version,
        recipe=recipe.name,
        author_id=recipe.author.id,
        author_name=recipe.author.name,
        index_fingerprint=fingerprint,
        recipe_digest=recipe.digest("author", "datasets"),
        prompt_version=PROMPT_VERSION,
        documents=made.documents,
        split_seed=recipe.datasets.split_seed,
        counts=counts,
        skipped=dict(made.skipped),
        withheld=kinds.pop(WITHHELD, 0),
        written=dict(kinds),
        set_aside=dict(Counter(reason for _, reason in made.set_aside)),
        rejected=dict(Counter(each.reason.value for each in made.rejected).most_common()),
        copy_share={
            split.value: round(copy_share([s for s in made.samples if s.split is split]), 4)
            for split in Split
        },
    )


def _teacher_record(
    recipe: Recipe, made: InstructSet, spending: Spending | None
) -> TeacherRecord | None:
    teacher = recipe.datasets.teacher
    if teacher is None or spending is None:
        return None
    kinds = Counter(each.kind for each in made.samples if each.maker is Maker.TEACHER)
    return TeacherRecord(
        model=teacher.model,
        outcomes=dict(sorted(made.taught.items())),
        samples=dict(sorted(kinds.items())),
        tokens=spending.tokens + spending.held_tokens,
        money=round(spending.money + spending.held_money, 6) if teacher.prices else None,
        budget_ended=spending.ended,
    )


def _row(rejected: Rejected) -> dict[str, Any]:
    """A sample that was left out, with its reason."""
    return {
        "reason": rejected.reason.value,
        "detail": rejected.detail,
        **rejected.sample.model_dump(mode="json"),
    }
