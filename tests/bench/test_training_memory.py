"""The estimate of a training's memory against its measured peak, over seven configurations.

Models of real sizes with random weights; each trains in a process of its own, three steps.
"""

import json
import subprocess
import sys

import pytest

from tests import families
from tests.bench.test_training_speed import OUTPUT
from tests.conftest import ROOT
from twin.models.bases.memory import BF16, GIB
from twin.recipes import TrainingSection
from twin.training.memory_estimate import estimate_memory

TOLERANCE = 0.15

SMALL = {
    "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3,
}  # fmt: skip
"""SmolLM2 135M's body; its tokenizer is a tiny one, so its head is too."""
WIDE = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 12,
    "num_attention_heads": 32, "num_key_value_heads": 8,
}  # fmt: skip
"""Three quarters of Llama 3.2 1B's body."""

CASES = {
    "lora, 8 x 384": (SMALL, "sft", 384, {"sft": {"batch_size": 8}}),
    "lora, checkpointed": (
        SMALL, "sft", 512, {"sft": {"batch_size": 16, "gradient_checkpointing": True}},
    ),
    "dora, 4 x 384": (SMALL, "sft", 384, {"method": "dora", "sft": {"batch_size": 4}}),
    "full, 4 x 256": (SMALL, "sft", 256, {"method": "full", "sft": {"batch_size": 4}}),
    "lora, wide, 2 x 512": (WIDE, "sft", 512, {"sft": {"batch_size": 2}}),
    "lora, wide, rank 128": (
        WIDE, "sft", 256, {"lora": {"rank": 128}, "sft": {"batch_size": 1}},
    ),
    "dpo, 4 x 384": (SMALL, "dpo", 384, {"dpo": {"batch_size": 4}}),
}  # fmt: skip


def case(name, folder):
    sizes, stage, tokens, section = CASES[name]
    base = families.build("llama3", folder, **sizes)
    wanted = {
        "base": str(base), "arm": "ours", "stage": stage, "steps": 3, "tokens": tokens,
        "prompt": tokens // 3, "section": section,
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.bench.training_arm", json.dumps(wanted)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    peak = json.loads(done.stdout.splitlines()[-1])["peak"]
    knobs = {**section.get(stage, {}), "max_length": tokens}
    other = {} if stage == "dpo" else {"dpo": {"enabled": False}}
    recipe = TrainingSection.model_validate({**section, **other, stage: knobs})
    if stage == "dpo":  # the first stage is another case
        recipe = recipe.model_copy(
            update={"sft": recipe.sft.model_copy(update={"batch_size": 1, "max_length": 1})}
        )
    weights = sum(path.stat().st_size for path in base.glob("*.safetensors"))
    config = json.loads((base / "config.json").read_text())
    return peak, estimate_memory(config, round(weights / BF16), recipe, accelerated=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_estimates_are_near_the_measured_peaks(tmp_path):
    """Minutes. Buys: a refusal for want of memory is right."""
    lines = ["| training | estimated, GiB | measured, GiB | off |", "|---|---|---|---|"]
    apart = {}
    for name in CASES:
        peak, estimate = case(name, tmp_path / name.replace(" ", ""))
        apart[name] = estimate.total / peak - 1
        lines.append(
            f"| {name} | {estimate.total / GIB:.2f} | {peak / GIB:.2f} | {apart[name]:+.0%} |"
        )
        print(f"\n{lines[-1]}\n{estimate.text()}", end="")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "memory.md").write_text("\n".join(lines) + "\n")
    assert all(abs(off) < TOLERANCE for off in apart.values()), apart
