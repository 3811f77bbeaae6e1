"""`twin export`: a version as files that run elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from twin.job import RecipeOption, ResultOption, RunIdOption, run_job


def export(
    recipe: RecipeOption,
    output: Annotated[Path, typer.Option("--output", help="Folder to be made.")],
    model_versions: Annotated[
        list[str] | None,
        typer.Option(
            "--model-version",
            help="Number of the version; unset means the champion. Further ones, such as a "
            "distilled or pruned version of the same samples, are measured beside it only.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            help="f16, bf16, q8_0 or q4_k_m (GGUF); onnx-f32, onnx-int8 or onnx-int8-static, which "
            "need `make onnx`; several times for several. Unset: f16, q8_0, q4_k_m.",
        ),
    ] = None,
    index: Annotated[
        bool, typer.Option("--index/--no-index", help="The passages with their vectors too.")
    ] = True,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Size, speed, memory and perplexity of each file, as a table and a plot.",
        ),
    ] = True,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Write a version as GGUF files with Modelfiles for Ollama, or as ONNX, into one folder.

    Reads the registry, the weights, the test split that the version was not trained on, and the
    index. Writes the folder, whole or not at all, with the index, a card (README.md), what each
    file takes (products.png) and digests (SHA256SUMS). Ends with 99, nothing to do, where it is
    done.
    """
    from twin.stores.champion_prompt import by_champion_prompt
    from twin.training.export.export import ExportOptions, run_export

    defaults = ExportOptions(output)
    versions = model_versions or []
    options = ExportOptions(
        output,
        versions[0] if versions else None,
        tuple(formats or defaults.formats),
        index=index,
        measured=measure,
        beside=tuple(versions[1:]),
    )
    run_job(
        "export",
        by_champion_prompt(lambda job: run_export(job, options)),
        recipe=recipe,
        run_id=run_id,
        result=result,
    )
