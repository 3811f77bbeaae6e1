"""`twin monitoring topics`: what the author writes about, month by month, beside what is asked."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twin.domain.chunk import Chunk
from twin.domain.errors import NothingToDo
from twin.domain.seen_answer import SeenAnswer
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.monitoring.canaries import questions_of
from twin.monitoring.coverage import Passages, cover, nearest_topics
from twin.monitoring.topics import FEWEST, cluster, telling_words
from twin.monitoring.topics_report import as_markdown, as_page
from twin.stores.files import open_files
from twin.stores.index import IndexReader, open_index
from twin.stores.question_reports import TOPICS, remove_report, write_report
from twin.stores.seen_answers import SeenAnswers
from twin.stores.warehouse import open_warehouse

if TYPE_CHECKING:
    from twin.monitoring.topics import Vectors

PAGE = "topics.html"


def report_topics(job: Job) -> None:
    """Find the topics of the recipe's index, and write the report.

    The report of the last time goes first, as the questions' does.

    Raises:
        BadDataError: there is no index.
        NothingToDo: it has too few passages to tell topics.
        TryAgainError: the warehouse, the index or the file store is away.
    """
    recipe, now = job.recipe, datetime.now(UTC)
    section = recipe.monitoring.topics
    files = open_files(job.settings)
    remove_report(files, recipe.name, TOPICS)
    embedder = load_embedder(recipe.features.embedder, job.settings)
    reader = open_index(job.settings, recipe).read(embedder.id)
    try:
        chunks, vectors = _read(reader)
        least = reader.min_score or 0.0
    finally:
        reader.close()
    job.counts.read = len(chunks)
    if len(chunks) < FEWEST:
        raise NothingToDo(f"the index has {len(chunks)} passages, topics need {FEWEST}")
    labels = cluster(vectors, section.count)
    named = telling_words(
        [chunk.text for chunk in chunks],
        labels,
        section.words,
        {chunk.language for chunk in chunks if chunk.language},
    )
    passages = Passages(chunks, vectors, labels)
    asked = _asked(job, now)
    topics = nearest_topics(
        embedder.encode_questions([each.question for each in asked]) if asked else [],
        passages,
        least,
    )
    coverage = cover(passages, named, asked, topics, section)
    who, days = recipe.author.name, section.days
    job.result.uris |= write_report(
        files,
        recipe.name,
        {
            PAGE: as_page(coverage, who, days, now),
            "topics.md": as_markdown(coverage, who, days, now),
            "topics.json": coverage.model_dump_json(indent=2) + "\n",
        },
        TOPICS,
    )
    job.counts.written = len(coverage.topics)
    wanted = [each for each in coverage.topics if each.standing == "asked more"]
    job.result.detail["asked for more than written"] = [", ".join(each.words) for each in wanted]
    job.console.print(
        f"{len(coverage.topics)} topics of {len(chunks)} passages, {len(asked)} questions beside "
        f"them: {job.result.uris[PAGE]}",
        soft_wrap=True,
    )


def _read(reader: IndexReader) -> tuple[list[Chunk], "Vectors"]:
    """Every chunk with its vector, in order of document and place."""
    import numpy as np

    chunks: list[Chunk] = []
    vectors: list[Vectors] = []
    for document in reader.documents():
        if document.chunks:
            chunks += document.chunks
            vectors.append(np.asarray(document.vectors, dtype=np.float32))
    return chunks, np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)


def _asked(job: Job, now: datetime) -> list[SeenAnswer]:
    """What readers have asked, without the questions that monitoring itself asks."""
    recipe, section = job.recipe, job.recipe.monitoring.topics
    own = {each.question for each in questions_of(job.settings, recipe)}
    own.add(recipe.serving.probe_question)
    with open_warehouse(job.settings) as warehouse:
        answers = SeenAnswers(warehouse)
        answers.prepare()
        since = now - timedelta(days=section.days)
        seen = answers.sampled(recipe.model_name, since, now, section.most)
    return [each for each in seen if each.question not in own]
