"""What becomes of a version when it is made smaller: size, speed, memory, perplexity of each file.

Perplexity is of the author's held-out answers, from the very numbers that a file holds: they are
read back into bf16 and scored by the reference engine. What llama.cpp rounds while it computes is
not in it.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.models.bases.gguf import convert_gguf
from twin.models.language_model import load_language_model
from twin.pages.canvas import BLUE, GREY, new_canvas, panels_of, png_of
from twin.rag.prompt import build_messages
from twin.recipes import Recipe
from twin.settings import Settings, inherited_environment

CONFIDENCE = 0.95
PLOT = "products.png"
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
        tokens_per_second: written, one answer at a time; None of what llama.cpp does not load.
        prompt_tokens_per_second: read.
        peak_memory_bytes: of a process that has loaded it and writes.
    """

    name: str
    size_bytes: int
    perplexity: float | None = None
    worse: float | None = None
    margin: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens_per_second: float | None = None
    peak_memory_bytes: float | None = None


def measure_products(
    weights: Path, files: dict[str, Path], samples: Sequence[InstructSample], recipe: Recipe,
    settings: Settings, threads: int,
) -> list[Product]:  # fmt: skip
    """The weights and each file made of them.

    Args:
        weights: folder of a version's weights.
        files: quantisation to GGUF file.
        samples: held out, with answers of the author's.
        recipe: its prompt and author.
        settings: of this machine.
        threads: that compute.

    Raises:
        BadDataError: llama.cpp cannot run a file.
    """
    before = _score(weights, samples, recipe, settings)
    size = sum(path.stat().st_size for path in weights.glob("*.safetensors"))
    made = [Product(WEIGHTS, size, _perplexity(before))]
    for name, file in files.items():
        with tempfile.TemporaryDirectory(prefix="product-") as scratch:
            folder = Path(scratch) / "weights"
            convert_gguf(file, folder)
            for part in _not_weights(weights):
                (folder / part.name).write_bytes(part.read_bytes())
            after = _score(folder, samples, recipe, settings)
        worse, margin = _worse(before, after, [sample.document_id for sample in samples])
        run = _run(file, threads)
        made.append(Product(name, file.stat().st_size, _perplexity(after), worse, margin, **run))
    return made


def _not_weights(folder: Path) -> list[Path]:
    """Configuration and words: of a file they are a reader's guess, and these are known."""
    patterns = ("*config.json", "tokenizer*", "special_tokens_map.json", "chat_template.jinja")
    return [path for pattern in patterns for path in folder.glob(pattern)]


def _score(
    folder: Path, samples: Sequence[InstructSample], recipe: Recipe, settings: Settings
) -> Scores:
    if not samples:
        return []
    model = load_language_model(folder, settings)
    prompts = [
        build_messages(
            recipe.author.name, each.instruction, each.context, each.history, recipe.prompt
        )
        for each in samples
    ]
    return model.answer_log_likelihood(prompts, [each.answer for each in samples])


def _perplexity(scores: Scores) -> float | None:
    tokens = sum(count for _, count in scores)
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


def _run(file: Path, threads: int) -> dict[str, float]:
    command = [sys.executable, "-m", "twin.training.export.engine_run", str(file), str(threads)]
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
        "| | size | memory | tokens/s | prompt tokens/s | perplexity | worse than the weights |",
        "|---|---|---|---|---|---|---|",
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
    }
    canvas = new_canvas(2.6 * len(measures), 2.8)
    for (title, of), axes in zip(measures.items(), panels_of(canvas, len(measures)), strict=True):
        bars = [(one.name, value) for one in products if (value := of(one)) is not None]
        colours = [GREY if name == WEIGHTS else BLUE for name, _ in bars]
        axes.bar([name for name, _ in bars], [value for _, value in bars], color=colours)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
    path.write_bytes(png_of(canvas))
