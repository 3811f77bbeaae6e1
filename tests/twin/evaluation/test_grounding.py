"""Whether answers keep to their passages: by hand-made answers whose figures are known."""

import math

import pytest

from twin.domain.sample import WITHHELD, InstructSample, Maker, Split
from twin.domain.written import QuestionKind
from twin.evaluation.checks import Verdict
from twin.evaluation.faithfulness_limit import faithfulness_check
from twin.evaluation.grounding import (
    DONT_KNOW,
    FAITHFULNESS,
    PRECISION,
    RECALL,
    RELEVANCE,
    grounding,
)
from twin.evaluation.resampling import Estimate, difference, estimate
from twin.models.embedder import load_embedder
from twin.rag.support import SupportVerifier
from twin.recipes import FeaturesSection, GateSection
from twin.settings import Settings

REFUSAL = "I have not written about that."
PODS = "A pod states the memory that it needs, and the scheduler finds a node with so much left."
ROLLBACK = "Rolling back means moving the champion alias to the version that served before."
TAR = "Boiling tar keeps the rain out of the roof for about twenty years."


def sample(number, kind="", context=(PODS, ROLLBACK), answer=PODS, instruction="What is a pod?"):
    return InstructSample(
        id=f"s{number}",
        split=Split.TEST,
        instruction=instruction,
        context=context,
        answer=answer,
        document_id=f"d{number}",
        revision="r",
        chunk_id="c",
        title="T",
        url="https://example.org",
        maker=Maker.WRITTEN if kind else Maker.PASSAGE,
        kind=kind,
    )


@pytest.fixture(scope="module")
def embedder(index_root):
    return load_embedder(FeaturesSection().embedder, Settings(home=index_root.parent))


@pytest.fixture
def figures(embedder):
    verifier = SupportVerifier(embedder)

    def measured(answers, samples):
        made = grounding(answers, samples, verifier, embedder, REFUSAL)
        groups = [each.document_id for each in samples]
        return {name: estimate(each, groups).value for name, each in made.items()}

    return measured


def test_sentences_are_held_to_the_passages_and_to_what_the_author_rests_on(figures):
    samples = [sample(1), sample(2), sample(3)]
    found = figures([PODS, f"{PODS} {TAR}", ROLLBACK], samples)
    assert found[FAITHFULNESS] == pytest.approx(3 / 4)
    assert found[PRECISION] == found[RECALL] == pytest.approx(2 / 3)
    quoting = figures([f"{PODS} {ROLLBACK}"] * 3, samples)
    assert (quoting[PRECISION], quoting[RECALL]) == (0.5, 1)
    assert found[RELEVANCE] > figures([TAR] * 3, samples)[RELEVANCE]


def test_silence_and_refusals_are_worth_nothing_where_there_is_an_answer(figures):
    samples = [sample(1), sample(2)]
    for answers in (["", ""], [REFUSAL, REFUSAL]):
        found = figures(answers, samples)
        assert found == dict.fromkeys((FAITHFULNESS, PRECISION, RECALL, RELEVANCE), 0)


def test_a_gain_over_a_model_that_hardly_says_anything_is_a_number(embedder):
    samples = [sample(number) for number in range(9)]
    verifier = SupportVerifier(embedder)
    one, other = (
        grounding(answers, samples, verifier, embedder, REFUSAL)[FAITHFULNESS]
        for answers in ([PODS] * 9, ["", PODS, *[""] * 7])
    )
    gain = estimate(difference(one, other), [each.document_id for each in samples])
    assert all(map(math.isfinite, (gain.value, gain.low, gain.high)))


def test_whether_it_knows_what_it_does_not_know(figures):
    samples = [
        sample(1, QuestionKind.FACT),
        sample(2, QuestionKind.UNANSWERABLE, answer=REFUSAL),
        sample(3, WITHHELD, answer=REFUSAL),
        sample(4, QuestionKind.WHY),
        sample(5),
    ]
    found = figures([PODS, REFUSAL, TAR, REFUSAL, REFUSAL], samples)
    assert found[DONT_KNOW] == pytest.approx(2 / 4)
    assert found[FAITHFULNESS] == 1, "what must be refused is not held to its passages"


def test_from_memory_there_is_nothing_to_keep_to(figures):
    assert set(figures([PODS], [sample(1, context=())])) == {RELEVANCE}


def test_the_limit_is_the_recipes():
    low = {FAITHFULNESS: Estimate(value=0.4, low=0.3, high=0.5)}
    assert faithfulness_check(low, GateSection()) == ()
    (failed,) = faithfulness_check(low, GateSection(min_faithfulness=0.5))
    assert (failed.passed, failed.otherwise) == (False, Verdict.REJECT)
    assert "40.0% of the sentences that it says, at least 50.0% asked: FAILED" in failed.text
    (passed,) = faithfulness_check(low, GateSection(min_faithfulness=0.4))
    assert passed.passed
    (unknown,) = faithfulness_check({}, GateSection(min_faithfulness=0.4))
    assert (unknown.passed, unknown.otherwise) == (False, Verdict.HOLD)
