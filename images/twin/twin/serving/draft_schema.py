"""What callers send to ``/v1/drafts``."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, Field, model_validator

from twin.domain.answer import Answer, CheckedSentence, Passage
from twin.domain.draft import (
    LONGEST_INSTRUCTION,
    LONGEST_NOTES,
    LONGEST_POINT,
    MOST_POINTS,
    Draft,
    DraftKind,
    DraftTask,
    EarlierSection,
    Length,
)
from twin.domain.draft_comparison import Label, Preferred
from twin.rag.prompt_drafts import request_in_words
from twin.rag.query import Query
from twin.serving.schema import SEEDS, Drawing, FilterRequest, Given, Text, is_not_blank

Model = Annotated[
    Annotated[Text, Field(max_length=200)] | None,
    Field(description="may be left out while one model is in service"),
]
ARMS = 2
Said = Annotated[Text, AfterValidator(is_not_blank)]


class Drafting(Drawing):
    """How a draft is written, or written again; what is unset comes from the recipe."""

    max_tokens: int | None = Field(
        default=None, ge=1, description="of each section, within the recipe's limit of an answer"
    )
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)
    stream: bool = Field(
        default=False,
        description="server-sent events: outline, each section with its sources and text, draft",
    )

    def drawn(self) -> dict[str, Any]:
        """As the fields of a `Query`."""
        return {"max_new_tokens": self.max_tokens, "seed": self.seed, **super().overrides()}


class DraftWish(Given):
    """A topic, and how to write about it."""

    topic: Said = Field(description="what to write about, in a few words or sentences")
    kind: DraftKind = DraftKind.POST
    length: Length = "medium"
    language: Text = Field(
        default="", max_length=40, description="by its name, as in German; unset: the model's way"
    )
    notes: Text = Field(
        default="",
        max_length=LONGEST_NOTES,
        description="what the draft is to say beside what the author has written; the items of a "
        "list are its points",
    )
    outline: list[Annotated[Said, Field(max_length=LONGEST_POINT)]] = Field(
        default=[], max_length=MOST_POINTS, description="points, one section each"
    )
    filter: FilterRequest | None = Field(default=None, description="which texts are searched")

    def of(self, drawn: dict[str, Any]) -> Query:
        """As the chain takes it, to be drawn as these fields of a `Query` say."""
        task = DraftTask(
            topic=self.topic,
            kind=self.kind,
            length=self.length,
            language=self.language.strip() or None,
            notes=self.notes,
            outline=tuple(self.outline),
        )
        return Query(question=request_in_words(task), filter=self.filter, draft=task, **drawn)


class DraftRequest(Drafting, DraftWish):
    """``POST /v1/drafts``: a topic, and how to write about it."""

    model: Model = None

    def query(self) -> Query:
        """As the chain takes it."""
        return self.of(self.drawn())


class ArmRequest(Drawing):
    """What writes one of two drafts, and how; what is unset comes from its recipe."""

    model: Model = None
    seed: int | None = Field(default=None, ge=-SEEDS, lt=SEEDS)

    def drawn(self) -> dict[str, Any]:
        """As the fields of a `Query`."""
        return {"seed": self.seed, **super().overrides()}


class ComparisonRequest(DraftWish):
    """``POST /v1/drafts/comparisons``: a topic, and the two that write about it."""

    arms: list[ArmRequest] = Field(
        description="two that differ: in model, seed or another setting",
        json_schema_extra={"minItems": ARMS, "maxItems": ARMS},
    )
    max_tokens: int | None = Field(default=None, ge=1, description="of each section, of both")

    @model_validator(mode="after")
    def _two_arms_differ(self) -> Self:
        if len(self.arms) != ARMS:
            raise ValueError(f"arms: there must be {ARMS}, not {len(self.arms)}")
        if self.arms[0] == self.arms[1]:
            raise ValueError("arms: both are the same, so that there is nothing to compare")
        return self

    def queries(self) -> list[Query]:
        """One for each arm, as the chain takes it."""
        return [self.of({**arm.drawn(), "max_new_tokens": self.max_tokens}) for arm in self.arms]


class VoteRequest(Given):
    """``POST /v1/drafts/comparisons/{id}/feedback``: which draft is better."""

    preferred: Preferred


class BlindDraft(BaseModel):
    """A draft without what would tell who wrote it."""

    label: Label
    answer: str = Field(description="its text, as Markdown")
    sources: tuple[Passage, ...]
    sentences: tuple[CheckedSentence, ...]
    refused: bool
    draft: Draft | None


class BlindComparison(BaseModel):
    """Two drafts of one topic, in an order that was drawn."""

    id: str
    drafts: tuple[BlindDraft, BlindDraft]


class RevisionRequest(Drafting):
    """``POST /v1/drafts/{id}/revisions``: how the draft is to change."""

    instruction: Said = Field(
        max_length=LONGEST_INSTRUCTION, description="as in: shorter, and name the cost"
    )
    section: int | None = Field(
        default=None, ge=1, description="the section that changes; unset: every one"
    )

    def query(self, answer: Answer) -> Query:
        """As the chain takes it.

        Args:
            answer: the draft that is revised; it has sections.
        """
        draft = answer.draft
        assert draft is not None  # noqa: S101 - the route looked
        task = DraftTask(
            topic=draft.topic,
            kind=draft.kind,
            length=draft.length,
            language=draft.language,
            notes=draft.notes,
            earlier=tuple(
                EarlierSection(heading=each.heading, text=each.text) for each in draft.sections
            ),
            instruction=self.instruction,
            section=self.section,
        )
        found = FilterRequest.model_validate(draft.filter) if draft.filter else None
        return Query(question=request_in_words(task), filter=found, draft=task, **self.drawn())
