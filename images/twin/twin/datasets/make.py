"""`twin datasets make`: the index's chunks become a published version of samples."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import structlog

from twin.datasets.card import few_documents, render_card
from twin.datasets.card_page import render_page
from twin.datasets.gates import Rejected
from twin.datasets.instruct import InstructSet, make_instruct_set
from twin.datasets.parts import Parts, Shard, unchanged
from twin.datasets.personal_data import Redactor
from twin.datasets.questions import written_inputs
from twin.datasets.reviews import Reviews
from twin.datasets.workshop import Workshop, workshop_inputs
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import WITHHELD, Split
from twin.domain.verdict import Verdict
from twin.job import Job
from twin.models.spending import Spending
from twin.rag.prompt import PROMPT_VERSION
from twin.recipes import Recipe
from twin.stores.files import FileStore, open_files
from twin.stores.index import Index, IndexReader, open_index
from twin.stores.index_release import nothing_published
from twin.stores.lineage import splits_learnt
from twin.stores.sample_sets import (
    INSTRUCT,
    PAGE,
    SampleSetManifest,
    SampleSets,
    TeacherRecord,
    parts_of,
)
from twin.stores.verdicts import Verdicts, digest

log = structlog.get_logger("twin")

MAKER = "7"
"""Version of this stage's code, part of every data set's version: raise it when samples change."""


def make_samples(job: Job, shards: int = 1) -> None:
    """Make the samples unless the newest version was made from the same inputs.

    Args:
        job: with recipe and settings.
        shards: how many `prepare_shard` was run with; what those have not prepared is made here.

    Raises:
        NothingToDo: it was.
        BadDataError: there is no index yet, or no passage in it can be an answer.
        TryAgainError: another index was published while this one was read.
    """
    files, index, verdicts, version = _inputs(job)
    sets = SampleSets(files, job.recipe.name)
    if sets.is_published(version):
        files.remove(parts_of(job.recipe.name))  # a kill may have left them
        _adopt(sets, version)
    reader = index.read()
    try:
        _make(job, files, reader, verdicts, shards)
    finally:
        reader.close()


def prepare_shard(job: Job, shard: Shard) -> None:
    """Make what can be made of a part of the index by itself, for `make_samples` to join.

    Raises:
        NothingToDo: it is made, or not needed.
        BadDataError: there is no index yet.
        TryAgainError: another index was published while this one was read.
    """
    files, index, _, version = _inputs(job)
    if SampleSets(files, job.recipe.name).is_published(version):
        raise NothingToDo(f"samples {version} are those of the index and the recipe as they are")
    reader = index.read()
    try:
        part = Parts(job, files, reader).make(shard)
    finally:
        reader.close()
    job.counts.read = job.counts.written = part.chunks
    job.result.ids["part"] = part.name


def _inputs(job: Job) -> tuple[FileStore, Index, Sequence[Verdict], str]:
    """Files, index, people's verdicts and the version that would be made of them."""
    recipe, files = job.recipe, open_files(job.settings)
    index = open_index(job.settings, recipe)
    state = index.state()
    if state is None:
        raise nothing_published(recipe.name)
    verdicts = Verdicts(files, recipe.name).read()
    version = sample_set_version(recipe, state.fingerprint, verdicts)
    job.result.ids["dataset_version"] = version
    job.result.uris["dataset"] = files.uri(SampleSets(files, recipe.name).folder(version))
    return files, index, verdicts, version


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


def _make(
    job: Job, files: FileStore, reader: IndexReader, verdicts: Sequence[Verdict], shards: int
) -> None:
    sets = SampleSets(files, job.recipe.name)
    # Before the index is read: what changes while they are made is in none of them.
    dealt = datetime.now(UTC)
    fingerprint = reader.fingerprint()  # another index may have been published in between
    version = sample_set_version(job.recipe, fingerprint, verdicts)
    redactor = Redactor(job.recipe.datasets.personal_data, job.recipe.author.name)
    parts = Parts(job, files, reader)
    prepared = parts.join(shards, redactor)
    unchanged(reader, fingerprint)
    kept = _kept_splits(job, sets)
    reviews = Reviews.of(verdicts, redactor.text)
    workshop = Workshop(job, files, reader, redactor, version)
    with closing(workshop):
        made = make_instruct_set(
            prepared,
            job.recipe.datasets,
            asked=workshop.asked(),
            kept=kept,
            reviews=reviews,
            teach=workshop.teach,
            gates=workshop.gates(),
            measured=workshop.measured(),
        )
    job.counts.read = len(prepared.rows)
    job.counts.skipped = sum(made.skipped.values())
    for question, reason in made.set_aside:
        job.skip_item(question, f"written question: {reason}")
    for refused in reviews.refused.values():
        job.skip_item(refused.question, f"left out by people: {refused}")
    _check(made)
    manifest = _manifest(job, version, fingerprint, made).model_copy(
        update={
            "dealt": dealt,
            "redacted": dict(sorted(redactor.counts.items())),
            "verdicts": reviews.outcome(made.samples) if verdicts else {},
            "refused": reviews.reasons(),
            "teacher": _teacher_record(job.recipe, made, workshop.spending),
            "departed": {id_: split for id_, split in kept.items() if id_ not in made.documents},
        }
    )
    card, page = render_card(manifest, made.samples), render_page(manifest, made.samples)
    uri = sets.publish(manifest, made.samples, card, page, map(_row, made.rejected))
    parts.remove()
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
        if not made.tally.splits[split]:
            why = "; ".join(f"{reason}: {n}" for reason, n in made.skipped.items()) or "no chunks"
            raise BadDataError(
                f"no {split.value} samples from {len(made.documents)} usable documents "
                f"(chunks left out: {why}): crawl at least three articles, or loosen datasets.*"
            )


def _manifest(job: Job, version: str, fingerprint: str, made: InstructSet) -> SampleSetManifest:
    recipe = job.recipe
    kinds = Counter(made.tally.written)
    counts = {INSTRUCT: {split.value: made.tally.splits[split] for split in Split}}
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
        copy_share={split.value: round(made.tally.copy_share(split), 4) for split in Split},
    )


def _teacher_record(
    recipe: Recipe, made: InstructSet, spending: Spending | None
) -> TeacherRecord | None:
    teacher = recipe.datasets.teacher
    if teacher is None or spending is None:
        return None
    return TeacherRecord(
        model=teacher.model,
        outcomes=dict(sorted(made.taught.items())),
        samples=dict(sorted(made.tally.taught.items())),
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
