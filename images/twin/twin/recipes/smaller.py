"""Sections of a recipe for smaller models made of a trained twin."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section
from twin.recipes.steps import StepsSection


class DistillationSection(StepsSection):
    """A student that learns from the trained twin: `twin training distill`."""

    student: ModelName | None = Field(
        default=None,
        description="base model that learns, as in training.base_model; unset: a copy of the twin "
        f"(copied); {RELATIVE}",
    )
    copied: Literal["layers", "pruned", "whole"] = Field(
        default="layers",
        description="without a student, what of the twin is copied. layers: one in keep_every; "
        "pruned: what `twin training prune` has left, which so recovers; whole: all of it, with "
        "quantised",
    )
    quantised: Literal["none", "int8", "int4"] = Field(
        default="none",
        description="the student learns with its weights rounded to so many bits, in groups of 32 "
        "as GGUF's q8_0 and q4_k_m round them (quantisation-aware training, arXiv:2305.17888), so "
        "that an export in that many bits loses less; its weights themselves stay bf16",
    )
    keep_every: int = Field(
        default=2,
        ge=2,
        description="n: a copy by layers has one in n of the twin's, the first and the last among "
        "them where their kinds allow it",
    )
    texts: Literal["twin", "author"] = Field(
        default="twin",
        description="what the student learns to write. twin: the twin's own answers to the "
        "training questions (sequence level, arXiv:1606.07947); author: the author's, which saves "
        "writing them",
    )
    max_samples: PositiveInt = Field(
        default=1_000, description="training samples that are learned from, at most"
    )
    max_tokens: PositiveInt = Field(default=160, description="of an answer that the twin writes")
    temperature: float = Field(
        default=0.7, ge=0, le=2, description="of the twin's answers; 0: the likeliest words"
    )
    logits: Fraction = Field(
        default=0.5,
        description="share of the loss that is the divergence KL(twin || student) of the "
        "probabilities of all words at each word of an answer (logit level, arXiv:1503.02531); "
        "the rest is the answer's own words. More than 0 needs a student with the twin's "
        "vocabulary",
    )
    method: Literal["full", "lora"] = Field(
        default="full",
        description="full: every weight of the student but embedding and head, in float32; lora: "
        "an adapter of training.lora, added to the weights at the end",
    )
    learning_rate: float = Field(default=1e-4, gt=0, lt=1)
    batch_size: PositiveInt = 4
    warmup_share: Fraction = 0.05

    @model_validator(mode="after")
    def _rounds_what_learns(self) -> "DistillationSection":
        if self.quantised != "none" and self.method != "full":
            raise ValueError(
                "quantised rounds the weights that learn, and with method: lora these are an "
                "adapter's: set method to full"
            )
        if self.copied == "whole" and self.quantised == "none":
            raise ValueError(
                "copied: whole has nothing to learn from itself: set quantised to int8 or int4, or "
                "copied to layers"
            )
        return self

    @model_validator(mode="after")
    def _one_student(self) -> "DistillationSection":
        if self.student is not None and self.copied != "layers":
            raise ValueError(
                f"the student is a base model (student) or comes of the twin (copied: {self.copied}"
                "): leave one of them out"
            )
        return self


class PruningSection(Section):
    """A copy of the trained twin with less in it: `twin training prune`."""

    method: Literal["layers", "channels", "magnitude"] = Field(
        default="layers",
        description="layers: whole layers go, those first that change the hidden states least "
        "(arXiv:2403.03853); channels: inner channels of each layer's feed-forward part, by weight "
        "and activation (arXiv:2306.11695); magnitude: the smallest weights of each linear layer "
        "become zero, which saves nothing that an engine without sparse products would notice",
    )
    share: float = Field(
        default=0.25, gt=0, lt=1, description="of layers, channels or weights, that goes"
    )
    samples: PositiveInt = Field(
        default=32,
        description="training samples by which layers and channels are measured; the first tokens "
        "of each, sft.max_length at most",
    )
