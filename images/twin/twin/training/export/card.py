"""The card of an exported version: what it is, where it comes from, how it is run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from twin.domain.terminal import printable
from twin.recipes import Recipe
from twin.stores.registry import ModelVersion

_FILES = {
    ".gguf": "weights for llama.cpp, Ollama, LM Studio",
    "-onnx-f32": "a folder for onnxruntime-genai, in float32",
    "-onnx-int8": "the same, weights in eight bits, activations packed as they come",
    "-onnx-int8-static": "the same, activations by fixed ranges",
    ".Modelfile": "for `ollama create`: template, prompt, stops",
    ".jsonl": "passages with their vectors (`twin` imports it; a JSON object a line)",
    ".png": "the table as a picture",
    "LICENCE": "of the base model",
    "export.json": "which export this is",
}


def model_card(
    version: ModelVersion,
    recipe: Recipe,
    files: Mapping[str, Path],
    measured: str,
    samples: int,
    names: Sequence[str],
) -> str:
    """Markdown with the front matter that model hubs read.

    Args:
        version: with its lineage.
        recipe: of the author.
        files: form to GGUF file, or to the folder of an ONNX model.
        measured: the table of products; "" if nothing was measured.
        samples: held-out answers that perplexity is of.
        names: of the files beside the card.
    """
    author = printable(recipe.author.name)
    parts = [
        _front_matter(version, files),
        f"# {version.name}, version {version.version}",
        f"Writes and answers in the manner of {author}. It was trained on {author}'s own texts "
        "and says nothing in their name: its texts are a model's, may be wrong, and are to be "
        "marked as such. Without the passages that a question is about it makes facts up.",
        "## Run it",
        *_how(version, files),
        "`sha256sum --check SHA256SUMS` says whether the files are whole.",
        "## Files",
        "\n".join(f"- `{name}`: {_what(name)}" for name in names),
        *_measured(measured, samples),
        "## Lineage",
        "\n".join(
            ["| | |", "|---|---|", *(f"| {k} | `{_cell(v)}` |" for k, v in _lineage(version))]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _how(version: ModelVersion, files: Mapping[str, Path]) -> list[str]:
    """By the first file of each engine."""
    said = []
    gguf = next((file for file in files.values() if file.suffix == ".gguf"), None)
    if gguf is not None:
        said += [
            f"```sh\nollama create {version.name} -f {gguf.stem}.Modelfile\n"
            f"ollama run {version.name}\n```",
            f"or `llama-server -m {gguf.name}`. The Modelfile writes prompts as the model was "
            "trained on them.",
        ]
    onnx = next((file for file in files.values() if file.suffix != ".gguf"), None)
    if onnx is not None:
        said.append(
            f'With onnxruntime-genai: `onnxruntime_genai.Model("{onnx.name}")`, on prompts by the '
            "chat template in the folder."
        )
    return said


def _front_matter(version: ModelVersion, files: Mapping[str, Path]) -> str:
    base = version.tags.get("base_model", "unknown")
    library = "gguf" if any(file.suffix == ".gguf" for file in files.values()) else "onnx"
    head = f"base_model: {_cell(base)}\nlibrary_name: {library}\npipeline_tag: text-generation"
    return f"---\n{head}\n---"


def _measured(measured: str, samples: int) -> list[str]:
    if not measured:
        return []
    said = (
        f"Perplexity is of {samples} held-out answers, from the numbers in each file; *worse* has "
        "its 95 % interval over documents. Speed and memory are of llama.cpp, or onnxruntime, on "
        "the machine that exported, one answer at a time. Style is likeness to the author's, where "
        "an evaluation has measured a version's answers; *v…* are other versions, for comparison."
    )
    return ["## What each file takes", measured, said, "![products](products.png)"]


def _lineage(version: ModelVersion) -> list[tuple[str, str]]:
    own = {"weights_digest": version.weights_digest, "mlflow_run": version.run_id}
    shown = {key: value for key, value in version.tags.items() if not key.endswith("_uri")}
    return sorted({**shown, **own}.items())


def _what(name: str) -> str:
    return next((text for end, text in _FILES.items() if name.endswith(end)), "")


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|").replace("\n", " ")[:300]
