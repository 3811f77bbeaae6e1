"""The measures of a model, and what the candidate gains on each against another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from twin.domain.sample import InstructSample, is_known_right
from twin.domain.written import QuestionKind
from twin.evaluation.answers import (
    copy_share,
    distinct,
    distinct_pairs,
    mean_length,
    own_words,
    personal_data_share,
    refusal_share,
    repetition,
    self_bleu,
)
from twin.evaluation.authorship import TOGETHER, Authorship
from twin.evaluation.grounding import (
    DONT_KNOW,
    FAITHFULNESS,
    PRECISION,
    RECALL,
    RELEVANCE,
    grounding,
)
from twin.evaluation.held_out import HeldOut
from twin.evaluation.meaning import cosine_similarities
from twin.evaluation.overlap import bleu, chrf, rouge_l
from twin.evaluation.perplexity import perplexity, perplexity_gain
from twin.evaluation.resampling import Statistic, difference, mean_of, share_of
from twin.evaluation.soundness import Soundness, examine
from twin.evaluation.style import AuthorStyle
from twin.evaluation.transcripts import Transcript
from twin.models.embedder import Embedder
from twin.rag.support import SupportVerifier
from twin.text.personal_data import PersonalDataDetector

PERPLEXITY = "perplexity"
RIGHT = "answers_right"
ROUGE_L = "rouge_l"
BLEU = "bleu"
CHRF = "chrf"
AUTHORSHIP = TOGETHER
STYLE = "style_similarity"
DELTA = "burrows_delta"
MEANING = "semantic_similarity"
COPIES = "copy_share"
REFUSALS = "refusal_share"
LENGTH = "answer_words"
DISTINCT_WORDS = "distinct_1"
DISTINCT = "distinct_2"
DISTINCT_TRIPLES = "distinct_3"
SELF_BLEU = "self_bleu"
REPETITION = "repetition"
PERSONAL_DATA = "personal_data"


@dataclass(frozen=True)
class Measure:
    """A measure as people read it; of one that tells what a model does, neither end is better."""

    name: str
    label: str
    better: Literal["higher", "lower", "neither"]


MEASURES = (
    Measure(PERPLEXITY, "Perplexity", "lower"),
    Measure(RIGHT, "Answers right", "higher"),
    Measure(ROUGE_L, "ROUGE-L", "higher"),
    Measure(BLEU, "BLEU", "higher"),
    Measure(CHRF, "chrF", "higher"),
    Measure(AUTHORSHIP, "The author's hand", "higher"),
    Measure(STYLE, "Style similarity", "higher"),
    Measure(DELTA, "Burrows' Delta", "lower"),
    Measure(MEANING, "Semantic similarity", "higher"),
    Measure(FAITHFULNESS, "Faithfulness", "higher"),
    Measure(PRECISION, "Citation precision", "higher"),
    Measure(RECALL, "Citation recall", "higher"),
    Measure(RELEVANCE, "Answer relevance", "higher"),
    Measure(DONT_KNOW, "Don't know, rightly", "higher"),
    Measure(COPIES, "Copy share", "neither"),
    Measure(REFUSALS, "Refusals", "neither"),
    Measure(LENGTH, "Words an answer", "neither"),
    Measure(DISTINCT_WORDS, "Distinct words", "neither"),
    Measure(DISTINCT, "Distinct word pairs", "neither"),
    Measure(DISTINCT_TRIPLES, "Distinct word triples", "neither"),
    Measure(SELF_BLEU, "Self-BLEU", "neither"),
    Measure(REPETITION, "Repetition", "neither"),
    Measure(PERSONAL_DATA, "Personal data", "neither"),
)


@dataclass(frozen=True)
class Yardstick:
    """What models are measured by.

    Attributes:
        held_out: the questions, and what the author wrote.
        style: the author's.
        embedder: for what texts mean.
        verifier: for what passages support; one for all models, since it keeps their vectors.
        refusal: the recipe's ``retrieval.dont_know``.
        trained: the training text, as `plain` gives it.
        detector: of personal data.
        authorship: what tells the author's hand from others; None: nothing does.
    """

    held_out: HeldOut
    style: AuthorStyle
    embedder: Embedder
    verifier: SupportVerifier
    refusal: str
    trained: str
    detector: PersonalDataDetector
    authorship: Authorship | None = None


@dataclass(frozen=True)
class Measured:
    """One model's transcript with a statistic for each of `MEASURES` that the set allows.

    ``hands`` are the statistics of the measures of the author's hand, if those are there.
    """

    transcript: Transcript
    statistics: Mapping[str, Statistic]
    hands: Mapping[str, Statistic]
    soundness: Soundness


def measure(transcript: Transcript, by: Yardstick) -> Measured:
    """Everything that is measured of one model."""
    answers, passages = transcript.answers, by.held_out.passages
    prompts = transcript.prompts(by.held_out)
    own = own_words(answers, prompts, by.trained, by.refusal)
    hands = _hands(own, by)
    statistics = {
        PERPLEXITY: perplexity(transcript.scored),
        ROUGE_L: mean_of(rouge_l(answers, passages), least=0.0, most=1.0),
        BLEU: bleu(answers, passages),
        CHRF: chrf(answers, passages),
        **_of_hands(hands),
        STYLE: by.style.similarity(answers),
        DELTA: by.style.delta(answers),
        MEANING: mean_of(cosine_similarities(by.embedder, answers, passages)),
        **_of_answers(answers, by, prompts, transcript.shown(by.held_out)),
    }
    checked = [_can_be_checked(sample) for sample in by.held_out.samples]
    if any(checked):
        right = [
            float(is_known_right(sample, answer, by.refusal))
            for sample, answer in zip(by.held_out.samples, answers, strict=True)
        ]
        statistics[RIGHT] = share_of(right, checked)
    return Measured(transcript, statistics, hands, examine(answers, passages))


def author_hands(by: Yardstick) -> Mapping[str, Statistic]:
    """What the measures of the author's hand say of the held-out passages.

    They are taken as they stand: that a prompt shows them does not make them copies.
    """
    nothing = [""] * len(by.held_out.passages)
    return _hands(own_words(by.held_out.passages, nothing, "", by.refusal), by)


def author_statistics(by: Yardstick) -> dict[str, Statistic]:
    """The author's own held-out passages on the measures of writing: as good as it gets."""
    passages = by.held_out.passages
    return {
        **_of_hands(author_hands(by)),
        STYLE: by.style.similarity(passages),
        DELTA: by.style.delta(passages),
        **_of_answers(
            passages, by, by.held_out.prompts, [each.context for each in by.held_out.samples]
        ),
    }


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
        if measure.better != "neither" and measure.name in mine and measure.name in theirs
    }
    relative = perplexity_gain(candidate.transcript.scored, other.transcript.scored)
    return {**made, PERPLEXITY: relative}


def _of_answers(
    answers: Sequence[str],
    by: Yardstick,
    prompts: Sequence[str],
    shown: Sequence[Sequence[str]],
) -> dict[str, Statistic]:
    return {
        COPIES: copy_share(answers, prompts, by.trained, by.refusal),
        REFUSALS: refusal_share(answers, by.refusal),
        LENGTH: mean_length(answers),
        DISTINCT_WORDS: distinct(answers, 1),
        DISTINCT: distinct_pairs(answers),
        DISTINCT_TRIPLES: distinct(answers, 3),
        SELF_BLEU: self_bleu(answers),
        REPETITION: repetition(answers),
        PERSONAL_DATA: personal_data_share(answers, prompts, by.detector),
        **grounding(answers, by.held_out.samples, by.verifier, by.embedder, by.refusal, shown),
    }


def _hands(texts: Sequence[str], by: Yardstick) -> Mapping[str, Statistic]:
    if by.authorship is None:
        return {}
    return by.authorship.likeness(texts, by.held_out.groups)


def _of_hands(hands: Mapping[str, Statistic]) -> dict[str, Statistic]:
    """The one that the gate judges by, if it is there."""
    return {AUTHORSHIP: hands[AUTHORSHIP]} if hands else {}


def _can_be_checked(sample: InstructSample) -> bool:
    """Whether facts tell a right answer to the sample, or that it must be refused."""
    return bool(sample.facts) or sample.kind == QuestionKind.UNANSWERABLE
