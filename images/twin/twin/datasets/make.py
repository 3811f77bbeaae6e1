"""`twin datasets make`: the index's chunks become a published version of samples."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import structlog

from twin.datasets.card import few_documents, render_card
from twin.datasets.card_page import render_page
from twin.datasets.copies import copy_share
from twin.datasets.instruct import InstructSet, make_instruct_set
from twin.datasets.personal_data import Redactor
from twin.datasets.preferences import (
    Rejected,
    choose_samples,
    make_pairs,
    reusable,
    sampling,
    write_rejected,
)
from twin.datasets.questions import open_questions, written_inputs
from twin.datasets.reviews import Reviews
from twin.domain.errors import BadDataError, NothingToDo, TryAgainError
from twin.domain.sample import WITHHELD, InstructSample, Maker, PreferencePair, Split
from twin.domain.verdict import Verdict
from twin.job import Job
from twin.models.bases.base_models import (
    check_base_model_name,
    prepare_base_model,
)
from twin.models.language_model import load_language_model
from twin.rag.prompt import PROMPT_VERSION
from twin.recipes import Recipe
from twin.stores.files import FileStore, open_files
from twin.stores.index import IndexReader, nothing_published, open_index
from twin.stores.sample_sets import INSTRUCT, PAGE, PREFERENCES, SampleSetManifest, SampleSets
from twin.stores.verdicts import Verdicts, digest

log = structlog.get_logger("twin")

MAKER = "5"
"""Version of this stage's code, part of every data set's version: raise it when samples change."""


def make_samples(job: Job) -> None:
    """Make the samples unless the newest version was made from the same inputs.

    Raises:
        NothingToDo: it was.
        BadDataError: there is no index yet, or no passage in it can be an answer.
        TryAgainError: another index was published while this one was read.
    """
    recipe, files = job.recipe, open_files(job.settings)
    check_base_model_name(recipe.training.base_model, job.settings)
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
        recipe.training.base_model,
        *written_inputs(recipe),
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
    earlier = sets.find_latest()
    same = earlier is not None and earlier.split_seed == job.recipe.datasets.split_seed
    kept = earlier.assigned if earlier and same else {}
    asked = open_questions(job.recipe, job.settings, reader, redactor)
    reviews = Reviews.of(verdicts, redactor.text)
    made = make_instruct_set(chunks, job.recipe.datasets, asked=asked, kept=kept, reviews=reviews)
    job.counts.read = len(chunks)
    job.counts.skipped = sum(made.skipped.values())
    for question, reason in made.set_aside:
        job.skip_item(question, f"written question: {reason}")
    for refused in reviews.refused.values():
        job.skip_item(refused.question, f"left out by people: {refused}")
    _check(made)
    chosen = choose_samples(made.samples, job.recipe.datasets)
    pairs = _pairs(job, files, sets, version, chosen)
    manifest = _manifest(job, version, fingerprint, made, pairs).model_copy(
        update={
            "redacted": dict(sorted(redactor.counts.items())),
            "verdicts": reviews.outcome(made.samples),
            "refused": reviews.reasons(),
            "departed": {id_: split for id_, split in kept.items() if id_ not in made.documents},
        }
    )
    card, page = render_card(manifest, made.samples), render_page(manifest, made.samples)
    uri = sets.publish(manifest, made.samples, pairs, card, page)
    files.remove(_work(job, version))
    job.counts.written = len(made.samples) + len(pairs)
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
        not_retrieved=made.not_retrieved,
        copy_share=manifest.copy_share,
    )
    if warning := few_documents(manifest):
        job.result.detail["warning"] = warning
        log.warning("few documents", reason=warning)


def _check(made: InstructSet) -> None:
    for split in (Split.TRAIN, Split.TEST):
        if not any(sample.split is split for sample in made.samples):
            why = "; ".join(f"{reason}: {n}" for reason, n in made.skipped.items()) or "no chunks"
            raise BadDataError(
                f"no {split.value} samples from {len(made.documents)} usable documents "
                f"(chunks left out: {why}): crawl at least three articles, or loosen datasets.*"
            )


def _pairs(
    job: Job, files: FileStore, sets: SampleSets, version: str, chosen: list[InstructSample]
) -> list[PreferencePair]:
    """Pairs for the chosen samples; the model is loaded only if something is to be written."""
    rejected = _known(job, files, sets, version, chosen)
    missing = len(chosen) - len(rejected)
    if missing:
        folder = prepare_base_model(job.recipe.training.base_model, job.settings)
        model = load_language_model(folder, job.settings)
        author, knobs = job.recipe.author.name, job.recipe.datasets
        with job.progress("writing rejected texts", missing) as advance:
            for known, done in write_rejected(chosen, model, author, knobs, rejected):
                files.write_json(_work(job, version), known)
                rejected = known
                advance(done)
    return make_pairs(chosen, rejected, _rejected_by(job.recipe), job.fail_item)


def _known(
    job: Job, files: FileStore, sets: SampleSets, version: str, chosen: Sequence[InstructSample]
) -> Rejected:
    """What a killed attempt at this version, or an earlier version, has written already."""
    known: Rejected = {}
    earlier = sets.find_latest()
    # The prompts, and so the texts, of another author's name are others.
    if (
        earlier is not None
        and earlier.rejected_by == _rejected_by(job.recipe)
        and earlier.author_name == job.recipe.author.name
    ):
        for split in Split:
            known |= reusable(chosen, sets.preferences(earlier.version, split))
    if files.exists(_work(job, version)):
        known |= files.read_json(_work(job, version))
    wanted = {sample.id for sample in chosen}
    return {sample_id: text for sample_id, text in known.items() if sample_id in wanted}


def _work(job: Job, version: str) -> str:
    return f"datasets/{job.recipe.name}/unfinished/{version}.json"


def _rejected_by(recipe: Recipe) -> str:
    params = sampling(recipe.datasets)
    return (
        f"{recipe.training.base_model}, at most {params.max_new_tokens} tokens at temperature "
        f"{params.temperature}, top-p {params.top_p}, repetition penalty "
        f"{params.repetition_penalty} on its own words, seed {params.seed}, prompt {PROMPT_VERSION}"
    )


def _manifest(
    job: Job, version: str, fingerprint: str, made: InstructSet, pairs: list[PreferencePair]
) -> SampleSetManifest:
    recipe = job.recipe
    kinds = Counter(sample.kind for sample in made.samples if sample.maker is Maker.WRITTEN)
    counts = {
        kind: {split.value: tally[split] for split in Split}
        for kind, tally in {
            INSTRUCT: Counter(sample.split for sample in made.samples),
            PREFERENCES: Counter(pair.split for pair in pairs),
        }.items()
    }
    return SampleSetManifest(
        version=version,
        recipe=recipe.name,
        author_id=recipe.author.id,
        author_name=recipe.author.name,
        index_fingerprint=fingerprint,
        recipe_digest=recipe.digest("author", "datasets"),
        prompt_version=PROMPT_VERSION,
        rejected_by=_rejected_by(recipe),
        documents=made.documents,
        split_seed=recipe.datasets.split_seed,
        counts=counts,
        skipped=dict(made.skipped),
        withheld=kinds.pop(WITHHELD, 0),
        written=dict(kinds),
        set_aside=dict(Counter(reason for _, reason in made.set_aside)),
        copy_share={
            split.value: round(copy_share([s for s in made.samples if s.split is split]), 4)
            for split in Split
        },
    )
