"""Does an answer keep to the passages shown, cite the right ones, and answer what was asked?

The deterministic counterparts of what Ragas and ARES ask a language model: no judge is needed, and
the same answers give the same figures. By the house's verifier (`twin.rag.support`), sentence by
sentence:

* faithfulness: share of the sentences said that a passage shown supports;
* citation precision and recall: an answer cites the passages that its sentences rest on, as serving
  shows them; the right ones are those that the author's own answer rests on;
* answer relevance: cosine of question and answer, 0 for a refusal or nothing;
* don't know: whether it refuses exactly where there is nothing to say, on written questions.

Questions that must be refused count for the last only. Where a model says nothing, its shares are
0: of silence there is nothing to trust.

Sources: S. Es et al., "Ragas: Automated Evaluation of Retrieval Augmented Generation", EACL 2024
demo; T. Gao et al., "Enabling Large Language Models to Generate Text with Citations", EMNLP 2023.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from twin.domain.sample import WITHHELD, InstructSample
from twin.domain.written import QuestionKind, refuses
from twin.evaluation.resampling import Statistic, mean_of, share_of
from twin.models.embedder import Embedder
from twin.rag.support import Support, SupportVerifier

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FAITHFULNESS = "faithfulness"
PRECISION = "citation_precision"
RECALL = "citation_recall"
RELEVANCE = "answer_relevance"
DONT_KNOW = "dont_know_accuracy"


def grounding(
    answers: Sequence[str],
    samples: Sequence[InstructSample],
    verifier: SupportVerifier,
    embedder: Embedder,
    refusal: str,
    shown: Sequence[Sequence[str]] | None = None,
) -> dict[str, Statistic]:
    """The figures that the samples allow.

    Args:
        answers: what a model wrote.
        samples: to each its question.
        verifier: tells what supports a sentence; it keeps the vectors of passages.
        embedder: for what texts mean.
        refusal: the recipe's ``retrieval.dont_know``.
        shown: to each the passages that the model was shown; None: those of the samples.
    """
    said = ["" if refuses(answer, refusal) else answer for answer in answers]
    passages = [sample.context for sample in samples] if shown is None else shown
    made = {**_supported(said, samples, verifier, passages)}
    answerable = [not must_refuse(sample) for sample in samples]
    if any(answerable):
        made[RELEVANCE] = mean_of(_relevance(said, samples, embedder), answerable, least=-1, most=1)
    written = [bool(sample.kind) for sample in samples]
    if any(written):
        known = [
            float(refuses(answer, refusal) == must_refuse(sample))
            for answer, sample in zip(answers, samples, strict=True)
        ]
        made[DONT_KNOW] = share_of(known, written)
    return made


def must_refuse(sample: InstructSample) -> bool:
    """Whether the right answer is the refusal."""
    return sample.kind in {WITHHELD, QuestionKind.UNANSWERABLE}


def _supported(
    said: Sequence[str],
    samples: Sequence[InstructSample],
    verifier: SupportVerifier,
    shown: Sequence[Sequence[str]],
) -> dict[str, Statistic]:
    """Faithfulness and citations, over the samples that are answered from passages.

    One for which retrieval has found nothing counts as one about which nothing is said.
    """
    grounded = [bool(sample.context) and not must_refuse(sample) for sample in samples]
    if not any(grounded):
        return {}
    mine: list[list[Support]] = [[] for _ in samples]
    right: list[set[int]] = [set() for _ in samples]
    for place, sample in enumerate(samples):
        if grounded[place]:
            mine[place] = verifier.verify(said[place], shown[place])
            right[place] = cited(verifier.verify(sample.answer, shown[place]))
    citing = list(map(cited, mine))
    hits = [len(one & other) for one, other in zip(citing, right, strict=True)]
    held = [sum(support.is_supported for support in supports) for supports in mine]
    made = {FAITHFULNESS: _share(held, map(len, mine), grounded)}
    judged = [bool(each) for each in right]
    if any(judged):
        counted = [len(each) if there else 0 for each, there in zip(citing, judged, strict=True)]
        made[PRECISION] = _share(hits, counted, judged)
        made[RECALL] = _share(hits, map(len, right), judged)
    return made


def cited(supports: Iterable[Support]) -> set[int]:
    """Places of the passages that sentences rest on."""
    return {each.passage for each in supports if each.is_supported and each.passage is not None}


def _relevance(
    said: Sequence[str], samples: Sequence[InstructSample], embedder: Embedder
) -> "NDArray[np.float64]":
    import numpy as np

    questions = np.asarray(embedder.encode_questions([each.instruction for each in samples]))
    cosines = (questions * np.asarray(embedder.encode(said))).sum(axis=1)
    return np.where([bool(text.strip()) for text in said], cosines, 0.0)


def _share(above: Iterable[int], below: Iterable[int], counted: Sequence[bool]) -> Statistic:
    """The sum of one count over that of another, 0 where there is nothing."""
    import numpy as np

    top, bottom = (np.array(list(each), dtype=np.float64) for each in (above, below))

    def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
        whole = weights @ bottom
        return np.divide(weights @ top, whole, out=np.zeros_like(whole), where=whole > 0)

    return Statistic(of, counted=np.asarray(counted), least=0.0, most=1.0)
