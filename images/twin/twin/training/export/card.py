"""The card of an exported version: what it is, where it comes from, how it is run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from twin.domain.terminal import printable
from twin.recipes import Recipe
from twin.stores.registry import ModelVersion

_FILES = {
    ".gguf": "weights for llama.cpp, Ollama, LM Studio",
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
        files: quantisation to GGUF file.
        measured: the table of products; "" if nothing was measured.
        samples: held-out answers that perplexity is of.
        names: of the files beside the card.
    """
    first = next(iter(files.values()))
    author = printable(recipe.author.name)
    parts = [
        _front_matter(version),
        f"# {version.name}, version {version.version}",
        f"Writes and answers in the manner of {author}. It was trained on {author}'s own texts "
        "and says nothing in their name: its texts are a model's, may be wrong, and are to be "
        "marked as such. Without the passages that a question is about it makes facts up.",
        "## Run it",
        f"```sh\nollama create {version.name} -f {first.stem}.Modelfile\n"
        f"ollama run {version.name}\n```",
        f"or `llama-server -m {first.name}`. The Modelfile writes prompts as the model was trained "
        "on them. `sha256sum --check SHA256SUMS` says whether the files are whole.",
        "## Files",
        "\n".join(f"- `{name}`: {_what(name)}" for name in names),
        *_measured(measured, samples),
        "## Lineage",
        "\n".join(
            ["| | |", "|---|---|", *(f"| {k} | `{_cell(v)}` |" for k, v in _lineage(version))]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(version: ModelVersion) -> str:
    base = version.tags.get("base_model", "unknown")
    return f"---\nbase_model: {_cell(base)}\nlibrary_name: gguf\npipeline_tag: text-generation\n---"


def _measured(measured: str, samples: int) -> list[str]:
    if not measured:
        return []
    said = (
        f"Perplexity is of {samples} held-out answers, from the numbers in each file; *worse* has "
        "its 95 % interval over documents. Speed and memory are of llama.cpp on the machine that "
        "exported, one answer at a time."
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
