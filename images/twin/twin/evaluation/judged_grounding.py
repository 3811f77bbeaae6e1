"""Ragas' measures by a judge, beside what the house counts without one, and how far they agree.

* faithfulness: share of an answer's claims that the passages shown support;
* answer relevance: cosine of the question and those that the answer would answer, 0 if it evades;
* context precision: whether passages that are of use for the author's answer stand before others;
* context recall: share of the claims of the author's answer that the passages hold.

Each has a counterpart by the house's verifier (`twin.rag.support`) and embedder, sentence by
sentence, on the same samples: it costs nothing and always gives the same. Spearman's rank
correlation of the two tells how far one may stand for the other. Samples without passages and
questions that must be refused count for none; an answer that says nothing has no faithfulness.

Source: S. Es et al., "Ragas: Automated Evaluation of Retrieval Augmented Generation", EACL 2024
demo; J. Saad-Falcon et al., "ARES", NAACL 2024, arXiv:2311.09476 (a judge beside people's labels).
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from math import isnan, nan
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import TwinError
from twin.domain.sample import InstructSample
from twin.domain.written import refuses
from twin.evaluation.grounding import must_refuse
from twin.evaluation.held_out import HeldOut
from twin.evaluation.judging import until
from twin.evaluation.measures import Yardstick
from twin.evaluation.resampling import Estimate, Statistic, estimate, mean_of
from twin.evaluation.transcripts import Transcript
from twin.job import Job
from twin.models.engines.remote import RemoteModel
from twin.rag.grounding_judge import Answered, Grounded, GroundingJudge, Useful
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FAITHFULNESS = "faithfulness"
RELEVANCE = "answer_relevance"
PRECISION = "context_precision"
RECALL = "context_recall"
PASSAGES = "passages"
"""Whose figure it is that no model's answers enter."""

FOLDER = "evaluation/judge"
"""Where the judge's other replies are, too: keys tell them apart, and all are forgotten alike."""

Scores = Sequence[float | None]
"""A figure of each sample; None where there is none."""


class JudgedMeasure(BaseModel):
    """One measure by both ways, on the samples that both can tell of.

    Attributes:
        name: of the measure.
        role: whose answers, or "passages".
        asked: samples that the judge was asked about.
        unread: of these, those whose replies could not be read, twice.
        judged: the judge's figure.
        counted: the verifier's or embedder's.
        agreement: Spearman's rank correlation of the two; no number where one of them is the same
            for all samples.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    role: str
    asked: int
    unread: int
    judged: Estimate
    counted: Estimate
    agreement: Estimate


class JudgedGrounding(BaseModel):
    """Ragas' measures by the recipe's judge; ``doubt`` says why there are none."""

    model_config = ConfigDict(frozen=True)

    judge: str
    measures: tuple[JudgedMeasure, ...] = ()
    doubt: str = ""

    def flat(self) -> dict[str, float]:
        """The judge's figures by dotted name, as MLflow charts them."""
        return {
            f"{each.role}.judged_{each.name}": each.judged.value
            for each in self.measures
            if not isnan(each.judged.value)
        }


def judge_grounding(
    job: Job,
    held_out: HeldOut,
    transcripts: Mapping[str, Transcript],
    by: Yardstick,
    files: FileStore,
) -> JudgedGrounding | None:
    """Have the judge tell how answers and passages go together; None without a judge.

    Args:
        job: whose recipe names the judge.
        held_out: the questions, with the passages shown.
        transcripts: role to what that model wrote.
        by: what the counterparts are counted with.
        files: keep the judge's replies.
    """
    section = job.recipe.judge
    places = [place for place, sample in enumerate(held_out.samples) if _is_grounded(sample)]
    if section is None or not places:
        return None
    said = {
        role: {place: made.answers[place] for place in places} for role, made in transcripts.items()
    }
    texts = Texts(held_out, places, said, by)
    deadline = time.monotonic() + job.recipe.evaluation.judge.max_seconds
    try:
        kept = KeptReplies(files, f"{FOLDER}/{job.recipe.model_name}")
        with (
            closing(RemoteModel(section, job.settings.judge_api_key)) as model,
            job.progress("judging passages", texts.replies) as advance,
        ):
            judge = GroundingJudge(model, kept, until(deadline, advance))
            measures = tuple(texts.measure(judge))
    except TwinError as error:
        return JudgedGrounding(judge=section.model, doubt=f"the judge told nothing: {error}")
    silent = all(each.unread == each.asked for each in measures)
    doubt = "the judge gave no reply that can be read: it must write JSON by a schema"
    return JudgedGrounding(judge=section.model, measures=measures, doubt=doubt if silent else "")


class Texts:
    """What is judged and counted.

    Args:
        held_out: the questions.
        places: of its samples that show passages.
        said: role to answers, by place.
        by: what the counterparts are counted with.
    """

    def __init__(
        self,
        held_out: HeldOut,
        places: Sequence[int],
        said: Mapping[str, Mapping[int, str]],
        by: Yardstick,
    ) -> None:
        self._samples = [held_out.samples[place] for place in places]
        self._groups = [held_out.groups[place] for place in places]
        self._by = by
        self._said = {
            role: [_own(answers[place], by.refusal) for place in places]
            for role, answers in said.items()
        }

    @property
    def replies(self) -> int:
        """How many replies are asked for, at most."""
        return 2 * len(self._samples) * (1 + len(self._said))

    def measure(self, judge: GroundingJudge) -> list[JudgedMeasure]:
        """All measures: of the passages first, then of each role's answers."""
        everywhere = range(len(self._samples))
        references = [self._grounded(place, self._samples[place].answer) for place in everywhere]
        useful, found = judge.useful(references), judge.claims_found(references)
        precision = [None if each is None else each.average_precision for each in useful]
        recall = [None if each is None else each.share for each in found]
        made = [
            self._measure(PRECISION, PASSAGES, everywhere, useful, precision, self._precision()),
            self._measure(RECALL, PASSAGES, everywhere, found, recall, self._recall()),
        ]
        for role, answers in self._said.items():
            made += self._of_answers(role, answers, judge)
        return made

    def _of_answers(
        self, role: str, answers: Sequence[str], judge: GroundingJudge
    ) -> list[JudgedMeasure]:
        """Of the answers that say something."""
        speaking = [place for place, answer in enumerate(answers) if answer]
        texts = [self._grounded(place, answers[place]) for place in speaking]
        claims, asked = judge.claims_of(texts), judge.questions_of(texts)
        faithful = [None if each is None else each.share for each in claims]
        relevant = [
            None if each is None else self._likeness(place, each)
            for each, place in zip(asked, speaking, strict=True)
        ]
        counted = self._faithfulness(answers), self._cosines(answers)
        return [
            self._measure(FAITHFULNESS, role, speaking, claims, faithful, counted[0]),
            self._measure(RELEVANCE, role, speaking, asked, relevant, counted[1]),
        ]

    def _measure(
        self,
        name: str,
        role: str,
        asked: Sequence[int],
        replies: Sequence[object],
        judged: Scores,
        counted: Scores,
    ) -> JudgedMeasure:
        """Both figures of a measure, over the samples that have both.

        Args:
            name: of the measure.
            role: whose it is.
            asked: places of the samples that the judge was asked about.
            replies: of the judge; None where one could not be read.
            judged: what the replies come to.
            counted: the counterpart, for all samples.
        """
        known = dict(zip(asked, judged, strict=True))
        pairs = [(known.get(place), value) for place, value in enumerate(counted)]
        both = [one is not None and other is not None for one, other in pairs]
        one, other = [pair[0] or 0.0 for pair in pairs], [pair[1] or 0.0 for pair in pairs]
        return JudgedMeasure(
            name=name,
            role=role,
            asked=len(asked),
            unread=sum(reply is None for reply in replies),
            judged=self._estimate(mean_of(one, both, least=-1.0, most=1.0), both),
            counted=self._estimate(mean_of(other, both, least=-1.0, most=1.0), both),
            agreement=self._estimate(rank_correlation(one, other, both), both),
        )

    def _grounded(self, place: int, text: str) -> Grounded:
        sample = self._samples[place]
        return Grounded(sample.instruction, text, sample.context, sample.document_id)

    def _estimate(self, statistic: Statistic, both: Sequence[bool]) -> Estimate:
        if not any(both):
            return Estimate(value=nan, low=nan, high=nan)
        return estimate(statistic, self._groups)

    def _likeness(self, place: int, answered: Answered) -> float:
        """Mean cosine of the sample's question and those that its answer would answer."""
        import numpy as np

        if answered.noncommittal:
            return 0.0
        asked, *made = np.asarray(
            self._by.embedder.encode_questions(
                [self._samples[place].instruction, *answered.questions]
            )
        )
        return float(np.mean([asked @ each for each in made]))

    def _faithfulness(self, answers: Sequence[str]) -> Scores:
        return [
            self._supported(answer, sample.context)
            for answer, sample in zip(answers, self._samples, strict=True)
        ]

    def _recall(self) -> Scores:
        return [self._supported(sample.answer, sample.context) for sample in self._samples]

    def _precision(self) -> Scores:
        return [
            Useful(
                useful=tuple(bool(self._supported(sample.answer, (p,))) for p in sample.context)
            ).average_precision
            for sample in self._samples
        ]

    def _supported(self, text: str, passages: Sequence[str]) -> float | None:
        """Share of the sentences that a passage supports; None where nothing is said."""
        found = self._by.verifier.verify(text, passages)
        return sum(each.is_supported for each in found) / len(found) if found else None

    def _cosines(self, answers: Sequence[str]) -> Scores:
        import numpy as np

        questions = np.asarray(
            self._by.embedder.encode_questions([each.instruction for each in self._samples])
        )
        cosines = (questions * np.asarray(self._by.embedder.encode(list(answers)))).sum(axis=1)
        return [
            float(value) if answer else None for value, answer in zip(cosines, answers, strict=True)
        ]


def rank_correlation(
    one: Sequence[float], other: Sequence[float], counted: Sequence[bool]
) -> Statistic:
    """Spearman's correlation of two figures over the samples that count.

    Ranks are those among all of them; leaving samples out changes the weights alone.
    """
    import numpy as np
    from scipy.stats import rankdata

    both = np.asarray(counted, dtype=bool)
    ranks = []
    for values in (one, other):
        placed = np.zeros(len(both))
        placed[both] = rankdata(np.asarray(values, dtype=np.float64)[both])
        ranks.append(placed)
    first, second = ranks

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        used = weights * both
        whole = used.sum(axis=-1)
        means = [used @ ranked / whole for ranked in (first, second)]
        shared = used @ (first * second) / whole - means[0] * means[1]
        spreads = [
            used @ ranked**2 / whole - mean**2
            for ranked, mean in zip((first, second), means, strict=True)
        ]
        scale = np.sqrt(np.maximum(spreads[0] * spreads[1], 0.0))
        return np.where(scale > 1e-9, shared / np.where(scale > 1e-9, scale, 1.0), nan)

    return Statistic(of, counted=both, least=-1.0, most=1.0)


def _is_grounded(sample: InstructSample) -> bool:
    return bool(sample.context) and not must_refuse(sample)


def _own(answer: str, refusal: str) -> str:
    """What an answer says itself; nothing where it refuses."""
    return "" if refuses(answer, refusal) else answer.strip()
