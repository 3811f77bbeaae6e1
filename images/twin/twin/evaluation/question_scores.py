"""What an evaluation says of single questions, as MLflow's evaluation view shows it."""

from collections.abc import Iterator, Mapping

from twin.evaluation.contestants import CANDIDATE
from twin.evaluation.examination import Findings
from twin.evaluation.measures import DELTA, DISTINCT, DISTINCT_TRIPLES, DISTINCT_WORDS, STYLE
from twin.evaluation.resampling import Statistic
from twin.stores.question_traces import AnsweredQuestion

OF_THE_WHOLE = frozenset({STYLE, DELTA, DISTINCT, DISTINCT_WORDS, DISTINCT_TRIPLES})
"""Measures of many answers together: of one they say nothing."""


def answered_questions(findings: Findings) -> Iterator[AnsweredQuestion]:
    """Each test question with the candidate's answer, its scores, and what others answered."""
    held_out, transcripts = findings.held_out, findings.transcripts
    scores = {
        name: single_values(statistic, len(held_out.samples))
        for name, statistic in findings.candidate.statistics.items()
        if name not in OF_THE_WHOLE
    }
    shown = transcripts[CANDIDATE].shown(held_out)
    for place, sample in enumerate(held_out.samples):
        yield AnsweredQuestion(
            sample=sample.id,
            document=sample.document_id,
            question=sample.instruction,
            passages=shown[place],
            expected=sample.answer,
            answer=transcripts[CANDIDATE].answers[place],
            others={
                role: made.answers[place] for role, made in transcripts.items() if role != CANDIDATE
            },
            scores={name: each[place] for name, each in scores.items() if place in each},
        )


def single_values(statistic: Statistic, samples: int) -> Mapping[int, float]:
    """A figure of each sample alone, by its place; without those that do not count for it."""
    import numpy as np

    alone = np.eye(samples)
    places = range(samples) if statistic.counted is None else np.flatnonzero(statistic.counted)
    found = {int(place): float(statistic.of(alone[place])) for place in places}
    return {place: value for place, value in found.items() if np.isfinite(value)}
