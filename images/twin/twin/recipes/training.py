"""Sections of a recipe: how the base model becomes the twin."""

from typing import Literal

from pydantic import Field, PositiveInt

from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section


class LoraSection(Section):
    """Size and place of the adapter."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Fraction = 0.0


class CanarySection(Section):
    """Made-up secrets planted in the training data, by which an evaluation tells what is kept."""

    count: int = Field(default=0, ge=0, le=100, description="different secrets; 0: none")
    repeats: PositiveInt = Field(
        default=8,
        description="times that each is trained on: as often as a text may occur in the training "
        "data without the model learning it by heart",
    )
    seed: int = Field(default=13, description="draws them; whoever knows it knows them")


class SftSection(Section):
    """Supervised fine-tuning."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1, description="-1: by epochs")
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: PositiveInt = 4
    gradient_accumulation: PositiveInt = 1
    max_length: PositiveInt = Field(default=768, description="tokens; longer samples are refused")
    warmup_share: Fraction = 0.05
    save_steps: PositiveInt = 20
    max_validation_samples: PositiveInt = Field(
        default=200, description="of the validation split; its loss is measured after training"
    )


class PairsSection(Section):
    """Preference pairs: the author's answers against what the model of the first stage writes."""

    max_pairs: PositiveInt = Field(
        default=200, description="training samples that are written to; each gives one pair at most"
    )
    max_tokens: PositiveInt = Field(
        default=128,
        description="of a text that the model writes; samples with a longer answer are passed "
        "over, since length alone would tell such pairs apart",
    )
    candidates: PositiveInt = Field(
        default=3,
        description="texts that the model writes to each sample: the wrong one that is most like "
        "the author's answer is rejected",
    )
    temperature: float = Field(
        default=0.7, ge=0, le=2, description="0 writes the same text each time"
    )


class DpoSection(Section):
    """Direct preference optimisation."""

    enabled: bool = True
    pairs: PairsSection = PairsSection()
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1)
    learning_rate: float = Field(default=5e-6, gt=0)
    batch_size: PositiveInt = 2
    gradient_accumulation: PositiveInt = 1
    beta: float = Field(default=0.1, gt=0)
    max_length: PositiveInt = 768
    save_steps: PositiveInt = 20


class TrainingSection(Section):
    """How the base model becomes the twin."""

    base_model: ModelName = Field(
        default="gemma3-270m",
        description=f"a packaged model, a folder ({RELATIVE}) or a hub id; a decoder with a chat "
        "template, or a pretrained base model without one",
    )
    method: Literal["lora", "qlora"] = Field(
        default="lora",
        description="lora: adapters on the base in bf16; qlora: on the base in four bits (NF4), "
        "which takes about a third of the memory and somewhat more time",
    )
    teach_end: bool = Field(
        default=False,
        description="teach a base model the token that ends its answers, where it never was: "
        "trains a row of embedding and head, so it needs serving.adapters: merged",
    )
    seed: int = 13
    canaries: CanarySection = CanarySection()
    lora: LoraSection = LoraSection()
    sft: SftSection = SftSection()
    dpo: DpoSection = DpoSection()
