"""Sections of a recipe: how the base model becomes the twin."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.own_base import OwnBaseSection
from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section
from twin.recipes.smaller import DistillationSection, PruningSection
from twin.recipes.steps import StepsSection
from twin.recipes.sweep import ChoicesSection, SweepSection
from twin.recipes.text_classifiers import TextClassifierSection

MEASURED_WITH = frozenset({"sft.max_length", "sft.max_validation_samples", "teach_end"})
"""Values of fine-tuning that decide which tokens the validation loss is the mean of."""


class LoraSection(Section):
    """Size and place of the adapter."""

    rank: int = Field(
        default=16, ge=1, le=1024, description="beyond 256 it is hardly smaller than all weights"
    )
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


class PretrainingSection(StepsSection):
    """Continued pretraining on the author's passages as plain text, before fine-tuning."""

    epochs: float = Field(
        default=0.0,
        ge=0,
        description="0: none. It pays with much text and a base that knows little of its kind; "
        "with a few articles, fine-tuning alone learns the manner",
    )
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    batch_size: PositiveInt = 4
    warmup_share: Fraction = 0.05


class SftSection(StepsSection):
    """Supervised fine-tuning."""

    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    batch_size: PositiveInt = 4
    warmup_share: Fraction = 0.05
    group_by_length: bool = Field(
        default=True, description="samples of like length in a batch: little is spent on padding"
    )
    packing: bool = Field(
        default=False,
        description="several samples in a row of max_length tokens, none of which sees another; "
        "batch_size counts rows. It pays on GPUs with many short samples; on processors attention "
        "over a long row takes the time that padding would",
    )
    noise: float = Field(
        default=0.0,
        ge=0,
        description="NEFTune's alpha: uniform noise on the embeddings in training "
        "(arXiv:2310.05914), 5 to 15 for chatty instruction sets; 0: none",
    )
    max_validation_samples: PositiveInt = Field(
        default=200, description="of the validation split; its loss is measured on them"
    )
    evaluations: PositiveInt = Field(
        default=4,
        description="times that the validation loss is measured, evenly over the steps; with "
        "best_checkpoint or early_stopping it is measured at each checkpoint instead",
    )
    best_checkpoint: bool = Field(
        default=False, description="end with the checkpoint of the lowest validation loss"
    )
    early_stopping: int = Field(
        default=0,
        ge=0,
        description="checkpoints in a row without a lower validation loss after which training "
        "stops, and ends with the best; 0: never",
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
    max_held_out: int = Field(
        default=50,
        ge=0,
        description="test samples that are written to as well: their pairs are not trained on, and "
        "measure what preference training does. 0: none",
    )


class DpoSection(StepsSection):
    """Preference training, by default direct preference optimisation (DPO)."""

    enabled: bool = True
    pairs: PairsSection = PairsSection()
    method: Literal["dpo", "kto", "orpo"] = Field(
        default="dpo",
        description="dpo (arXiv:2305.18290); kto: each text judged by itself (arXiv:2402.01306), "
        "batch_size counts texts, two at least; orpo: learns the chosen text too and needs no "
        "reference (arXiv:2403.07691), but all logits at once",
    )
    learning_rate: float = Field(default=5e-6, gt=0, lt=1)
    batch_size: PositiveInt = 2
    beta: float = Field(
        default=0.1,
        gt=0,
        description="what leaving the model of the first stage costs; for orpo, the weight of the "
        "preference beside the chosen text's own loss",
    )
    max_drift: float | None = Field(
        default=100.0,
        gt=0,
        description="nats: training stops when the model finds its own former texts (the rejected) "
        "so much less likely, on average of ten steps. It is an estimate of the KL divergence; 100 "
        "is about a nat a token, by which the manner is another. Unset: no limit",
    )

    @model_validator(mode="after")
    def _kto_compares_texts(self) -> "DpoSection":
        if self.method == "kto" and self.batch_size < 2:
            raise ValueError(
                "method kto estimates the divergence by the other texts of a batch: set batch_size "
                "to 2 or more"
            )
        return self


class GenerationsSection(Section):
    """What the model in training writes at each checkpoint, for people to read in MLflow."""

    prompts: int = Field(
        default=2, ge=0, le=20, description="of the validation split; 0: nothing is written"
    )
    max_tokens: int = Field(
        default=48,
        ge=1,
        le=1024,
        description="of a text; all prompts are written to at once, so this is what it costs",
    )


class TrainedSection(Section):
    """How the base model becomes the twin, by whatever decides what comes of it."""

    base_model: ModelName = Field(
        default="gemma3-270m",
        description=f"a packaged model, a folder ({RELATIVE}) or a hub id; a decoder with a chat "
        "template, or a pretrained base model without one",
    )
    method: Literal["lora", "dora", "qlora", "full"] = Field(
        default="lora",
        description="lora: adapters on the base in bf16; dora: adapters that learn size and "
        "direction apart, which helps at small ranks and takes more time; qlora: lora on the base "
        "in four bits (NF4), which takes about a third of the memory and somewhat more time; full: "
        "every weight, which takes some sixteen bytes a parameter and a tenth of the learning rate",
    )
    teach_end: bool = Field(
        default=False,
        description="teach a base model the token that ends its answers, where it never was: "
        "trains a row of embedding and head, so it needs serving.adapters: merged",
    )
    sharding: Literal["none", "fsdp"] = Field(
        default="none",
        description="of a training in several processes, one a GPU. none: each holds the whole "
        "model and takes a share of each batch; fsdp: each holds a share of the weights too "
        "(FSDP2), for what one GPU can't hold",
    )
    seed: int = 13
    canaries: CanarySection = CanarySection()
    generations: GenerationsSection = GenerationsSection()
    lora: LoraSection = LoraSection()
    pretraining: PretrainingSection = PretrainingSection()
    sft: SftSection = SftSection()
    dpo: DpoSection = DpoSection()


class TrainingSection(TrainedSection):
    """How the base model becomes the twin."""

    sweep: SweepSection = SweepSection()
    own_base: OwnBaseSection = OwnBaseSection()
    distillation: DistillationSection = DistillationSection()
    pruning: PruningSection = PruningSection()
    classifiers: tuple[TextClassifierSection, ...] = Field(
        default=(), description="trained by `twin training classifier fit`, and by no DAG"
    )

    @model_validator(mode="after")
    def _sweep_finds_values(self) -> "TrainingSection":
        for key, knob in self.sweep.space.items():
            ends = knob.choices if isinstance(knob, ChoicesSection) else (knob.low, knob.high)
            if key in MEASURED_WITH:
                raise ValueError(
                    f"sweep.space: {key} changes what the validation loss is measured on, so that "
                    "trials could not be compared: set it in the recipe"
                )
            if key.split(".")[0] not in {"sft", "lora", "method", "seed"}:
                raise ValueError(f"sweep.space: {key} is no value of fine-tuning: sft.… or lora.…")
            for value in ends:
                self.with_values({key: value})
        return self

    @model_validator(mode="after")
    def _zeros_stay(self) -> "TrainingSection":
        adds = self.distillation.copied == "pruned" and self.distillation.method == "lora"
        if adds and self.pruning.method == "magnitude":
            raise ValueError(
                "distillation.method: lora adds to every weight, also to those that "
                "pruning.method: magnitude has made zero: set distillation.method to full"
            )
        return self

    @model_validator(mode="after")
    def _classifiers_differ(self) -> "TrainingSection":
        names = [each.name for each in self.classifiers]
        if len(set(names)) < len(names):
            raise ValueError("classifiers: each needs a name of its own")
        return self

    def with_values(self, values: Mapping[str, object]) -> "TrainingSection":
        """This section with other values, by keys such as ``sft.learning_rate``.

        Raises:
            ValueError: there is no such key, or it does not take the value.
        """
        data: dict[str, Any] = self.model_dump(include=set(TrainedSection.model_fields))
        for key, value in values.items():
            *sections, last = key.split(".")
            place: Any = data
            for section in sections:
                place = place.get(section) if isinstance(place, dict) else None
            if not isinstance(place, dict) or last not in place:
                raise ValueError(f"sweep.space: there is no training.{key}")
            place[last] = value
        made = TrainedSection.model_validate(data)
        return self.model_copy(
            update={name: getattr(made, name) for name in type(made).model_fields}
        )
