"""Sections of a recipe: what a candidate is measured by, and what it must show."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.abilities import AbilitiesSection
from twin.recipes.places import RELATIVE, LocalPath
from twin.recipes.section import Fraction, RecipeName, Section

Primary = Literal[
    "perplexity",
    "answers_right",
    "rouge_l",
    "semantic_similarity",
    "authorship",
    "style_similarity",
]


class GateSection(Section):
    """What a candidate must show before it becomes champion."""

    primary: Primary = Field(
        default="perplexity",
        description="the one measure in which a candidate must gain to be promoted for it; the "
        "others must not lose more than is tolerated",
    )
    min_effect: float = Field(
        default=0.05,
        gt=0,
        description="gain in the primary measure that the test set should be able to show, with a "
        "chance of 80 %: relative for perplexity, else a difference",
    )
    min_perplexity_gain: float = Field(
        default=0.02,
        description="relative fall of perplexity against the base, at the interval's worse end",
    )
    max_perplexity_loss: float = Field(
        default=0.02,
        ge=0,
        description="relative rise of perplexity against the champion that is tolerated",
    )
    max_total_loss: float = Field(
        default=0.05,
        ge=0,
        description="of the primary measure, against the reference champion: what all promotions "
        "together may lose",
    )
    max_broken_share: Fraction = Field(
        default=0.25,
        description="share of answers that may be empty, or end in a loop",
    )
    max_copy_share: Fraction = Field(
        default=0.8,
        description="share of the answers' long sentences that may stand verbatim in the prompt "
        "or in the training text",
    )
    max_right_loss: float = Field(
        default=0.1, ge=0, description="share of right answers the candidate may lose"
    )
    max_rouge_loss: float = Field(
        default=0.02, description="ROUGE-L the candidate may lose, at the interval's worse end"
    )
    max_similarity_loss: float = Field(
        default=0.05, description="likeness in style, and in meaning, that it may lose"
    )
    max_win_loss: Fraction = Field(
        default=0.1,
        description="by how much the win rate over the champion, or the base, may be below one "
        "half, where evaluation.judge.decides",
    )
    min_faithfulness: Fraction = Field(
        default=0.0,
        description="share of the answers' sentences that the passages shown must support",
    )
    max_answer_seconds: float | None = Field(
        default=None,
        gt=0,
        description="median of the seconds that an answer takes on the machine that evaluates; the "
        "default sets no limit, since machines differ",
    )
    max_extracted: Fraction = Field(
        default=0.25,
        description="share of the training passages that it goes on with verbatim and the base "
        "does not",
    )
    max_canaries: Fraction = Field(
        default=0.0, description="share of the planted canaries that it gives away"
    )
    max_personal_data: Fraction = Field(
        default=0.05,
        description="share of answers with personal data that neither question nor passages hold",
    )
    max_authorship_loss: float = Field(
        default=0.1, ge=0, description="of the probability that the author wrote its answers"
    )
    max_authorship_gap: Fraction = Field(
        default=0.5,
        description="by which that probability may be less than for the author's own test "
        "passages, at the interval's better end; 1 switches the check off",
    )
    min_recall: Fraction = Field(default=0.5, description="retrieval recall@k below this blocks")
    max_forgetting: Fraction = Field(
        default=0.1,
        description="of the questions of evaluation.abilities, the share of right answers that "
        "may be lost against the base, at the interval's worse end; 1 switches the check off",
    )
    require_approval: bool = False

    @property
    def tolerances(self) -> dict[str, float]:
        """What may be lost of each measure that is judged, against the champion."""
        return {
            "perplexity": self.max_perplexity_loss,
            "answers_right": self.max_right_loss,
            "rouge_l": self.max_rouge_loss,
            "authorship": self.max_authorship_loss,
            "style_similarity": self.max_similarity_loss,
            "semantic_similarity": self.max_similarity_loss,
        }

    @model_validator(mode="after")
    def _total_is_the_most(self) -> Self:
        tolerance = self.tolerances[self.primary]
        if self.max_total_loss < tolerance:
            raise ValueError(
                f"max_total_loss {self.max_total_loss} is less than the {tolerance} that one "
                f"promotion may lose of {self.primary}: raise it, or lower the other"
            )
        return self


class JudgingSection(Section):
    """How the recipe's ``judge`` takes part in an evaluation, where there is one."""

    calibration: LocalPath | None = Field(
        default=None,
        description=f"people's verdicts on pairs of answers, as `twin evaluation pairs` asks for "
        f"them (JSON, {RELATIVE}): the judge's win rates are corrected by them",
    )
    decides: bool = Field(
        default=False,
        description="whether the corrected win rate is a check of the gate; a judge that does not "
        "answer, or is no better than guessing, then holds the candidate",
    )
    max_seconds: PositiveInt = Field(
        default=1_800, description="after which a judge is too slow; its replies are kept"
    )

    @model_validator(mode="after")
    def _decides_by_calibration(self) -> Self:
        if self.decides and self.calibration is None:
            raise ValueError(
                "decides needs calibration: a judge's word counts as far as people agree with it; "
                "ask them by twin evaluation pairs"
            )
        return self


class StyleSection(Section):
    """Whose texts the author's hand is told from. Without any, that is not measured."""

    packages: bool = Field(
        default=True,
        description="what the Python packages of the environment say of themselves, under MIT, "
        "BSD, Apache and like licences: technical prose by many hands, in English",
    )
    recipes: tuple[RecipeName, ...] = Field(
        default=(),
        description="recipes of other authors, whose newest sample sets are in the file store",
    )
    folder: LocalPath | None = Field(
        default=None,
        description="Markdown and text files by others, one a document; those of a folder in it "
        f"are one author's; {RELATIVE}",
    )


class MemorySection(Section):
    """How a candidate is searched for training text that it has learned by heart."""

    passages: int = Field(
        default=16,
        ge=0,
        description="training passages whose beginning it is given, evenly over documents; 0: none",
    )
    given_tokens: PositiveInt = Field(default=24, description="of a passage that it is given")
    continued_tokens: PositiveInt = Field(
        default=24, description="that it must go on with verbatim to count as knowing the passage"
    )


class CostSection(Section):
    """What answers cost, in any currency, so that versions can be compared by it."""

    machine_hour: float = Field(
        default=0.0, ge=0, description="an hour of the machine with its GPU, at full load"
    )
    prompt_tokens: float = Field(default=0.0, ge=0, description="a million tokens read")
    answer_tokens: float = Field(default=0.0, ge=0, description="a million tokens written")

    @property
    def is_set(self) -> bool:
        """Whether anything has a price."""
        return any((self.machine_hour, self.prompt_tokens, self.answer_tokens))


class EvaluationSection(Section):
    """What is measured on the test split."""

    max_samples: PositiveInt = 40
    max_new_tokens: PositiveInt | None = Field(
        default=None, description="of an answer, at most; the default: as many as serving writes"
    )
    recall_k: PositiveInt = 5
    seed: int = 13
    judge: JudgingSection = JudgingSection()
    style: StyleSection = StyleSection()
    cost: CostSection = CostSection()
    memory: MemorySection = MemorySection()
    abilities: AbilitiesSection = AbilitiesSection()
    gate: GateSection = GateSection()
