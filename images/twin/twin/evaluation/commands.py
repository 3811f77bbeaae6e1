"""Commands of `twin evaluation`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from twin.job import Job, RecipeOption, ResultOption, RunIdOption, run_job

app = typer.Typer(help="Measure a candidate and decide on its promotion.", no_args_is_help=True)

VersionOption = Annotated[
    str | None,
    typer.Option("--model-version", help="Number of the version; unset means the candidate."),
]
ChampionOption = Annotated[
    str | None,
    typer.Option("--model-version", help="Number of the version; unset means the champion."),
]


@app.command()
def run(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Measure even what has been measured before.")
    ] = False,
) -> None:
    """Measure the candidate against base model and champion; promote it if the gate says so.

    Reads the aliases `candidate`, `champion` and `reference` in the registry, their weights and
    data sets, the test split of the candidate's, and the index. Writes a report (JSON, Markdown,
    plots) to the MLflow run and to <files>/reports/<model>/<version>/, tags on the version, and the
    alias `champion`. The verdict is promote, hold or reject; each is a normal end (exit 0), and the
    result says whether it is promoted and why. With evaluation.gate.require_approval a candidate
    that is not rejected waits for `evaluation promote` or `evaluation reject`. Until then, the run
    that asked tells so again when it is repeated; other runs have nothing to do for a week, then
    one of them asks again.
    """

    def body(job: Job) -> None:
        from twin.evaluation.evaluate import evaluate

        evaluate(job, again=again)

    from twin.stores.champion_prompt import by_champion_prompt

    run_job("evaluation run", by_champion_prompt(body), recipe=recipe, run_id=run_id, result=result)


@app.command()
def answer(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    shard: Annotated[
        str,
        typer.Option(
            "--shard",
            metavar="I/N",
            help="Answer every N-th question from the I-th on: 2/3 is the second of three shares.",
        ),
    ] = "1/1",
) -> None:
    """Answer the questions of an evaluation, or a share of them, ahead of `evaluation run`.

    Candidate, base, champion and reference answer as serving does, and the author's passages are
    scored. Every answer is kept in <files>/evaluation by model, question and settings, so that any
    number of these may run at once, a killed one goes on where it was, and `evaluation run` only
    measures. Reads what `evaluation run` reads; writes no report and no verdict. Ends with 99,
    nothing to do, where all is kept already.
    """

    def body(job: Job) -> None:
        from twin.evaluation.answer import answer_share

        answer_share(job, share)

    share = _share(shard)
    from twin.stores.champion_prompt import by_champion_prompt

    run_job(
        "evaluation answer", by_champion_prompt(body), recipe=recipe, run_id=run_id, result=result
    )


def _share(shard: str) -> tuple[int, int]:
    """Number of a share, from 1, and how many there are."""
    found = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", shard)
    if found is None or int(found[1]) > int(found[2]):
        raise typer.BadParameter(
            f"{shard!r} is no share: write I/N with I from 1 to N, such as 2/3",
            param_hint="--shard",
        )
    return int(found[1]), int(found[2])


@app.command()
def promote(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: VersionOption = None,
    force: Annotated[
        bool, typer.Option("--force", help="Whatever the gate said; recorded on the version.")
    ] = False,
) -> None:
    """Make a version champion that the gate does not reject; the old one becomes `previous`.

    The gate promotes by itself what it has proof for; what it holds is promoted here. What it
    rejects takes --force. Reads the tags that `evaluation run` left on the version. Writes the
    aliases `champion` and `previous` in the registry; the rollout follows.
    """

    def body(job: Job) -> None:
        from twin.evaluation.promotion import promote as promote_version

        promote_version(job, model_version, force=force)

    run_job("evaluation promote", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def reject(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: VersionOption = None,
) -> None:
    """Record that a person did not approve a version: nobody is asked about it again.

    Reads and writes the tags of the version in the registry; the champion stays. Measured against
    another champion or by another gate the version is asked about anew, and `evaluation promote`
    takes it all the same.
    """

    def body(job: Job) -> None:
        from twin.evaluation.promotion import reject as reject_version

        reject_version(job, model_version)

    run_job("evaluation reject", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def reference(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: ChampionOption = None,
) -> None:
    """Make a version the reference champion, by which losses over many promotions add up.

    It is the first version that was promoted, until it is moved here: when the author's writing or
    the test set has changed so much that the first version is no measure any more. Writes the alias
    `reference` in the registry; serving does not change.
    """

    def body(job: Job) -> None:
        from twin.evaluation.promotion import refer

        refer(job, model_version)

    run_job("evaluation reference", body, recipe=recipe, run_id=run_id, result=result)


@app.command()
def report(
    recipe: RecipeOption,
    model_version: VersionOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report as JSON.")] = False,
) -> None:
    """Show the report of a version that has been evaluated.

    Reads the registry's alias `candidate` and <files>/reports/<model>/<version>/report.json;
    writes nothing but to standard output.
    """
    from twin.evaluation.show_report import show_report
    from twin.job import plain_errors

    with plain_errors("evaluation report"):
        show_report(recipe, model_version, as_json=as_json)


@app.command()
def compare(
    first: Annotated[
        str,
        typer.Argument(
            help="A version's number, an alias, the id of an evaluation's MLflow run, or the path "
            "of a report.json."
        ),
    ],
    second: Annotated[str, typer.Argument(help="Another, whose gains over the first are shown.")],
    recipe: RecipeOption,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page for a browser here, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
) -> None:
    """Compare two versions on the questions that both have answered.

    Each figure has its interval over groups of documents, and the answers stand side by side.
    Versions that were measured on different questions are compared on those that they share; with
    none in common it ends with 65. Reads their reports and answers in <files>/reports (or the
    MLflow run's), and their data sets; writes nothing but to standard output and to --html.
    """
    from twin.evaluation.show_comparison import show_comparison
    from twin.job import plain_errors

    with plain_errors("evaluation compare"):
        show_comparison(recipe, first, second, html, as_json=as_json)


@app.command()
def pairs(
    file: Annotated[Path, typer.Argument(help="Where to write the tasks (JSON).")],
    recipe: RecipeOption,
    version: Annotated[
        str, typer.Option("--model-version", help="As `twin evaluation compare` takes it.")
    ] = "candidate",
    count: Annotated[int, typer.Option("--count", min=1, help="Pairs at most.")] = 100,
) -> None:
    """Write pairs of answers for people to compare, by whom a judge is calibrated.

    They are answers of a measured version and of base and champion, in an order that is drawn.
    Label Studio takes the file as tasks, and the page beside it (.xml) as its labelling interface;
    its JSON export goes into evaluation.judge.calibration. Reads the version's answers in
    <files>/reports and its data set.
    """
    from twin.evaluation.ask_people import write_pairs
    from twin.job import plain_errors

    with plain_errors("evaluation pairs"):
        typer.echo(write_pairs(recipe, file, version, count))


@app.command()
def preference(
    file: Annotated[
        Path, typer.Argument(help="Tasks of `twin evaluation pairs`, or Label Studio's export.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="The figures as JSON.")] = False,
) -> None:
    """Say whether people's verdicts so far show which answers are better: stop, or go on.

    Ask as often as you like, after every verdict even: the interval is one that holds at any
    moment, so that stopping as soon as it pleases makes no false winner more likely than 5 %. A
    document counts once all its pairs are judged, and counts once. Reads the file, writes nothing
    but to standard output.
    """
    from twin.evaluation.show_preference import show_preference
    from twin.job import plain_errors

    with plain_errors("evaluation preference"):
        show_preference(file, as_json=as_json)


@app.command()
def decoding(
    recipe: RecipeOption,
    run_id: RunIdOption = None,
    result: ResultOption = None,
    model_version: ChampionOption = None,
    questions: Annotated[
        int, typer.Option("--questions", min=1, help="Of either split, at most.")
    ] = 24,
    prompts: Annotated[
        bool,
        typer.Option(help="Try other prompts, too: templates, worked examples, thinking aloud."),
    ] = True,
    apply: Annotated[
        bool,
        typer.Option("--apply", help="Serve the version so, from its next rollout on, if proved."),
    ] = False,
) -> None:
    """Compare greedy, beam, nucleus, top-k and min-p decoding, and other prompts.

    The best settings are chosen on validation questions, quality first and speed where that is
    equal, and what they gain over the recipe's is told on test questions; only a proved gain is
    suggested. Other prompts are told and never chosen: serving shows the prompt of training. Reads
    the version's weights and data set. Writes table, plot and page to an MLflow run, and with
    --apply the tag `decoding` of the version, by which the next rollout serves it; the recipe stays
    as it is.
    """

    def body(job: Job) -> None:
        from twin.evaluation.run_decoding import choose_decoding

        choose_decoding(job, model_version, questions, prompts=prompts, apply=apply)

    from twin.stores.champion_prompt import by_champion_prompt

    run_job(
        "evaluation decoding", by_champion_prompt(body), recipe=recipe, run_id=run_id, result=result
    )


@app.command()
def separate(
    recipe: RecipeOption,
    trainer: Annotated[
        str, typer.Option("--trainer", help="User of MLflow that the jobs of training come as.")
    ] = "training",
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Take from a user of MLflow the right to promote, once for a recipe.

    Run it as MLflow's administrator. Writes: the registered models `twin-NAME` and
    `twin-NAME-candidates`, if they are not there, and the user's rights: to edit the second, and
    nothing in the first and in its prompt. With TWIN_SEPARATE_CANDIDATES training
    registers in the second, and the gate copies from there.
    """

    def body(job: Job) -> None:
        from twin.stores.registry_rights import RegistryRights

        with RegistryRights(job.settings) as rights:
            rights.separate(job.recipe.model_name, trainer)
        job.counts.written = 2

    run_job("evaluation separate", body, recipe=recipe, run_id=run_id, result=result)
