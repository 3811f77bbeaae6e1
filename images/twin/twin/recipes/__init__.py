"""Recipes: one YAML file per twin with its author, its sources and the knobs of every stage.

A recipe is checked when it is loaded: an unknown key, a missing one or a value out of range is
refused in one line that names file, key and what is allowed.
"""

import difflib
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, PositiveInt, ValidationError, model_validator

from twin.domain.errors import BadDataError
from twin.domain.personal_data import PersonalDataKind
from twin.recipes.retrieval import RetrievalSection
from twin.recipes.section import Fraction, Section, Slug
from twin.recipes.sources import (
    SOURCE_KINDS,
    BucketSource,
    FolderSource,
    GithubSource,
    LinkedInExportSource,
    MediumSource,
    SiteSource,
    Source,
    SubstackSource,
    WarehouseDumpSource,
    WebSource,
)

__all__ = [
    "SOURCE_KINDS",
    "AuthorSection",
    "BucketSource",
    "FolderSource",
    "GithubSource",
    "LinkedInExportSource",
    "MediumSource",
    "Recipe",
    "Section",
    "SiteSource",
    "Source",
    "SubstackSource",
    "WarehouseDumpSource",
    "WebSource",
    "find_recipe",
    "load_recipe",
]


class AuthorSection(Section):
    """Whose writing this is."""

    id: Slug
    name: str = Field(min_length=1)
    aliases: tuple[str, ...] = Field(
        default=(), description="other names and handles that the author's texts are signed with"
    )


class RightsSection(Section):
    """On what ground the texts may be kept and trained on; recorded with every document."""

    licence: str | None = Field(
        default=None, description="URL or SPDX name, for pages that name none of their own"
    )
    consent: str | None = Field(
        default=None, description='e.g. "the author\'s own texts, agreed by mail of 2026-01-05"'
    )
    honour_reservations: bool = Field(
        default=True,
        description="leave out pages whose publisher reserves them (noai, noindex, TDM "
        "reservation); false only if the consent covers them",
    )


class CrawlSection(Section):
    """How politely and how far to crawl."""

    max_pages: PositiveInt = Field(
        default=5_000,
        description="of a source in one crawl; a file, post or item of a dump is a page as well",
    )
    max_page_bytes: PositiveInt = Field(default=10_000_000, description="a larger page is refused")
    min_words: int = Field(
        default=50,
        ge=0,
        description="a shorter page is no article and goes to quarantine; of a post ten words are "
        "enough, of a source file three lines",
    )
    keep_links: bool = Field(
        default=False,
        description="keep links and images with their addresses in the stored text; the model is "
        "trained on that text, so it then learns to write addresses",
    )
    max_bytes: PositiveInt = Field(
        default=2_000_000_000,
        description="what a source may send in one crawl, pages and all; of files on "
        "this machine, what is read",
    )
    max_seconds: PositiveInt = Field(
        default=6 * 3600, description="how long one crawl of a source may fetch or read"
    )
    download_timeout_seconds: PositiveInt = 30
    retries: int = Field(default=3, ge=0, description="of a request that failed but may not again")
    backoff_seconds: float = Field(
        default=1.0, ge=0, description="before the first retry; doubles each time"
    )
    max_wait_seconds: PositiveInt = Field(
        default=120,
        description="the longest a host may ask to wait (Retry-After, Crawl-delay) and be waited "
        "for; one that asks for more is left for the next crawl",
    )
    delay_seconds: float = Field(default=0.5, ge=0, description="AutoThrottle's first delay")
    concurrency_per_host: PositiveInt = 2
    user_agent: str | None = Field(
        default=None,
        min_length=1,
        description="how the crawl names itself, with a way to reach you; unset: this program's "
        "name and TWIN_CONTACT",
    )
    obey_robots: bool = True
    gone_after: PositiveInt = Field(
        default=3,
        description="crawls in a row that must miss a page (404, or not in a complete listing) "
        "before its document is gone; 410 and deleted files count at once",
    )
    snapshots: bool = Field(default=True, description="keep raw pages as WARC files, for replay")
    snapshot_crawls: PositiveInt | None = Field(
        default=None,
        description="newest crawls of a source of which all raw pages are kept; of older ones only "
        "what a replay needs to end with the same documents: the newest of each page. Not given: "
        "all of all crawls",
    )
    max_failed_share: Fraction = Field(
        default=0.2, description="a crawl with a larger share of failed pages fails"
    )


class BoilerplateSection(Section):
    """Which blocks (footers, invitations to subscribe) are left out of every document."""

    enabled: bool = True
    min_documents: Annotated[int, Field(ge=2)] = Field(
        default=3, description="documents of one source that hold the block word for word"
    )
    min_share: Fraction = Field(
        default=0.3, description="and their share of the source's documents"
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

    embedder: str = Field(
        default="all-minilm-l6-v2:int8",
        description="name, folder or hub id; with :int8 it runs on processors in 8-bit integers, "
        "which finds as much in less time; without, on a GPU where there is one",
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
    batch_size: PositiveInt = 32
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
        own = {"embedder", "chunk_tokens", "batch_size", "workers"}
        data = self.model_dump(mode="json", exclude=own, exclude_defaults=True)
        if not data:
            return ""
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]


class PersonalDataSection(Section):
    """What is replaced in training texts by a placeholder of its kind."""

    redact: bool = True
    kinds: tuple[PersonalDataKind, ...] = typing.get_args(PersonalDataKind)
    names: tuple[Annotated[str, Field(min_length=2)], ...] = Field(
        default=(), description="people who must not be named; the author's own name stays"
    )


class DatasetsSection(Section):
    """How chunks become training samples."""

    validation_share: Fraction = 0.1
    test_share: Fraction = 0.2
    min_answer_words: PositiveInt = 30
    max_answer_words: PositiveInt = 200
    grounded_share: Fraction = Field(
        default=0.5, description="share of samples whose prompt shows passages, as serving does"
    )
    context_passages: PositiveInt = Field(
        default=2, description="passages shown in a grounded sample, the right one included"
    )
    samples_per_passage: PositiveInt = Field(
        default=2, description="ways in which each passage is asked for"
    )
    max_samples: PositiveInt = 2_000
    max_preference_pairs: PositiveInt = 200
    rejected_max_tokens: PositiveInt = 96
    personal_data: PersonalDataSection = PersonalDataSection()
    seed: int = 13


class LoraSection(Section):
    """Size and place of the adapter."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    dropout: Fraction = 0.0


class SftSection(Section):
    """Supervised fine-tuning."""

    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1, description="-1: by epochs")
    learning_rate: float = Field(default=2e-4, gt=0)
    batch_size: PositiveInt = 4
    gradient_accumulation: PositiveInt = 1
    max_length: PositiveInt = Field(default=768, description="tokens; longer samples are refused")
    warmup_share: Fraction = 0.05
    save_steps: PositiveInt = 20
    max_validation_samples: PositiveInt = Field(
        default=200, description="of the validation split; its loss is measured after training"
    )


class DpoSection(Section):
    """Direct preference optimisation."""

    enabled: bool = True
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int = Field(default=-1, ge=-1)
    learning_rate: float = Field(default=5e-6, gt=0)
    batch_size: PositiveInt = 2
    gradient_accumulation: PositiveInt = 1
    beta: float = Field(default=0.1, gt=0)
    max_length: PositiveInt = 768
    save_steps: PositiveInt = 20


class TrainingSection(Section):
    """How the base model becomes the twin."""

    base_model: str = Field(
        default="gemma3-270m",
        description="a packaged model, a folder or a hub id; of Gemma's format",
    )
    seed: int = 13
    lora: LoraSection = LoraSection()
    sft: SftSection = SftSection()
    dpo: DpoSection = DpoSection()


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


class ServingSection(Section):
    """How the twin answers."""

    replicas: PositiveInt = 2
    max_question_characters: PositiveInt = 4_000
    max_new_tokens: PositiveInt = 192
    max_context_tokens: PositiveInt = Field(
        default=800, description="budget of the passages in the prompt"
    )
    passages: PositiveInt = Field(default=3, description="passages retrieved for an answer")
    temperature: float = Field(default=0.3, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.1, gt=0)
    cpus_per_replica: float = Field(default=0.5, ge=0)
    gpus_per_replica: float = Field(default=0, ge=0)
    answers_at_once: PositiveInt = Field(
        default=1, description="generations that a replica runs at the same time"
    )
    max_queued_requests: PositiveInt = Field(
        default=16, description="requests that wait for a replica; one more is told to retry"
    )
    max_history_tokens: int = Field(
        default=600, ge=0, description="budget of the conversation's earlier turns in the prompt"
    )
    answer_timeout_seconds: PositiveInt = Field(
        default=120, description="a longer generation is cut short, which bounds every shutdown"
    )
    probe_question: str = Field(
        default="What do you write about?", description="asked of a version before it gets traffic"
    )
    traffic_steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(10, 50, 100), description="shares of traffic, in percent, that a rollout goes by"
    )
    step_seconds: float = Field(
        default=2.0, ge=0, description="how long each share is watched before the next"
    )
    start_timeout_seconds: PositiveInt = 300

    @model_validator(mode="after")
    def _traffic_rises_to_all(self) -> "ServingSection":
        if not self.traffic_steps or self.traffic_steps[-1] != 100:
            raise ValueError("traffic_steps must end with 100")
        if list(self.traffic_steps) != sorted(set(self.traffic_steps)):
            raise ValueError("traffic_steps must rise")
        return self


class Recipe(Section):
    """One twin: its author, its sources, and the knobs of every stage."""

    name: Slug
    author: AuthorSection
    sources: tuple[Source, ...] = Field(min_length=1)
    rights: RightsSection = RightsSection()
    crawl: CrawlSection = CrawlSection()
    features: FeaturesSection = FeaturesSection()
    datasets: DatasetsSection = DatasetsSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    retrieval: RetrievalSection = RetrievalSection()
    serving: ServingSection = ServingSection()

    @model_validator(mode="after")
    def _source_names_differ(self) -> "Recipe":
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        return self

    @model_validator(mode="after")
    def _reservations_are_overruled_by_consent_only(self) -> "Recipe":
        if not self.rights.honour_reservations and not self.rights.consent:
            raise ValueError("rights.honour_reservations = false needs rights.consent to say why")
        return self

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return f"twin-{self.name}"

    def digest(self, *sections: str) -> str:
        """SHA-256 (first 12 hex digits) of the named sections, or of the whole recipe."""
        data = self.model_dump(mode="json", include=set(sections) or None)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def find_recipe(name_or_path: str, folder: Path) -> Path:
    """The file of a recipe given by path, or by name within ``folder``.

    Raises:
        BadDataError: no such file; the message lists the recipes there are.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        return path
    path = folder / f"{name_or_path}.yaml"
    if path.is_file():
        return path
    known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml"))) or "none"
    raise BadDataError(f"no recipe {name_or_path!r}: give a file, or one of {folder}/: {known}")


def load_recipe(name_or_path: str, folder: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        BadDataError: in one line: file, key, and what is allowed.
    """
    path = find_recipe(name_or_path, folder)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadDataError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise BadDataError(f"{path}: a recipe is a mapping with the keys {_keys_of(Recipe)}")
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise BadDataError(f"{path}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """The first three faults; a list that is short only for its faulty items is not one."""
    faults = error.errors()
    inner = {fault["loc"][:1] for fault in faults if len(fault["loc"]) > 1}
    shown = [
        fault for fault in faults if fault["type"] != "too_short" or fault["loc"][:1] not in inner
    ]
    return "; ".join(_explain_one(fault) for fault in shown[:3])


def _explain_one(item: Any) -> str:
    location = [part for part in item["loc"] if part not in SOURCE_KINDS]
    key = ".".join(str(part) for part in location) or "recipe"
    if item["type"] == "extra_forbidden":
        section = _section_at(item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), section.model_fields, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown key {key!r}: {hint}allowed are {_keys_of(section)}"
    if item["type"] == "missing":
        return f"missing key {key!r}"
    message = item["msg"].removeprefix("Value error, ").replace("Input should", "should")
    return f"{key} = {item['input']!r:.60}: {message}" if location else message


def _keys_of(section: type[BaseModel]) -> str:
    return ", ".join(section.model_fields)


def _section_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """The model that owns ``location``; walks unions by the discriminator pydantic reports."""
    section: type[BaseModel] = Recipe
    for part in location:
        if part in section.model_fields:
            section = _model_in(section.model_fields[str(part)].annotation) or section
        else:
            section = SOURCE_KINDS.get(str(part), section)
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in {tuple, dict, types.UnionType, Annotated}:
        for argument in typing.get_args(annotation):
            if found := _model_in(argument):
                return found
    return None
