"""The questions that a recipe names, with serving's own retriever over the index."""

import hashlib
from collections.abc import Collection, Sequence

from twin.datasets.personal_data import Redactor
from twin.datasets.written import Asked, Retrieve
from twin.datasets.written_file import read_written
from twin.domain.answer import Passage
from twin.domain.written import WrittenQuestion
from twin.models.embedder import Embedder, load_embedder
from twin.rag.context import fit_context
from twin.rag.retrieve import make_retriever
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.index import ChunkFilter, IndexReader
from twin.stores.rerankers import TRAINED


def written_inputs(recipe: Recipe) -> tuple[str, ...]:
    """What of the file and of serving shapes the samples; nothing where no file is named.

    Raises:
        BadDataError: the file can't be read, or holds what is no question.
    """
    path = recipe.datasets.written
    if path is None:
        return ()
    read_written(path)  # what is wrong with it is said before anything is loaded
    return (hashlib.sha256(path.read_bytes()).hexdigest(), *serving_inputs(recipe))


def serving_inputs(recipe: Recipe) -> tuple[str, ...]:
    """What of serving shapes the passages that it would show."""
    serving = recipe.serving
    return (
        recipe.digest("retrieval"),
        recipe.features.embedder,
        f"{serving.passages} passages, {serving.max_context_tokens} tokens",
    )


def open_questions(
    recipe: Recipe,
    settings: Settings,
    reader: IndexReader,
    redactor: Redactor,
    embedder: Embedder | None = None,
) -> Asked | None:
    """The recipe's questions and a retriever for them; None where it names no file.

    Args:
        recipe: names the file.
        settings: where the embedder is.
        reader: of the index.
        redactor: of personal data.
        embedder: the recipe's; it is loaded where none is given.

    Raises:
        BadDataError: the file or the index does not fit the recipe.
    """
    if recipe.datasets.written is None:
        return None
    embedder = embedder or load_embedder(recipe.features.embedder, settings)
    questions = [
        _redacted_question(each, redactor) for each in read_written(recipe.datasets.written)
    ]
    return Asked(
        questions,
        open_retrieve(recipe, reader, redactor, embedder),
        recipe.retrieval.dont_know,
        recipe.serving.passages,
        recipe.datasets.withheld_share,
    )


def open_retrieve(
    recipe: Recipe, reader: IndexReader, redactor: Redactor, embedder: Embedder
) -> Retrieve:
    """Finds passages as serving does, redacted.

    Their tokens are counted by the embedder's tokenizer, which is near enough to the language
    model's, and is loaded.
    """
    # A trained reranker learns from these samples, so it can't be what they are made by.
    if recipe.retrieval.rerank == TRAINED:
        plain = recipe.retrieval.model_copy(update={"rerank": "off"})
        recipe = recipe.model_copy(update={"retrieval": plain})
    retriever = make_retriever(recipe, reader, embedder)
    serving = recipe.serving

    def retrieve(question: str, hidden: Collection[str]) -> Sequence[Passage]:
        others = ChunkFilter(without={"document_id": sorted(hidden)}) if hidden else None
        found = retriever.find(question, serving.passages, others).passages
        shown = fit_context(found, serving.max_context_tokens, embedder.count_tokens)
        return [_redacted(passage, redactor) for passage in shown]

    return retrieve


def _redacted(passage: Passage, redactor: Redactor) -> Passage:
    return passage.model_copy(
        update={
            "title": redactor.text(passage.title),
            "headings": tuple(map(redactor.text, passage.headings)),
            "text": redactor.text(passage.text),
        }
    )


def _redacted_question(asked: WrittenQuestion, redactor: Redactor) -> WrittenQuestion:
    return asked.model_copy(
        update={"question": redactor.text(asked.question), "answer": redactor.text(asked.answer)}
    )
