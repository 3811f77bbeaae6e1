"""Sections of a recipe: how documents become an index."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.embedder_tuning import EmbedderTuningSection
from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.reranker import RerankerSection
from twin.recipes.section import Fraction, Section


class BoilerplateSection(Section):
    """Which blocks (footers, invitations to subscribe) are left out of every document."""

    enabled: bool = True
    min_documents: Annotated[int, Field(ge=2)] = Field(
        default=3, description="documents of one source that hold the block word for word"
    )
    min_share: Fraction = Field(
        default=0.3, description="and their share of the source's documents"
    )
    always_documents: Annotated[int, Field(ge=2)] = Field(
        default=20,
        description="or so many documents whatever their share: an invitation to subscribe that "
        "was reworded every other year",
    )


class DuplicatesSection(Section):
    """Which documents and passages are indexed once: in the earliest published document."""

    enabled: bool = True
    min_likeness: Annotated[float, Field(ge=0.5, le=1)] = Field(
        default=0.85,
        description="share of runs of five words in common that makes a duplicate; 1: equal texts",
    )
    passage_words: int = Field(
        default=40,
        ge=0,
        description="a block of so many words is kept in one document only; 0: in all",
    )


class QualitySection(Section):
    """Passages that are not indexed; the defaults let all pass."""

    min_words: int = Field(default=0, ge=0)
    max_symbol_share: Fraction = Field(default=1.0, description="of characters without blanks")
    min_worded_share: Fraction = Field(
        default=0.0, description="of blank-separated runs, those with a letter"
    )
    max_repeated_share: Fraction = Field(default=1.0, description="of lines that stood before")


class ChunkingSection(Section):
    """What is otherwise for documents of one kind."""

    chunk_tokens: Annotated[int, Field(ge=32)] | None = None
    overlap_tokens: Annotated[int, Field(ge=0)] | None = None


class FeaturesSection(Section):
    """How documents become chunks, and chunks vectors."""

    embedder: ModelName = Field(
        default="all-minilm-l6-v2:int8",
        description=f"name, folder ({RELATIVE}), hub id, or tuned/RECIPE/VERSION of `twin features "
        "finetune-embedder`; with :int8 it runs on processors in "
        "8-bit integers, which finds as much in less time; without, on a GPU where there is one",
    )
    chunk_tokens: int = Field(
        default=200,
        ge=32,
        description="budget of a chunk with its title and headings, in embedder tokens",
    )
    overlap_tokens: int = Field(
        default=0, ge=0, description="sentences of the chunk before, repeated in a section's next"
    )
    kinds: dict[str, ChunkingSection] = Field(
        default_factory=dict, description="other settings for post, article, code, transcript, …"
    )
    emoji: Literal["keep", "drop"] = "keep"
    boilerplate: BoilerplateSection = BoilerplateSection()
    duplicates: DuplicatesSection = DuplicatesSection()
    quality: QualitySection = QualitySection()
    figures: bool = Field(
        default=False,
        description="index each picture's description and caption as a chunk of its own too, of "
        "kind figure",
    )
    batch_size: PositiveInt = 32
    reranker: RerankerSection = RerankerSection()
    tuning: EmbedderTuningSection = EmbedderTuningSection()
    workers: PositiveInt = Field(
        default=1, description="processes that chunk and embed, by Ray Data; 1: this one"
    )

    @model_validator(mode="after")
    def _overlap_leaves_room(self) -> "FeaturesSection":
        for kind in (None, *self.kinds):
            chunking = self.chunking(kind)
            if 2 * (chunking.overlap_tokens or 0) > (chunking.chunk_tokens or 0):
                raise ValueError("overlap_tokens must be at most half of chunk_tokens")
        return self

    def chunking(self, kind: str | None) -> ChunkingSection:
        """The settings for documents of a kind, each given."""
        own = self.kinds.get(kind or "", ChunkingSection())
        return ChunkingSection(
            chunk_tokens=self.chunk_tokens if own.chunk_tokens is None else own.chunk_tokens,
            overlap_tokens=(
                self.overlap_tokens if own.overlap_tokens is None else own.overlap_tokens
            ),
        )

    @property
    def cut_otherwise(self) -> str:
        """Digest of what shapes chunks besides budget and embedder; "" if all is default."""
        own = {"embedder", "chunk_tokens", "batch_size", "workers", "reranker", "tuning"}
        data = self.model_dump(mode="json", exclude=own, exclude_defaults=True)
        if not data:
            return ""
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
