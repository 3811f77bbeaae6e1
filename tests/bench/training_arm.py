"""One training in a process of its own: prints losses, seconds and peak memory as JSON.

Its argument is JSON: ``base`` (a prepared model's folder), ``arm`` (``ours`` or ``trl``, TRL's
defaults but for what makes losses comparable), ``stage`` (``sft`` or ``dpo``), ``steps``,
``tokens`` of a sample and ``prompt`` of these, and ``section``, values of the recipe's.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from torch.utils.data import SequentialSampler
from transformers import TrainerCallback

from tests import tiny_model
from twin.job import _own_peak_kib
from twin.recipes import TrainingSection
from twin.settings import Settings
from twin.training.engine import load_for_training, lora_config, sft_trainer
from twin.training.preference_trainers import dpo_trainer

SEED = 13


class Clock(TrainerCallback):
    """When each step has ended."""

    def __init__(self):
        self.ends = [time.perf_counter()]

    def on_step_end(self, *_args, **_kwargs):
        self.ends.append(time.perf_counter())


def texts(chat, count, tokens):
    """So many token sequences, each another part of the tiny model's corpus."""
    ids = chat.tokenizer.encode(tiny_model.CORPUS, add_special_tokens=False)
    doubled = ids * (2 + tokens // len(ids))
    return [doubled[(n * 37) % len(ids) :][:tokens] for n in range(count)]


def rows(chat, wanted, count):
    tokens, prompt = wanted["tokens"], wanted["prompt"]
    if wanted["stage"] == "sft":
        return [
            {"input_ids": t, "labels": [-100] * prompt + t[prompt:], "length": tokens}
            for t in texts(chat, count, tokens)
        ]
    made = texts(chat, 2 * count, tokens)
    return [
        {"prompt_ids": c[:prompt], "chosen_ids": c[prompt:], "rejected_ids": r[prompt:]}
        for c, r in zip(made[::2], made[1::2], strict=True)
    ]


def arguments(wanted, section, folder):
    """What both arms have alike; the rest are TRL's defaults."""
    knobs = getattr(section, wanted["stage"])
    return {
        "output_dir": folder,
        "max_steps": wanted["steps"],
        "per_device_train_batch_size": knobs.batch_size,
        "gradient_accumulation_steps": knobs.gradient_accumulation,
        "learning_rate": knobs.learning_rate,
        "lr_scheduler_type": knobs.schedule,
        "warmup_steps": knobs.warmup_share,
        "seed": SEED,
        "logging_steps": 1,
        "report_to": [],
        "use_cpu": True,
        "save_strategy": "no",
    }


def trl(model, chat, wanted, section, made, folder):
    from datasets import Dataset
    from peft import get_peft_model
    from transformers import set_seed
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    data = Dataset.from_list(made)
    known = {"train_dataset": data, "processing_class": chat.tokenizer}
    args = arguments(wanted, section, folder)
    if wanted["stage"] == "sft":
        adapter = lora_config(section.lora)
        return SFTTrainer(model, SFTConfig(**args), peft_config=adapter, **known)
    set_seed(SEED)
    DPOTrainer._prepare_dataset = lambda _self, dataset, *_: dataset
    adapted = get_peft_model(model, lora_config(section.lora))
    return DPOTrainer(adapted, args=DPOConfig(**args), **known)


def ours(model, chat, wanted, section, made, folder):
    from peft import get_peft_model
    from transformers import set_seed

    if wanted["stage"] == "sft":
        return sft_trainer(model, chat, section, Path(folder), made, [])
    set_seed(SEED)
    if section.method != "full":
        adapter = lora_config(section.lora, dora=section.method == "dora")
        return dpo_trainer(get_peft_model(model, adapter), chat, section, Path(folder), made)
    return dpo_trainer(model, chat, section, Path(folder), made)


def main(text):
    wanted = json.loads(text)
    values = {**wanted["section"], "seed": SEED}
    stage = {**values.get(wanted["stage"], {}), "max_steps": wanted["steps"], "save_steps": 10_000}
    section = TrainingSection.model_validate({**values, wanted["stage"]: stage})
    knobs = getattr(section, wanted["stage"])
    model, chat = load_for_training(Path(wanted["base"]), Settings(), section)
    count = wanted["steps"] * knobs.batch_size * knobs.gradient_accumulation
    made = rows(chat, wanted, count)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        make = {"trl": trl, "ours": ours}[wanted["arm"]]
        trainer = make(model, chat, wanted, section, made, folder)
        trainer._get_train_sampler = lambda *_: SequentialSampler(made)
        trainer.add_callback(clock)
        clock.ends[0] = time.perf_counter()
        trainer.train()
    history = trainer.state.log_history
    taken = [b - a for a, b in zip(clock.ends, clock.ends[1:], strict=False)]
    found = {
        "losses": [entry["loss"] for entry in history if "loss" in entry],
        "seconds": taken,
        "peak": _own_peak_kib() * 1024,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
