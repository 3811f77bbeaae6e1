"""Commands of `twin features`."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from twin.domain.terminal import printable
from twin.job import Job, RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(help="Turn documents into a searchable index of chunks.", no_args_is_help=True)

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value for this build instead of the recipe's, as in features.workers=2 or "
        "features.embedder=all-minilm-l6-v2; several with commas or several times. The next build "
        "without it goes back to the recipe's.",
    ),
]


@app.command()
def build(
    recipe: RecipeOption,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index anew from nothing.")
    ] = False,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Clean, chunk and embed new and changed documents; remove those that are gone.

    Reads: the author's live documents in the warehouse, the recipe's part `features`, and the names
    in `datasets.personal_data`.
    Writes: a new release of the recipe's index, published at one moment at the end.
    Ends with 99, nothing to do, when the index already matches the warehouse.
    """

    def body(job: Job) -> None:
        from twin.features.build import build as build_index

        build_index(job, rebuild=rebuild)

    run_job(
        "features build",
        body,
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def show(
    url: Annotated[str, typer.Argument(help="URL of a document, as `twin warehouse list` has it.")],
    recipe: RecipeOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, the texts whole.")] = False,
) -> None:
    """Show what becomes of a document: what is changed and left out, its chunks, what they hold.

    Personal data is counted by kind (the names are those in the recipe's `datasets.personal_data`).
    Reads: the author's live documents, and the recipe's part `features`. Writes: nothing.
    """
    from twin.features.show import show as show_document
    from twin.recipes import load_recipe
    from twin.settings import get_settings

    with plain_errors("features show"):
        settings = get_settings()
        shown = show_document(load_recipe(recipe, settings.recipes), settings, url)
    if as_json:
        typer.echo(shown.model_dump_json(indent=2))
        return
    typer.echo(printable(f"{shown.title}  {shown.url}  revision {shown.revision[:12]}"))
    if shown.duplicate_of:
        typer.echo(printable(f"Not indexed: a duplicate of {shown.duplicate_of}"))
    typer.echo(f"\nBefore: {len(shown.before)} characters; after: {len(shown.after)}")
    for line in shown.cleaned:
        typer.echo(printable(f"  {line}"))
    for text in shown.left_out:
        typer.echo(printable(f"\nLeft out, other documents hold it too:\n{text}"))
    for text, reason in shown.refused:
        typer.echo(printable(f"\nNot indexed, {reason}:\n{text}"))
    if shown.personal_data:
        typer.echo(f"\nPersonal data: {_counted(shown.personal_data)}")
    for chunk in shown.chunks:
        path = " > ".join((shown.title, *chunk.headings))
        held = f", holds {_counted(Counter(chunk.personal_data))}" if chunk.personal_data else ""
        typer.echo(
            printable(
                f"\n[{chunk.ordinal}] {chunk.tokens} of {shown.budget} tokens, "
                f"{chunk.language or 'no language'}{held}: {path}\n{chunk.text}"
            )
        )


@app.command()
def verify(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Compare index and warehouse both ways: every live revision has exactly its chunks.

    Reads: the author's live documents, the recipe's index, every chunk of it. Writes: nothing.
    Ends with 65 where they differ, and says what differs and what to run.
    """

    def body(job: Job) -> None:
        from twin.features.verify import verify as verify_index

        verify_index(job)

    run_job("features verify", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def snapshot(recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None) -> None:
    """Copy the recipe's index into the file store.

    Reads: the recipe's index. Writes: a snapshot under `snapshots/`.
    Ends with 99, nothing to do, when the newest snapshot holds the same.
    """

    def body(job: Job) -> None:
        from twin.features.snapshot import snapshot as copy_index

        copy_index(job)

    run_job("features snapshot", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def restore(
    recipe: RecipeOption,
    name: Annotated[
        str | None, typer.Option("--name", help="Which snapshot; the newest if not given.")
    ] = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Publish a snapshot of the index again, without documents that are no longer live.

    Reads: the snapshot, the ids of live documents. Writes: a new release of the recipe's index.
    Run `twin features build` afterwards for what has changed since.
    """

    def body(job: Job) -> None:
        from twin.features.snapshot import restore as restore_index

        restore_index(job, name)

    run_job("features restore", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def train_reranker(
    recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None
) -> None:
    """Train a cross-encoder from the embedder's weights, and offer it where it wins.

    It learns from the questions of the data set's training split, against passages that the search
    finds and that do not answer; its weight beside the search's scores is chosen on the validation
    split, and what it gains is told of the test split too. `retrieval.rerank: trained` uses the
    newest that has won. Minutes on two cores; a killed training goes on from its last checkpoint.

    Reads: the recipe's index, the newest samples, the embedder.
    Writes: rerankers/RECIPE/VERSION in the file store, with report.json, and if it wins
    rerankers/RECIPE/latest.json. Ends with 99, nothing to do, when that version is there.
    """

    def body(job: Job) -> None:
        from twin.features.train_reranker import train_reranker as train

        train(job)

    run_job("features train-reranker", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def finetune_embedder(
    recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None
) -> None:
    """Train the embedder on by the data set's questions, and offer it where it finds more.

    Of the passages of a step each question's own is to be the nearest (multiple negatives ranking).
    The index's chunks are embedded anew beside the index, the search is asked the questions of the
    validation split with either embedder, and the gain in nDCG@10 decides; the test split's is
    told. Where it wins, the result says what to set features.embedder to; `twin features build`
    then makes the index anew, while servers answer from the old one. Minutes on two cores; a killed
    training goes on from its last checkpoint.

    Reads: the recipe's index, the newest samples, the embedder.
    Writes: embedders/RECIPE/VERSION in the file store, with report.json, and if it wins
    embedders/RECIPE/latest.json. Ends with 99, nothing to do, when that version is there.
    """

    def body(job: Job) -> None:
        from twin.features.finetune_embedder import finetune_embedder as finetune

        finetune(job)

    run_job("features finetune-embedder", body, recipe=recipe, run_id=run_id, result=result)


def _counted(items: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(items.items()))
