"""Sections of a recipe: what a candidate is measured by, and what it must show."""

from pydantic import Field, PositiveInt

from twin.recipes.section import Fraction, Section


class GateSection(Section):
    """What a candidate must show before it becomes champion."""

    min_perplexity_gain: float = Field(
        default=0.02,
        description="relative fall of perplexity against the base, at the interval's worse end",
    )
    max_perplexity_loss: float = Field(
        default=0.02,
        ge=0,
        description="relative rise of perplexity against the champion that is tolerated",
    )
    max_broken_share: Fraction = Field(
        default=0.25,
        description="share of answers that may be empty, or end in a loop, when written greedily "
        "(where small models loop most)",
    )
    max_rouge_loss: float = Field(
        default=0.02, description="ROUGE-L the candidate may lose, at the interval's worse end"
    )
    max_similarity_loss: float = 0.05
    min_recall: Fraction = Field(default=0.5, description="retrieval recall@k below this blocks")
    require_approval: bool = False


class EvaluationSection(Section):
    """What is measured on the test split."""

    max_samples: PositiveInt = 40
    max_new_tokens: PositiveInt = 96
    recall_k: PositiveInt = 5
    bootstrap_resamples: PositiveInt = 2_000
    seed: int = 13
    gate: GateSection = GateSection()
