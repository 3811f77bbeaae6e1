"""Section `training.own_base` of a recipe: a small base model, trained from nothing."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, LocalPath
from twin.recipes.section import Fraction, Slug
from twin.recipes.steps import StepsSection


class OwnBaseSection(StepsSection):
    """A small base model of one's own, trained from nothing: `twin training pretrain`."""

    name: Slug = Field(
        default="own-base", description="what training.base_model then calls it, and may be pinned"
    )
    corpus: LocalPath | None = Field(
        default=None,
        description="folder of texts (.txt, .md), each file a document; unset: the passages of the "
        f"recipe's samples, those that are held out left out; {RELATIVE}",
    )
    held_out_share: float = Field(
        default=0.1,
        gt=0,
        le=0.5,
        description="share of the folder's documents that perplexity is measured on",
    )
    tokenizer: Literal["bpe", "bytes"] = Field(
        default="bpe",
        description="bpe: pieces of words that the corpus is made of (arXiv:1508.07909); bytes: "
        "each by itself, so that Latin letters are one token each and no text is unknown",
    )
    vocabulary: int = Field(
        default=2_048, ge=300, description="tokens of bpe; of a small corpus a few thousand at most"
    )
    layers: PositiveInt = 4
    width: PositiveInt = Field(default=256, description="numbers of a hidden state")
    heads: PositiveInt = Field(default=4, description="of attention, among which width is shared")
    max_length: int = Field(
        default=256, ge=8, description="tokens of context; the corpus is cut into rows of these"
    )
    epochs: float = Field(default=20.0, gt=0, description="at most: training stops early")
    learning_rate: float = Field(
        default=1e-3, gt=0, description="weights of a small model from nothing bear a large one"
    )
    batch_size: PositiveInt = 8
    warmup_share: Fraction = 0.05
    weight_decay: float = Field(
        default=0.1, ge=0, description="as the GPT and Llama papers have it: here all is learned"
    )
    adam_beta2: float = Field(
        default=0.95, ge=0, lt=1, description="shorter memory: early gradients soon mean little"
    )
    save_steps: PositiveInt = Field(
        default=100, description="steps between checkpoints, perplexities and samples"
    )
    early_stopping: PositiveInt = Field(
        default=3,
        description="checkpoints in a row without a lower perplexity after which training stops; "
        "it ends with the best",
    )
    sample_prompt: str = Field(
        default="I ", min_length=1, description="how the texts begin that it writes as it learns"
    )
    sample_tokens: PositiveInt = 60

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> "OwnBaseSection":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width {self.width} has to be a multiple of twice the heads ({self.heads}): "
                "rotary positions turn pairs of numbers"
            )
        return self
