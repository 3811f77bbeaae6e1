"""The measures of a model, and what the candidate gains on each against another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from twin.evaluation.held_out import HeldOut
from twin.evaluation.meaning import cosine_similarities
from twin.evaluation.overlap import rouge_l
from twin.evaluation.perplexity import perplexity, perplexity_gain
from twin.evaluation.resampling import Statistic, difference, mean_of
from twin.evaluation.soundness import Soundness, examine
from twin.evaluation.style import AuthorStyle
from twin.evaluation.transcripts import Transcript
from twin.models.embedder import Embedder

PERPLEXITY = "perplexity"
ROUGE_L = "rouge_l"
STYLE = "style_similarity"
DELTA = "burrows_delta"
MEANING = "semantic_similarity"


@dataclass(frozen=True)
class Measure:
    """A measure as people read it."""

    name: str
    label: str
    better: Literal["higher", "lower"]


MEASURES = (
    Measure(PERPLEXITY, "Perplexity", "lower"),
    Measure(ROUGE_L, "ROUGE-L", "higher"),
    Measure(STYLE, "Style similarity", "higher"),
    Measure(DELTA, "Burrows' Delta", "lower"),
    Measure(MEANING, "Semantic similarity", "higher"),
)


@dataclass(frozen=True)
class Measured:
    """One model's transcript with a statistic for each of `MEASURES`."""

    transcript: Transcript
    statistics: Mapping[str, Statistic]
    soundness: Soundness


def measure(
    transcript: Transcript, held_out: HeldOut, style: AuthorStyle, embedder: Embedder
) -> Measured:
    """Everything that is measured of one model."""
    answers, passages = transcript.answers, held_out.passages
    return Measured(
        transcript=transcript,
        statistics={
            PERPLEXITY: perplexity(transcript.scored),
            ROUGE_L: mean_of(rouge_l(answers, passages)),
            STYLE: style.similarity(answers),
            DELTA: style.delta(answers),
            MEANING: mean_of(cosine_similarities(embedder, answers, passages)),
        },
        soundness=examine(answers, passages),
    )


def author_statistics(held_out: HeldOut, style: AuthorStyle) -> dict[str, Statistic]:
    """The author's own held-out passages on the measures of style: as good as it gets."""
    return {STYLE: style.similarity(held_out.passages), DELTA: style.delta(held_out.passages)}


def gains(candidate: Measured, other: Measured) -> dict[str, Statistic]:
    """By how much the candidate is better, measure by measure: positive is better for all.

    Relative for perplexity (0.1 is a fall by a tenth), a difference for the others.
    """
    mine, theirs = candidate.statistics, other.statistics
    made = {
        measure.name: difference(mine[measure.name], theirs[measure.name])
        if measure.better == "higher"
        else difference(theirs[measure.name], mine[measure.name])
        for measure in MEASURES
    }
    relative = perplexity_gain(candidate.transcript.scored, other.transcript.scored)
    return {**made, PERPLEXITY: relative}
