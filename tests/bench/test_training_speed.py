"""Training against TRL's defaults: same model, data, machine; tokens/s, peak memory, both losses.

Each arm trains in a process of its own. The base's head has 262,144 words. Figures are ratios,
because machines differ; the curves of both arms are drawn in one plot, `build/bench-training`.
TWIN_BENCH_STEPS sets the steps (20, of which the first warms up).
"""

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from twin.models.bases.base_models import prepare_base_model
from twin.models.bases.catalogue import CATALOGUE
from twin.pages.canvas import new_canvas, panels_of, png_of
from twin.settings import Settings

OUTPUT = ROOT / "build" / "bench-training"
STEPS = int(os.environ.get("TWIN_BENCH_STEPS", "20"))
TOKENS, PROMPT = 200, 70
SECTION = {"sft": {"batch_size": 4}, "dpo": {"batch_size": 2, "learning_rate": 1e-4}}
TOLERANCE = {"sft": 1e-2, "dpo": 5e-2}
"""Of a loss, relative: TRL forms its logits in float32, we in bf16 throughout."""
LEAST = {"sft": 2.0, "dpo": 2.0}
"""Times as fast, below which something is broken; what is measured is printed."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The demo's base model; prepared where `make demo` prepares it, so mostly there already."""
    pytest.importorskip(CATALOGUE["gemma3-270m"].module)
    home = Path(os.environ.get("TWIN_HOME", ROOT / ".twin"))
    home = home if home.is_dir() else tmp_path_factory.mktemp("home")
    return prepare_base_model("gemma3-270m", Settings(home=home))


def train(base, arm, stage):
    wanted = {
        "base": str(base), "arm": arm, "stage": stage, "steps": STEPS, "tokens": TOKENS,
        "prompt": PROMPT, "section": SECTION,
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.bench.training_arm", json.dumps(wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def draw(stage, arms):
    canvas = new_canvas(7, 4)
    (axes,) = panels_of(canvas, 1)
    for (name, found), style in zip(arms.items(), ("-", "--"), strict=True):
        axes.plot(range(1, STEPS + 1), found["losses"], style, label=name)
    axes.set(title=f"{stage.upper()} on the demo's base", xlabel="step", ylabel="loss")
    axes.legend()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / f"{stage}.png").write_bytes(png_of(canvas))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("stage", ["sft", "dpo"])
def test_training_is_several_times_faster_than_trls_defaults(base, stage):
    """Minutes. Buys: the figures of the training stage, and that speed changed no result."""
    arms = {"TRL's defaults": train(base, "trl", stage), "ours": train(base, "ours", stage)}
    texts = SECTION[stage]["batch_size"] * (2 if stage == "dpo" else 1)
    medians = {name: statistics.median(found["seconds"][1:]) for name, found in arms.items()}
    lines = [f"{stage.upper()}: {STEPS} steps of {texts} texts of {TOKENS} tokens"]
    for name, found in arms.items():
        speed = texts * TOKENS / medians[name]
        lines.append(
            f"{name}: {medians[name]:.2f} s a step, {speed:.0f} tokens/s, peak "
            f"{found['peak'] / 1024**3:.2f} GiB"
        )
    ratio = medians["TRL's defaults"] / medians["ours"]
    pairs = list(zip(*(found["losses"] for found in arms.values()), strict=True))
    apart = max(abs(a - b) / abs(a) for a, b in pairs)
    lines.append(f"ratio {ratio:.1f}; losses at most {apart:.1e} apart, relative")
    print("\n" + "\n".join(lines))
    draw(stage, arms)
    (OUTPUT / f"{stage}.md").write_text("\n".join(lines) + "\n")
    assert apart < TOLERANCE[stage]
    assert ratio > LEAST[stage]
