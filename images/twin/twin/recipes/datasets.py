"""Sections of a recipe: how chunks become training samples."""

import typing
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from twin.recipes.places import RELATIVE, LocalPath, ModelName
from twin.recipes.section import Fraction, Section, Slug
from twin.recipes.teacher import TeacherSection
from twin.text.personal_data import PersonalDataKind


class PersonalDataSection(Section):
    """What is replaced in training texts by a placeholder of its kind."""

    redact: bool = True
    kinds: tuple[PersonalDataKind, ...] = typing.get_args(PersonalDataKind)
    names: tuple[Annotated[str, Field(min_length=2)], ...] = Field(
        default=(), description="people who must not be named; the author's own name stays"
    )


class AuditSection(Section):
    """Limits of `twin datasets audit`; what passes one ends it with 65."""

    copies: Fraction = Field(
        default=0.5, description="share of answers that stand verbatim in their own prompt"
    )
    duplicates: Fraction = Field(default=0.01, description="share of samples that occur twice")
    empty: Fraction = Field(default=0.0, description="share of answers without a word")
    faults: int = Field(
        default=0,
        ge=0,
        description="rows of each kind that may be: leaks between splits, placeholders that "
        "nothing was filled into, pairs of equal texts, special tokens of a model family, answers "
        "that speak as an assistant",
    )
    personal_data: Fraction = Field(
        default=0.0,
        description="share of rows that hold an e-mail address, a phone number, a key, a card or "
        "an account number",
    )
    other_languages: Fraction = Field(
        default=1.0,
        description="share of answers in another language than most; the default lets any pass",
    )
    unsupported: Fraction = Field(
        default=1.0,
        description="share of sentences of answers that none of the passages shown supports; the "
        "default lets any pass; of the handbook's hand-written answers it is 0.07",
    )
    length_bias: float = Field(
        default=0.5,
        ge=0,
        le=0.5,
        description="how far the AUC of length alone may be from 0.5; the default lets any pass, "
        "0.1 is fair",
    )


class ClassifierGateSection(Section):
    """A classifier that samples must pass, such as one of quality."""

    name: Slug = Field(description="said of what it leaves out")
    model: ModelName = Field(
        min_length=1,
        description="folder of a transformers sequence classifier (`twin training classifier fit` "
        f"makes one); {RELATIVE}",
    )
    labels: tuple[str, ...] = Field(
        default=(),
        description="labels of the model by which a sample is left out, e.g. poor; unset: those "
        "that it was trained to meet",
    )
    threshold: Fraction | None = Field(
        default=None,
        description="probability of these labels together from which it is; unset: what its "
        "training has chosen, else 0.5",
    )
    reads: tuple[Literal["instruction", "answer"], ...] = Field(
        default=("instruction", "answer"), min_length=1, description="each by itself"
    )


class GatesSection(Section):
    """What a sample must pass; those that a person wrote pass all but the audit."""

    relevance: float = Field(
        default=0.03,
        ge=0,
        le=1,
        description="cosine of instruction and answer below which it is left out; 0: never, and "
        "no embedder is loaded for it. By the default 1 % of the handbook's samples go, and some "
        "fifth of those with another's answer; 0.1 takes 5 % and half",
    )
    toxicity: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="probability, by a linear model of English words, from which a sentence is "
        "offensive; 1: any passes. None of 16,000 sentences of the handbook and a blog reaches "
        "the default; the likeliest, at 0.90, calls a model stupid",
    )
    quality: int | None = Field(
        default=None,
        ge=1,
        le=5,
        description="marks from 1 to 5 that the recipe's judge has to give at least, for relevance "
        "and for quality; the default asks it for none",
    )
    classifiers: tuple[ClassifierGateSection, ...] = Field(
        default=(), description="models that each sample must pass; it needs torch"
    )
    evaluation_sets: tuple[LocalPath, ...] = Field(
        default=(),
        description="files of questions that models are measured by (JSON Lines or YAML with a "
        f"field question each): none is trained on; {RELATIVE}",
    )


class DatasetsSection(Section):
    """How chunks become training samples."""

    written: LocalPath | None = Field(
        default=None,
        description="questions with answers that a person wrote: a YAML or JSON Lines file, or "
        f"Label Studio's JSON export; {RELATIVE}",
    )
    withheld_share: Fraction = Field(
        default=0.05,
        description="share of the written questions trained on that are asked once more without "
        "the passages that answer them, so that the right answer is the refusal; with 0.15 the "
        "demo's small model refuses its own first question",
    )
    teacher: TeacherSection | None = Field(
        default=None,
        description="a language model that writes instructions, questions and plain texts to the "
        "passages trained on; the author's words stay the author's",
    )
    gates: GatesSection = GatesSection()
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
    copy_share: Fraction = Field(
        default=0.25,
        description="samples whose prompt shows their answer verbatim, at most this share of each "
        "split: more of them and a small model learns to copy; others are asked from memory",
    )
    samples_per_passage: PositiveInt = Field(
        default=2, description="ways in which each passage is asked for"
    )
    max_samples: PositiveInt = Field(
        default=2_000, description="those that a person wrote are kept before any other"
    )
    personal_data: PersonalDataSection = PersonalDataSection()
    split_seed: int = Field(
        default=13,
        description="draws the split of each document, which then stays where it is; another seed "
        "deals them all anew, and models of before were trained on what is held out after",
    )
    seed: int = 13
