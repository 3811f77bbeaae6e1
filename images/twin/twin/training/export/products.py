"""What becomes of a version when it is made smaller: size, speed, memory, perplexity of each file.

Perplexity is of the author's held-out answers. Of a GGUF file it is from the very numbers that it
holds: they are read back into bf16 and scored by the reference engine, so what llama.cpp rounds
while it computes is not in it. Of an ONNX model it is from what onnxruntime computes.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.models.bases.gguf import convert_gguf
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message, load_language_model
from twin.pages.canvas import BLUE, GREY, new_canvas, panels_of, png_of
from twin.rag.prompt import build_messages
from twin.recipes import Recipe
from twin.settings import Settings, inherited_environment
from twin.training.export import onnx_forms

CONFIDENCE = 0.95
PLOT = "products.png"
MOST_FLAT = 4
"""Names below a panel; of more each is written upwards."""
WEIGHTS = "weights"
"""Name of what all others were made of: bf16 safetensors."""

Scores = list[tuple[float, int]]
"""Sum of log-probabilities (nats) and tokens, answer by answer."""


@dataclass(frozen=True)
class Product:
    """One form of a version, and what it takes.

    Attributes:
        name: its quantisation.
        size_bytes: on the disk.
        perplexity: of the held-out answers; None where there are none.
        worse: by which share the perplexity is above that of the weights; None of these themselves.
        margin: half of the 95 % interval of ``worse``, over documents; None below two documents.
        tokens_per_second: written, one answer at a time; None of the weights, which are no product.
        prompt_tokens_per_second: read.
        peak_memory_bytes: of a process that has loaded it and writes.
        style: likeness to the author's style, where an evaluation has measured the version.
    """

    name: str
    size_bytes: int
    perplexity: float | None = None
    worse: float | None = None
    margin: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    peak_memory_bytes: float | None = None
    style: float | None = None


@dataclass(frozen=True)
class Beside:
    """Another version, which is measured beside the one that is exported.

    ``name`` is what the table calls it, ``weights`` a folder, ``file`` its weights as GGUF.
    """

    name: str
    weights: Path
    file: tuple[str, Path] | None
    style: float | None


@dataclass(frozen=True)
class Yardstick:
    """By what products are measured.

    Attributes:
        samples: held out, with answers of the author's.
        recipe: its prompt and author.
        settings: of this machine.
        threads: that compute.
    """

    samples: Sequence[InstructSample]
    recipe: Recipe
    settings: Settings
    threads: int


def measure_products(
    weights: Path,
    files: Mapping[str, Path],
    by: Yardstick,
    style: float | None = None,
    beside: Sequence[Beside] = (),
) -> list[Product]:
    """The weights, each file made of them, and other versions.

    Args:
        weights: folder of a version's weights.
        files: form to GGUF file, or to the folder of an ONNX model.
        by: what they are measured by.
        style: of the version, if it has been evaluated.
        beside: other versions, in their weights and as one file each.

    Raises:
        BadDataError: an engine cannot run a file.
    """
    before = _score(weights, by)

    def product(name: str, size: int, after: Scores, **run: float | None) -> Product:
        worse, margin = _worse(before, after, [each.document_id for each in by.samples])
        return Product(name, size, _perplexity(after, before), worse, margin, **run)

    made = [Product(WEIGHTS, _size(weights), _perplexity(before, before), style=style)]
    made += [
        product(name, _size(file), _score_file(file, weights, by), **_run(file, by))
        for name, file in files.items()
    ]
    for other in beside:
        scores = _score(other.weights, by)
        made.append(
            product(f"{other.name} {WEIGHTS}", _size(other.weights), scores, style=other.style)
        )
        if other.file is not None:
            form, file = other.file
            scores = _score_file(file, other.weights, by)
            made.append(product(f"{other.name} {form}", _size(file), scores, **_run(file, by)))
    return made


def _size(product: Path) -> int:
    if product.is_file():
        return product.stat().st_size
    weights = (*product.glob("*.safetensors"), *product.glob("model.onnx*"))
    return sum(path.stat().st_size for path in weights)


def _score_file(file: Path, weights: Path, by: Yardstick) -> Scores:
    """What a file made of the weights finds of the held-out answers."""
    if not by.samples:
        return []
    if file.is_dir():
        chat = ChatFormat.load(weights)
        prompts = [chat.prompt_ids(messages) for messages in _prompts(by)]
        answers = [chat.answer_ids(sample.answer) for sample in by.samples]
        return onnx_forms.score(file, by.settings, prompts, answers)
    with tempfile.TemporaryDirectory(prefix="product-") as scratch:
        folder = Path(scratch) / "weights"
        convert_gguf(file, folder)
        for part in _not_weights(weights):
            (folder / part.name).write_bytes(part.read_bytes())
        return _score(folder, by)


def _not_weights(folder: Path) -> list[Path]:
    """Configuration and words: of a file they are a reader's guess, and these are known."""
    patterns = ("*config.json", "tokenizer*", "special_tokens_map.json", "chat_template.jinja")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _score(folder: Path, by: Yardstick) -> Scores:
    if not by.samples:
        return []
    model = load_language_model(folder, by.settings)
    return model.answer_log_likelihood(_prompts(by), [each.answer for each in by.samples])


def _prompts(by: Yardstick) -> list[list[Message]]:
    author, prompt = by.recipe.author.name, by.recipe.prompt
    return [
        build_messages(author, each.instruction, each.context, each.history, prompt)
        for each in by.samples
    ]


def _perplexity(scores: Scores, tokens_of: Scores) -> float | None:
    """By token of the version's own tokenizer, which another version may not have."""
    tokens = sum(count for _, count in tokens_of)
    return math.exp(-sum(nats for nats, _ in scores) / tokens) if tokens else None


def _worse(
    before: Scores, after: Scores, documents: Sequence[str]
) -> tuple[float | None, float | None]:
    """Relative rise of perplexity, and its margin by the jackknife over documents.

    With Student's t, since documents are few.
    """
    from scipy.stats import t

    if not before:
        return None, None

    def rise(left_out: str | None) -> float:
        kept = [n for n, document in enumerate(documents) if document != left_out]
        tokens = sum(before[n][1] for n in kept)
        return math.exp(sum(before[n][0] - after[n][0] for n in kept) / tokens) - 1

    names = sorted(set(documents))
    if len(names) < 2:
        return rise(None), None
    without = [rise(name) for name in names]
    mean, count = sum(without) / len(names), len(names)
    error = math.sqrt((count - 1) / count * sum((each - mean) ** 2 for each in without))
    return rise(None), float(t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error


def _run(file: Path, by: Yardstick) -> dict[str, float]:
    """Speed and memory, measured in a process of its own."""
    if file.is_dir():
        return onnx_forms.run(file, by.settings, by.threads)
    command = [sys.executable, "-m", "twin.training.export.engine_run", str(file), str(by.threads)]
    done = subprocess.run(  # noqa: S603 - ourselves
        command, env=inherited_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise BadDataError(f"llama.cpp cannot run {file}: {reason[:300]}")
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def table(products: Sequence[Product]) -> str:
    """The products as a table of Markdown."""
    head = [
        "| | size | memory | tokens/s | prompt tokens/s | perplexity | worse than the weights "
        "| style |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *map(_row, products)])


def _row(product: Product) -> str:
    rise = "" if product.worse is None else f"{product.worse:+.2%}"
    if product.margin is not None:
        rise += f" ± {product.margin:.2%}"
    cells = (
        f"`{product.name}`",
        f"{product.size_bytes / 1e6:.1f} MB",
        _shown(product.peak_memory_bytes, lambda value: f"{value / 1e6:.0f} MB"),
        _shown(product.tokens_per_second, lambda value: f"{value:.1f}"),
        _shown(product.prompt_tokens_per_second, lambda value: f"{value:.0f}"),
        _shown(product.perplexity, lambda value: f"{value:.3f}"),
        rise,
        _shown(product.style, lambda value: f"{value:.3f}"),
    )
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None, write: Callable[[float], str]) -> str:
    return "" if value is None else write(value)


def draw(path: Path, products: Sequence[Product]) -> None:
    """One panel for each measure, one bar for each product that has it."""
    measures: dict[str, Callable[[Product], float | None]] = {
        "size (MB)": lambda one: one.size_bytes / 1e6,
        "memory (MB)": lambda one: one.peak_memory_bytes and one.peak_memory_bytes / 1e6,
        "tokens/s": lambda one: one.tokens_per_second,
        "perplexity": lambda one: one.perplexity,
        "style": lambda one: one.style,
    }
    measures = {title: of for title, of in measures.items() if any(map(of, products))}
    canvas = new_canvas(2.6 * len(measures), 2.8)
    for (title, of), axes in zip(measures.items(), panels_of(canvas, len(measures)), strict=True):
        bars = [(one.name, value) for one in products if (value := of(one)) is not None]
        colours = [GREY if name.endswith(WEIGHTS) else BLUE for name, _ in bars]
        axes.bar([name for name, _ in bars], [value for _, value in bars], color=colours)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.tick_params(axis="x", rotation=90 if len(bars) > MOST_FLAT else 0)
    path.write_bytes(png_of(canvas))
