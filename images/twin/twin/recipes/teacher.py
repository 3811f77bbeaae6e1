"""Section `datasets.teacher` of a recipe: a model that writes parts of samples, and its budget."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.engines import TeacherEndpointSection
from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section


class TeacherKindsSection(Section):
    """Of which share of the passages trained on the teacher writes each kind of sample."""

    instruction: Fraction = Field(
        default=1.0, description="instructions whose answer is the passage, verbatim"
    )
    question: Fraction = Field(
        default=0.5, description="questions with answers in few words that the passage supports"
    )
    rewrite: Fraction = Field(
        default=0.25,
        description="a plain text that says the same; the answer is the passage, verbatim",
    )


class QuestionExample(Section):
    """A question with its answer."""

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class TeacherExamplesSection(Section):
    """What the teacher is shown as well done."""

    instruction: tuple[str, ...] = ()
    question: tuple[QuestionExample, ...] = ()
    rewrite: tuple[str, ...] = ()


class PricesSection(Section):
    """What a million tokens cost, in any currency."""

    prompt: float = Field(ge=0, description="of a million tokens read")
    answer: float = Field(ge=0, description="of a million tokens written")


class BudgetSection(Section):
    """What one version of the samples may cost; replies of earlier versions cost nothing."""

    tokens: PositiveInt = Field(default=2_000_000, description="read and written")
    money: float | None = Field(
        default=None, gt=0, description="in the currency of the prices; needs them"
    )


class TeacherSection(Section):
    """A language model that writes parts of samples: an endpoint, or one that is loaded here."""

    endpoint: TeacherEndpointSection | None = Field(
        default=None, description="any OpenAI-compatible endpoint; key in TWIN_TEACHER_API_KEY"
    )
    local: ModelName | None = Field(
        default=None,
        description=f"instead: a packaged model, a folder ({RELATIVE}) or a hub id, loaded by "
        "transformers, whose replies no schema can bind",
    )
    kinds: TeacherKindsSection = TeacherKindsSection()
    per_passage: int = Field(
        default=3, ge=1, le=10, description="instructions, or questions, asked for of a passage"
    )
    examples: TeacherExamplesSection = TeacherExamplesSection()
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: PositiveInt = Field(default=1_024, description="of a reply")
    prices: PricesSection | None = None
    budget: BudgetSection = BudgetSection()

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if (self.endpoint is None) == (self.local is None):
            raise ValueError("a teacher is either an endpoint or local: name one of the two")
        return self

    @model_validator(mode="after")
    def _money_is_counted_by_prices(self) -> Self:
        if self.budget.money is not None and self.prices is None:
            raise ValueError("budget.money needs prices: what a million tokens cost")
        return self

    @property
    def model(self) -> str:
        """Its name."""
        return self.endpoint.model if self.endpoint else str(self.local)
