"""The gate on candidates of which the truth is known; `make bench-evaluation` is the long form."""

import pytest

from tests.twin.evaluation import planted
from tests.twin.evaluation.planted import GATE, TestSet
from twin.evaluation.checks import Verdict

GATES = 150
DOCUMENTS = 40
PRECISE = 0.2
"""Of the noise: as if there were 25 times as many documents."""


@pytest.mark.parametrize("gain", [0.0, -0.01])
def test_equal_and_slightly_worse_candidates_are_hardly_ever_promoted(gain):
    assert planted.promoted(GATES, DOCUMENTS, gain) <= 0.05


def test_new_knowledge_excuses_no_loss_beyond_what_is_tolerated():
    loss = -GATE.max_perplexity_loss
    assert planted.promoted(GATES, DOCUMENTS, loss, new_documents=3) <= 0.05


def test_the_effect_that_the_set_is_said_to_show_is_seen_in_four_of_five_gates():
    effect = planted.smallest_effect(DOCUMENTS)
    assert effect <= GATE.min_effect
    assert planted.promoted(GATES, DOCUMENTS, effect) >= 0.8


def test_small_losses_do_not_add_up():
    count, loss = planted.ratchet(50, 0.01, 1, PRECISE)
    assert count > 2
    assert loss <= GATE.max_total_loss


def test_without_the_reference_they_would():
    """The tolerance against the champion alone lets the same row sink."""
    test_set = TestSet(DOCUMENTS, 1, PRECISE)
    first = champion = test_set.version(0.0)
    for _ in range(10):
        candidate = test_set.version(champion.log_perplexity + 0.01)
        if test_set.judge(candidate, champion, None, 1).verdict is Verdict.PROMOTE:
            champion = candidate
    assert champion.log_perplexity - first.log_perplexity > GATE.max_total_loss


def test_an_equal_candidate_is_held():
    test_set = TestSet(DOCUMENTS, 3)
    judgement = test_set.judge(test_set.version(0.0), test_set.version(0.0))
    assert judgement.verdict is Verdict.HOLD


def test_a_clearly_worse_candidate_is_rejected_even_with_new_documents():
    test_set = TestSet(DOCUMENTS, 3)
    judgement = test_set.judge(test_set.version(0.2), test_set.version(0.0), new_documents=5)
    assert judgement.verdict is Verdict.REJECT
