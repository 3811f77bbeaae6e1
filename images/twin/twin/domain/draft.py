"""Drafts: what is asked of a twin that writes in its author's manner, and what becomes of it.

A draft is an `twin.domain.answer.Answer` whose text is the whole draft as Markdown: it is kept,
judged, exported and forgotten like any other answer. This says how it is made up.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_POINTS = 12
LONGEST_POINT = 200
LONGEST_NOTES = 20_000
LONGEST_INSTRUCTION = 2_000

Length = Literal["short", "medium", "long"]
Point = Annotated[str, Field(min_length=1, max_length=LONGEST_POINT)]
Difference = Literal["number", "negation", "judged"]


class DraftKind(StrEnum):
    """What is written."""

    POST = "post"
    """Paragraphs without headings."""
    THREAD = "thread"
    """Numbered posts of at most 280 characters."""
    SECTION = "section"
    """A section of an article, with a heading for each of its points."""
    NEWSLETTER = "newsletter"
    """An issue with a title, each of its points under a heading."""
    CODE = "code"
    """Code in fenced blocks with a word on each, from the author's own code where there is any."""


class EarlierSection(BaseModel):
    """A section of the draft that is revised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    heading: str
    text: str


class DraftTask(BaseModel):
    """What to write.

    Attributes:
        outline: the points to write about, one section each; empty: the twin finds them.
        earlier: sections of the draft that is revised, in place of an outline.
        instruction: how they are to change.
        section: number of the one that changes, from 1; None: all of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field(min_length=1)
    kind: DraftKind = DraftKind.POST
    length: Length = "medium"
    language: str | None = None
    notes: str = Field(default="", max_length=LONGEST_NOTES)
    outline: tuple[Point, ...] = Field(default=(), max_length=MOST_POINTS)
    earlier: tuple[EarlierSection, ...] = ()
    instruction: str = Field(default="", max_length=LONGEST_INSTRUCTION)
    section: int | None = Field(default=None, ge=1)


class Place(BaseModel):
    """A sentence of the draft, in characters (Unicode code points)."""

    model_config = ConfigDict(frozen=True)

    start: int = Field(ge=0)
    end: int = Field(ge=0)


class DraftSection(Place):
    """A section of the draft: where its text stands, without heading and number."""

    heading: str
    text: str
    sources: tuple[int, ...] = Field(
        default=(), description="numbers of the sources that it was written from"
    )
    cut: bool = Field(
        default=False, description="its length is limited: it ends with its last whole sentence"
    )


class CopiedSentence(Place):
    """A sentence that stands in the author's texts in much the same words."""

    document_id: str
    url: str
    title: str


class Contradiction(Place):
    """A sentence of an author's text that speaks against another one.

    Between sources it is the older one, which was not written from; ``start`` and ``end`` are 0.
    """

    quote: str = Field(description="the sentence of the author's text")
    document_id: str
    url: str
    title: str
    published: datetime | None = Field(description="of that text; null where it is not known")
    difference: Difference = Field(
        description="number or negation: the two sentences differ in it; judged: by a judge"
    )
    latest: bool = Field(
        description="true: no later text of the author's is known to say what the draft says, so "
        "that the draft may hold an older view; false: a later one says it (`latest_quote`)"
    )
    latest_quote: str = Field(default="", description="the author's later sentence, where known")
    latest_url: str = ""
    latest_document_id: str = ""


class Draft(BaseModel):
    """How a draft is made up, and what was found of it."""

    model_config = ConfigDict(frozen=True)

    topic: str
    kind: DraftKind
    length: Length
    language: str | None = Field(description="that was asked for; null: the model's own choice")
    notes: str
    filter: dict[str, Any] | None = Field(default=None, description="which texts were searched")
    title: str
    outline: tuple[str, ...] = Field(description="a heading for each section")
    sections: tuple[DraftSection, ...]
    copied_share: float = Field(
        ge=0, le=1, description="share of its words in sentences that stand in the author's texts"
    )
    copied: tuple[CopiedSentence, ...] = ()
    from_notes: tuple[Place, ...] = Field(
        default=(), description="sentences that the notes support, and no source"
    )
    contradictions: tuple[Contradiction, ...] = ()
    remarks: tuple[str, ...] = Field(
        default=(), description="what whoever reads the draft should know of how it was made"
    )
    instruction: str = Field(default="", description="how the draft before it was to change")

    @property
    def documents(self) -> frozenset[str]:
        """Ids of the documents whose words it holds, beside those of the answer's sources."""
        copied = {each.document_id for each in self.copied}
        against = {each.document_id for each in self.contradictions}
        later = {each.latest_document_id for each in self.contradictions}
        return frozenset((copied | against | later) - {""})
