"""The section `serving.guardrails:` of a recipe: what is kept out of prompts and answers."""

from typing import Literal

from pydantic import Field, model_validator

from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section, Slug

#: Texts that are looked at: what a caller sends, what is retrieved.
Place = Literal["question", "passage"]
#: Of the kinds of personal data those that rules tell in a single answer.
RemovedKind = Literal["SECRET_KEY", "CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS", "PHONE_NUMBER"]


class ClassifierSection(Section):
    """A model that judges texts beside the rules.

    Only weights in safetensors are read. Nothing is fetched.
    """

    name: Slug = Field(description="in metrics and traces")
    model: ModelName = Field(
        min_length=1,
        description="folder of a transformers sequence classifier (`twin training classifier fit` "
        "makes one), or of a head over the recipe's embedder that `twin rag train-guardrail` has "
        f"made ({RELATIVE})",
    )
    labels: tuple[str, ...] = Field(
        default=(),
        description="labels of the model that count as a hit, e.g. INJECTION; unset: those that it "
        "was trained to meet",
    )
    threshold: Fraction | None = Field(
        default=None,
        description="probability of these labels together from which a text is a hit; unset: what "
        "its training has chosen, else 0.5",
    )
    places: tuple[Place, ...] = Field(default=("question", "passage"), min_length=1)
    action: Literal["refuse", "mark"] = Field(
        default="refuse", description="refuse a question and leave out a passage, or mark them only"
    )


class GuardrailsSection(Section):
    """What is kept out of prompts and answers, by rules always and by models where named."""

    injection: Literal["refuse", "mark"] = Field(
        default="refuse",
        description="what is done with a question, a system text or a schema that gives the model "
        "orders: answered with `refusal`, or marked and answered. An earlier turn that does so is "
        "left out of the prompt, or marked",
    )
    passages: Literal["cut", "leave_out", "mark"] = Field(
        default="cut",
        description="what is done with retrieved text that gives the model orders: the sentences "
        "that do so are cut, the passage is left out, or it is marked and shown. A title that does "
        "so is never shown unless it is only marked",
    )
    toxicity: Literal["refuse", "mark"] = Field(
        default="mark",
        description="what is done with an abusive question; abuse in an answer is always removed",
    )
    refused_topics: tuple[str, ...] = Field(
        default=(),
        max_length=200,
        description="words and phrases; a question that holds one is answered with `refusal`. "
        "What the texts say nothing of is refused by retrieval.min_score",
    )
    refusal: str = Field(
        default="I only answer questions about what I have written.",
        min_length=1,
        max_length=500,
    )
    removed: tuple[RemovedKind, ...] = Field(
        default=("SECRET_KEY", "CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS", "PHONE_NUMBER"),
        description="kinds that are removed from answers; of e-mail addresses and phone numbers "
        "those that neither the question nor a source holds. Keys are removed from passages before "
        "a model reads them",
    )
    classifiers: tuple[ClassifierSection, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> "GuardrailsSection":
        names = [each.name for each in self.classifiers]
        if len(set(names)) < len(names):
            raise ValueError("classifiers: each needs a name of its own")
        return self
