"""Sections of a recipe: how chunks become training samples."""

import typing
from typing import Annotated

from pydantic import Field, PositiveInt

from twin.recipes.section import Fraction, Section
from twin.text.personal_data import PersonalDataKind


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
