"""Commands of `twin training`."""

from pathlib import Path
from typing import Annotated

import typer

from twin.job import RecipeOption, ResultOption, RunIdOption, run_job
from twin.models.gpus import is_first
from twin.training.classifiers import commands as classifiers
from twin.training.form import Form

app = typer.Typer(help="Fine-tune the base model on the samples.", no_args_is_help=True)
app.add_typer(classifiers.app, name="classifier")

SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value for this training instead of the recipe's, as in training.sft.max_steps=12; "
        "several with commas or several times, the same for all steps. Such a version is a "
        "trial: it is measured, and promoted by hand only.",
    ),
]


@app.command()
def check(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Check recipe, samples and base model of a training in seconds, without a GPU.

    Reads the recipe with the values of --set, the newest samples and which base model is meant.
    Writes nothing but the result. Ends with 65 and what to change if it can't be trained so, and
    with 99 if it has been already.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.check import run_check

    run_job(
        "training check",
        by_champion_prompt(run_check),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def sft(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Fine-tune a LoRA adapter on the author's passages.

    Reads the newest samples (datasets/RECIPE) and the base model. Writes the adapter to
    training/RECIPE/FINGERPRINT/sft in the file store, checkpoints there while it trains, and
    parameters and metrics to an MLflow run. A killed or interrupted training goes on from its
    last checkpoint. Where TWIN_GPUS says that there are several GPUs, a process trains on each.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.launch import on_each_gpu
    from twin.training.sft import run_sft

    on_each_gpu(
        lambda: run_job(
            "training sft",
            by_champion_prompt(run_sft),
            recipe=recipe,
            run_id=run_id,
            result=result if is_first() else None,
            changes=changes or (),
        )
    )


@app.command()
def pairs(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Have the fine-tuned model write what the author's answers are to be preferred to.

    Reads the newest samples, the SFT adapter and the base model, and what people have said of pairs
    (`twin datasets label import-pairs`), by which callers' feedback comes in. Writes the pairs to
    pairs/RECIPE/SAMPLES/FINGERPRINT/preferences/train.parquet in the file store, with a card
    (README.md) and manifest.json. A killed run goes on where it was. With
    training.dpo.enabled: false there is nothing to do.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.pairs import run_pairs

    run_job(
        "training pairs",
        by_champion_prompt(run_pairs),
        recipe=recipe,
        run_id=run_id,
        result=result if is_first() else None,
        changes=changes or (),
    )


@app.command()
def dpo(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Train the adapter further on the preference pairs.

    Reads the pairs, the SFT adapter and the base model. Writes the adapter to
    training/RECIPE/FINGERPRINT/dpo-FINGERPRINT in the file store, and parameters and metrics to
    an MLflow run. With training.dpo.enabled: false, or without a pair, it passes the SFT adapter
    on. Where TWIN_GPUS says that there are several GPUs, a process trains on each.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.dpo import run_dpo
    from twin.training.launch import on_each_gpu

    on_each_gpu(
        lambda: run_job(
            "training dpo",
            by_champion_prompt(run_dpo),
            recipe=recipe,
            run_id=run_id,
            result=result if is_first() else None,
            changes=changes or (),
        )
    )


@app.command()
def distill(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Train a smaller student on what the trained twin writes (training.distillation).

    Reads the newest samples, the DPO adapter, the base model and the student's. The twin writes to
    the training questions; the student learns these answers, and at each of their words the twin's
    probabilities. Writes the student's weights to training/RECIPE/…/distilled-FINGERPRINT in the
    file store, checkpoints there while it trains, and parameters and metrics to an MLflow run. A
    killed or interrupted run goes on where it was. `twin training package --form distilled`
    registers the student.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.smaller.distillation import run_distill

    run_job(
        "training distill",
        by_champion_prompt(run_distill),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def prune(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Leave out of the trained twin what matters least (training.pruning).

    Reads the newest samples, the DPO adapter and the base model. Writes what is left to
    training/RECIPE/…/pruned-FINGERPRINT in the file store, and what has been measured of each layer
    to an MLflow run. `twin training distill` with training.distillation.copied: pruned has it
    recover; `twin training package --form pruned` registers it as it is.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.smaller.pruning import run_prune

    run_job(
        "training prune",
        by_champion_prompt(run_prune),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def package(
    recipe: RecipeOption,
    form: Annotated[
        Form,
        typer.Option(
            "--form",
            help="trained: the twin itself; distilled: its student; pruned: what pruning left.",
        ),
    ] = Form.TRAINED,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Register the adapter as a candidate, merged into its base or, shared, as it is.

    Reads the DPO adapter, or what was made of it (--form), and the base model. Writes bf16
    safetensors with tokenizer and chat template to models/twin-RECIPE/DIGEST in the file store, or
    with serving.adapters: shared the adapter alone and the base to bases/; and a version of the
    registered model twin-RECIPE with its lineage and the alias `candidate` to MLflow.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.package import run_package

    run_job(
        "training package",
        by_champion_prompt(lambda job: run_package(job, form)),
        recipe=recipe,
        run_id=run_id,
        result=result if is_first() else None,
        changes=changes or (),
    )


@app.command()
def sweep(
    recipe: RecipeOption,
    trials: Annotated[
        int, typer.Option("--trials", min=1, help="Of the sweep, earlier attempts' included.")
    ] = 20,
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File for the best values, as a fragment of a recipe."),
    ] = None,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Search better values of fine-tuning by its validation loss.

    Tries values of the recipe's training.sweep.space by Optuna, each as a run below the sweep's
    run in MLflow; those that do worse than the median are ended early. Writes Optuna's journal and
    best.yaml to training/RECIPE/sweeps/KEY in the file store. A killed sweep goes on with the
    trial that it was at; one that has ended is extended by a larger --trials.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.sweep import run_sweep

    run_job(
        "training sweep",
        by_champion_prompt(lambda job: run_sweep(job, trials, output)),
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )


@app.command()
def pretrain(
    recipe: RecipeOption,
    changes: SetOption = None,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Train a tokenizer and a small base model from nothing.

    Reads a folder of texts (training.own_base.corpus) or the passages of the newest samples. Shows
    what the model writes, and its perplexity on texts that are held out, at each checkpoint. Keeps
    the best as a base model (`twin models list`), which training.base_model may name. A killed or
    interrupted training goes on from its last checkpoint; ends with 99 when it is made already.
    """
    from twin.training.own_base.job import run_pretrain

    run_job(
        "training pretrain",
        run_pretrain,
        recipe=recipe,
        run_id=run_id,
        result=result,
        changes=changes or (),
    )
