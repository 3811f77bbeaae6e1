"""`twin rag ask`: the whole chain in this process, without the endpoint."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError
from twin.job import Job, RecipeOption, ResultOption, RunIdOption, run_job
from twin.rag.query import Query

QuestionArgument = Annotated[str, typer.Argument(help="What to ask.")]
VersionOption = Annotated[
    str | None, typer.Option("--version", help="Registered version; the champion if not given.")
]
BaseOption = Annotated[
    bool, typer.Option("--base", help="Ask the recipe's base model, before any training.")
]
CountOption = Annotated[
    int | None, typer.Option("--k", min=1, help="Passages to retrieve; the recipe's if not given.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


def ask(
    question: QuestionArgument,
    recipe: RecipeOption,
    version: VersionOption = None,
    base: BaseOption = False,
    k: CountOption = None,
    as_json: JsonOption = False,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Answer a question in the author's voice, and show the sources.

    Reads the index, and the weights of the champion (or of --version, or the base model) from
    the file store. Writes nothing; prints the answer. The model is loaded for this one answer:
    to ask often, ask the endpoint.
    """

    def body(job: Job) -> None:
        answer = asyncio.run(_answer(job, version, Query(question=question, passages=k), base=base))
        job.counts.read += len(answer.sources)
        job.counts.written += 1
        job.result.ids.update(model=answer.model, model_version=answer.model_version)
        typer.echo(answer.model_dump_json(indent=2) if as_json else _readable(answer))

    from twin.stores.champion_prompt import by_champion_prompt

    run_job("rag ask", by_champion_prompt(body), recipe=recipe, run_id=run_id, result=result)


async def _answer(job: Job, version: str | None, query: Query, *, base: bool) -> Answer:
    """The answer by an engine in this process, with all cores."""
    from twin.models.engines.open_engine import EngineSite, open_engine
    from twin.rag.chain import Lineage, load_chain

    lineage, weights = _base(job) if base else _registered(job, version)
    threads = job.settings.threads or os.cpu_count() or 1
    site = EngineSite(threads, job.settings.home.resolve() / "engines")
    engine = open_engine(weights, job.recipe.serving, site)
    try:
        chain = load_chain(job.recipe, engine, weights, job.settings, Lineage(*lineage))
        return await chain.answer(query)
    finally:
        await engine.close()


def _base(job: Job) -> tuple[tuple[str, str], Path]:
    from twin.models.bases.base_models import prepare_base_model

    name = job.recipe.training.base_model
    return (name, "base"), prepare_base_model(name, job.settings)


def _registered(job: Job, version: str | None) -> tuple[tuple[str, str], Path]:
    from twin.models.adapters import whole_weights
    from twin.stores.registry import CHAMPION, Registry

    model = job.recipe.model_name
    with Registry(job.settings) as registry:
        found = registry.version(model, version) if version else registry.by_alias(model, CHAMPION)
    if found is None:
        wanted = f"version {version}" if version else "champion yet"
        raise BadDataError(f"{model} has no {wanted}: name another by --version, or use --base")
    weights = whole_weights(found, job.settings)
    return (model, found.version), weights


def _readable(answer: Answer) -> str:
    sources = "\n".join(
        f"  [{number}] {source.title}  {source.url}"
        for number, source in enumerate(answer.sources, start=1)
    )
    who = f"{answer.model} version {answer.model_version}"
    return f"{answer.answer}\n\nSources ({who}):\n{sources or '  none'}"
