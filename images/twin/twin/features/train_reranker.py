"""The job `twin features train-reranker`: a cross-encoder of the recipe's own, if it wins.

Trained on the training split's questions of the data set, weighed against the search alone on the
validation split, and told of on the test split. Offered to `retrieval.rerank: trained` only where
its gain on validation questions is proved.
"""

import hashlib
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from twin.domain.chunk import Chunk
from twin.domain.errors import BadConfigurationError, NothingToDo
from twin.domain.sample import Split
from twin.features.fitting import check_installed, steps_of
from twin.features.reranker_fit import fit
from twin.features.reranker_gain import Scored, best_weight, gain_of
from twin.features.reranker_questions import (
    DRAWN_FROM,
    AskedQuestion,
    Candidates,
    candidates_of,
    documents_of,
)
from twin.features.training_questions import Questions, read_questions
from twin.job import Job
from twin.models.embedder import FolderEmbedder, load_embedder
from twin.rag.rerank import CrossEncoderReranker, Reranker
from twin.rag.retrieve import Retriever, make_retriever
from twin.stores.files import open_files
from twin.stores.index import IndexReader, open_index
from twin.stores.rerankers import RerankerReport, Rerankers
from twin.stores.sample_sets import SampleSetManifest, SampleSets

TRAINER = "2"
"""Version of this code, part of a reranker's: raise it when the same inputs give another one."""

log = structlog.get_logger("twin")


def train_reranker(job: Job) -> None:
    """Train, weigh and publish the reranker of a recipe.

    Raises:
        NothingToDo: the one of this index, data set and recipe is there already.
        BadDataError: no index, no data set, or too few questions in it.
        BadConfigurationError: an embedder without weights to begin with, or a library is missing.
    """
    recipe, settings = job.recipe, job.settings
    check_installed("a reranker")
    embedder = load_embedder(recipe.features.embedder, settings)
    if not isinstance(embedder, FolderEmbedder):
        raise BadConfigurationError(
            f"embedder {recipe.features.embedder!r} keeps no weights that training could begin "
            "with: set retrieval.rerank to another, or features.embedder to a folder"
        )
    files = open_files(settings)
    sets, rerankers = SampleSets(files, recipe.name), Rerankers(files, recipe.name)
    manifest = sets.latest()
    reader = open_index(settings, recipe).read(embedder.id)
    version = _version(job, embedder.id, reader, manifest)
    job.result.ids.update(reranker=version, dataset_version=manifest.version)
    known = rerankers.report(version)
    if known is not None:
        rerankers.offer(known)
        _tell(job, known)
        raise NothingToDo(f"reranker {version} is of the index and the samples as they are")
    plain = recipe.model_copy(
        update={"retrieval": recipe.retrieval.model_copy(update={"rerank": "off"})}
    )
    retriever = make_retriever(plain, reader, embedder)
    indexed = {chunk.id: chunk for chunk in reader.chunks()}
    questions = read_questions(job, sets, manifest, indexed)
    work = settings.home.resolve() / "rerankers" / version
    work.mkdir(parents=True, exist_ok=True)
    candidates = _candidates(job, questions[Split.TRAIN], manifest, retriever, indexed)
    knobs = recipe.features.reranker
    with job.progress("training steps", steps_of(len(candidates), knobs)) as advance:
        made = fit(embedder.folder, candidates, knobs, work, advance, settings.threads)
    report = _weighed(job, made, questions, retriever, version, embedder.id, reader, manifest)
    job.result.uris["reranker"] = rerankers.publish(made, report)
    shutil.rmtree(work, ignore_errors=True)
    _tell(job, report)


def _version(job: Job, embedder: str, reader: IndexReader, manifest: SampleSetManifest) -> str:
    """SHA-256 (first 12 hex digits) of everything that shapes a reranker."""
    parts = (
        TRAINER,
        embedder,
        reader.state.fingerprint,
        manifest.version,
        job.recipe.features.reranker.model_dump_json(exclude={"save_steps"}),
        job.recipe.retrieval.model_copy(update={"rerank": "off"}).model_dump_json(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _candidates(
    job: Job,
    questions: Sequence[AskedQuestion],
    manifest: SampleSetManifest,
    retriever: Retriever,
    indexed: Mapping[str, Chunk],
) -> list[Candidates]:
    """What is trained on, drawn the same each time."""
    knobs = job.recipe.features.reranker
    draw = random.Random(knobs.seed)  # noqa: S311 - a draw, no secret
    chosen = draw.sample(list(questions), min(len(questions), knobs.max_questions))
    learned = documents_of(manifest.documents, Split.TRAIN)
    held_out = {chunk.document_id for chunk in indexed.values()} - learned
    made = []
    with job.progress("passages that do not answer", len(chosen)) as advance:
        for question in chosen:
            passages = retriever.search(question.text, DRAWN_FROM + len(question.relevant))
            found = [indexed[passage.chunk_id] for passage in passages]
            own = candidates_of(question, found, indexed, held_out, knobs.negatives, draw)
            made += [own] if own else []
            advance(1)
    return made


def _weighed(
    job: Job,
    folder: Path,
    questions: Questions,
    retriever: Retriever,
    version: str,
    embedder: str,
    reader: IndexReader,
    manifest: SampleSetManifest,
) -> RerankerReport:
    """The report: its weight by validation questions, what it gains by validation and test."""
    max_length = job.recipe.features.reranker.max_length
    reranker = CrossEncoderReranker(str(folder), max_length=max_length)
    scored = {
        split: _scored(job, questions[split], retriever, reranker)
        for split in (Split.VALIDATION, Split.TEST)
    }
    weight = best_weight(scored[Split.VALIDATION])
    validation = gain_of(scored[Split.VALIDATION], weight)
    assert validation is not None  # noqa: S101 - `read_questions` has seen to it
    return RerankerReport(
        version=version,
        embedder=embedder,
        dataset_version=manifest.version,
        index_fingerprint=reader.state.fingerprint,
        weight=weight,
        max_length=max_length,
        trained_on=len(questions[Split.TRAIN]),
        validation=validation,
        test=gain_of(scored[Split.TEST], weight),
        wins=validation.is_proved,
    )


def _scored(
    job: Job, questions: Sequence[AskedQuestion], retriever: Retriever, reranker: Reranker
) -> list[Scored]:
    count = job.recipe.retrieval.rerank_candidates
    made = []
    with job.progress("questions asked", len(questions)) as advance:
        for question in questions:
            made.append(scored(question, retriever, reranker, count))
            advance(1)
    return made


def scored(question: AskedQuestion, retriever: Retriever, reranker: Reranker, count: int) -> Scored:
    """A question's ``count`` best hits, with the scores of search and of the reranker."""
    hits = retriever.hits(question.text, count)
    chunks = [hit.chunk for hit in hits]
    return Scored(
        document=question.document,
        relevant=question.relevant,
        ids=tuple(chunk.id for chunk in chunks),
        found=tuple(hit.score for hit in hits),
        scores=tuple(reranker.score(question.text, chunks)),
    )


def _tell(job: Job, report: RerankerReport) -> None:
    job.counts.written = int(report.wins)
    job.result.detail["report"] = report.model_dump(mode="json")
    gained = report.validation
    if report.wins:
        log.info(
            "the reranker wins: set retrieval.rerank to trained",
            before=round(gained.before, 3), after=round(gained.after, 3),
        )  # fmt: skip
    else:
        log.info(
            "the reranker does not win, and is not offered",
            before=round(gained.before, 3), after=round(gained.after, 3),
            documents=gained.documents,
        )  # fmt: skip
