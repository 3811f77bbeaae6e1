"""Commands of `twin datasets`."""

import pydoc
from pathlib import Path
from typing import Annotated

import typer

from twin.datasets import label_commands
from twin.datasets.export import Form
from twin.domain.sample import Split
from twin.job import RecipeOption, ResultOption, RunIdOption, plain_errors, run_job

app = typer.Typer(help="Make training samples from the index.", no_args_is_help=True)
app.add_typer(label_commands.app, name="label")


SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value for these samples instead of the recipe's, as in datasets.max_samples=500 or "
        "datasets.teacher.budget.tokens=100000; several with commas or several times.",
    ),
]


@app.command()
def make(
    recipe: RecipeOption,
    changes: SetOption = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards",
            min=1,
            max=256,
            help="Join so many parts that `twin datasets prepare` has made; what is missing is "
            "made here. The samples are the same by any number.",
        ),
    ] = 1,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Make instruct samples from the recipe's chunks and written questions.

    Reads the recipe's index, the files that `datasets.written` and `datasets.gates` name, people's
    verdicts (`twin datasets label`), and where documents are dealt anew the model registry. Asks
    the model that `datasets.teacher` names. Writes
    datasets/RECIPE/VERSION/instruct/{train,validation,test}.parquet with a card (README.md, and as
    a page card.html), manifest.json and rejected.jsonl (what gates left out) to the file store,
    datasets/RECIPE/latest.json, and the replies of teacher and judge to datasets/RECIPE/replies.
    Preference pairs are made by `twin training pairs`.
    """
    from twin.datasets.make import make_samples

    run_job(
        "datasets make",
        lambda job: make_samples(job, shards),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def prepare(
    shard: Annotated[
        str, typer.Option("--shard", metavar="I/N", help="Which of how many parts, as in 2/4.")
    ],
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Redact and read one part of the index, for `twin datasets make --shards N` to join.

    For an index too large for one machine's patience: the N parts can be made at the same time.
    Takes the same --set as the joining command. Reads: the recipe's index, and what else its
    samples are a version of. Writes: datasets/RECIPE/parts/NAME in the file store, which the
    joining command removes. Ends with 99, nothing to do, when the part or the samples are there.
    """
    from twin.datasets.make import prepare_shard
    from twin.datasets.parts import Shard

    run_job(
        "datasets prepare",
        lambda job: prepare_shard(job, Shard.parse(shard)),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def feedback(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Make candidate pairs of what callers think of answers, for people to review.

    A caller's correction is preferred to the answer that it corrects, and an answer with a thumb up
    to one with a thumb down to the same question. Nothing is trained on them before a person has
    kept or edited them: `twin datasets label export-pairs`. Pairs of held-out documents are left
    out; what gates say against the others is noted for people to see.

    Reads the answers with feedback in the warehouse, and the newest samples. Writes
    datasets/RECIPE/feedback.json. Ends with 99 if nothing has changed.
    """
    from twin.datasets.run_feedback import make_feedback_pairs

    run_job("datasets feedback", make_feedback_pairs, recipe=recipe, run_id=run_id, result=result)


@app.command()
def audit(
    dataset: Annotated[
        str,
        typer.Argument(
            help="A file or folder of samples, or a version of the recipe's, or latest."
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="Recipe by name or file: its versions, and its limits."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Look for what spoils training: copies, leaks, duplicates, placeholders, equal pairs, length.

    Reads any data set in Parquet, JSON Lines or JSON with the usual names of fields; of a version
    also the newest pairs. Ends with 65 where a limit of the recipe's section `audit` is passed.
    Writes: nothing.
    """
    from twin.datasets.audit import render_audit
    from twin.datasets.run_audit import limits_passed, run_audit

    with plain_errors("datasets audit"):
        report = run_audit(dataset, recipe)
        typer.echo(report.model_dump_json(indent=2) if as_json else render_audit(report))
        limits_passed(report)


VersionArgument = Annotated[str, typer.Argument(help="A version of the recipe's, or latest.")]


@app.command()
def show(
    recipe: RecipeOption,
    version: VersionArgument = "latest",
    split: Annotated[
        list[Split] | None, typer.Option("--split", help="Of this split; may be repeated.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="passage, teacher, written, or a kind: rewrite, fact, why …"),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help="Only what holds this in question, answer, title or document."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Samples to show.")] = 20,
    skip: Annotated[int, typer.Option("--skip", min=0, help="Samples to pass over first.")] = 0,
    rejected: Annotated[
        bool,
        typer.Option(
            "--rejected",
            help="Instead those that a gate left out, each with its reason, which --text looks at.",
        ),
    ] = False,
) -> None:
    """Read samples: what is asked, the passages shown, the answer, and where it comes from.

    Pages through them on a terminal. Reads: the recipe's samples and pairs. Writes: nothing.
    """
    from twin.datasets.read_version import read_rejected, read_samples

    with plain_errors("datasets show"):
        if rejected:
            shown = read_rejected(recipe, version, text, skip, count)
        else:
            shown = read_samples(recipe, version, tuple(split or Split), kind, text, skip, count)
        pydoc.pager("\n\n".join(shown) + "\n")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A version of the recipe's samples.")],
    after: VersionArgument,
    recipe: RecipeOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Say what changed between two versions: inputs, documents, samples, pairs.

    Reads: both versions, and the newest pairs of each. Writes: nothing.
    """
    from twin.datasets.differences import render_difference
    from twin.datasets.read_version import compare_versions

    with plain_errors("datasets diff"):
        change = compare_versions(recipe, before, after)
        typer.echo(change.model_dump_json(indent=2) if as_json else render_difference(change))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Written whole; must not exist yet.")],
    recipe: RecipeOption,
    version: Annotated[str, typer.Option("--version", help="Of the samples.")] = "latest",
    form: Annotated[
        Form, typer.Option("--form", help="Whose form: text is for continued pretraining.")
    ] = Form.OPENAI,
    mix: Annotated[
        Path | None,
        typer.Option(
            "--mix",
            help="A general data set, in any form that an audit reads, to be mixed into the "
            "training rows so that less of everything else is forgotten.",
        ),
    ] = None,
    mix_share: Annotated[
        float,
        typer.Option("--mix-share", min=0.01, max=0.95, help="Of the training rows."),
    ] = 0.2,
) -> None:
    """Write samples and pairs as JSON Lines, in the form of another trainer.

    Prompts are those that serving shows, by the champion of the prompt registry if there is one.
    Reads: the recipe's samples and pairs, the prompt registry. Writes: the folder.
    """
    from twin.datasets.general import Mix
    from twin.datasets.read_version import export_version

    with plain_errors("datasets export"):
        general = Mix(mix, mix_share) if mix else None
        for name, rows in export_version(recipe, version, form, folder, general).items():
            typer.echo(f"{folder / name}: {rows} rows")


@app.command()
def push(
    name: Annotated[str, typer.Argument(help="OWNER/NAME of the data set on the hub.")],
    recipe: RecipeOption,
    version: Annotated[str, typer.Option("--version", help="Of the samples.")] = "latest",
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody read it, if it is created.")
    ] = False,
) -> None:
    """Push samples, newest pairs and card to the Hugging Face hub, or to the one of HF_ENDPOINT.

    A data set that is not there yet is created, private. Each version has a tag, and is pushed
    once. What gates left out is not pushed. TWIN_HUB_TOKEN has to be a token that may write. Reads:
    the recipe's samples and pairs. Writes: the data set.
    """
    from twin.datasets.push import push_version

    with plain_errors("datasets push"):
        typer.echo(push_version(recipe, version, name, public=public))
