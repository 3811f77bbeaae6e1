"""People's verdicts on pairs: what they leave, change, keep and bring in."""

import pytest

from tests.twin.datasets.sets import candidate, pair
from twin.domain.length_bias import FAIR, fairness, length_auc
from twin.domain.sample import Split
from twin.domain.verdict import DISAGREE, NO_REASON, Decision, Opinion, Verdict, digest_of_pair
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.verdicts import Verdicts
from twin.text.likeness import likeness
from twin.training.pair_reviews import (
    EDITED,
    EQUAL,
    HELD_OUT,
    KEPT,
    REJECTED,
    UNBALANCED,
    PairReviews,
    read_reviews,
    review,
)

DOCUMENTS = {"d-train": Split.TRAIN, "d2": Split.TRAIN, "d-test": Split.TEST}


def said(on, decision, reason="", answer="", *others):
    opinions = [
        Opinion(person=str(number), decision=each, reason=reason, answer=answer)
        for number, each in enumerate((decision, *others))
    ]
    return Verdict(
        sample=on.id, seen=digest_of_pair(on), document_id=on.document_id, opinions=opinions
    )


def sized(name, chosen, rejected):
    """A pair whose texts have so many characters."""
    return pair(name, chosen="y" * chosen, rejected="x" * rejected)


def reviewed(pairs, verdicts, wanted=()):
    return review(pairs, PairReviews(tuple(verdicts), tuple(wanted)), DOCUMENTS)


def test_each_verdict_does_what_it_says():
    a, b, c, d, e = (sized(name, 30, 30) for name in "abcde")
    found = reviewed(
        [a, b, c, d, e],
        [
            said(a, Decision.KEEP),
            said(b, Decision.REJECT, "wrong chosen text"),
            said(c, Decision.EDIT, answer="z" * 30),
            said(d, Decision.KEEP, "", "", Decision.REJECT),
        ],
    )
    assert found.pairs == [
        a,
        c.model_copy(update={"chosen": "z" * 30, "likeness": likeness("z" * 30, c.rejected)}),
        e,
    ]
    assert found.outcome == {
        KEPT: 1, EDITED: 1, f"{REJECTED}: wrong chosen text": 1, f"{REJECTED}: {DISAGREE}": 1,
    }  # fmt: skip
    assert found.pairs[1].id == c.id, "an edited pair keeps its name, so that it can be judged on"


def test_an_edited_pair_may_be_judged_again():
    a = sized("a", 30, 30)
    edited = a.model_copy(update={"chosen": "z" * 30})
    verdicts = [said(a, Decision.EDIT, answer="z" * 30), said(edited, Decision.REJECT)]
    found = reviewed([a], verdicts)
    assert found.pairs == []
    assert found.outcome == {f"{REJECTED}: {NO_REASON}": 1}
    # Edited there and back: told once, and no end of it is missed.
    back = [said(a, Decision.EDIT, answer="z" * 30), said(edited, Decision.EDIT, answer=a.chosen)]
    assert reviewed([a], back).outcome == {EDITED: 1}


def test_a_verdict_on_other_texts_says_nothing():
    a = sized("a", 30, 30)
    found = reviewed([a], [said(a.model_copy(update={"rejected": "Old."}), Decision.REJECT)])
    assert (found.pairs, found.outcome) == ([a], {})


def test_an_edit_to_the_rejected_text_leaves_the_pair_out():
    a = sized("a", 30, 30)
    found = reviewed([a], [said(a, Decision.EDIT, answer=f" {a.rejected} ")])
    assert (found.pairs, found.outcome) == ([], {EQUAL: 1})


def test_callers_candidates_come_in_by_a_person_s_word_alone(settings):
    even = {"chosen": "y" * 30, "rejected": "x" * 30}
    kept, edited, refused, open_one = (
        candidate(name, pair=even, fault="it refuses") for name in ("k", "e", "r", "o")
    )
    files = open_files(settings)
    FeedbackPairs(files, "ann").replace([kept, edited, refused, open_one])
    assert read_reviews(files, "ann") == PairReviews()
    verdicts = [
        said(kept.pair, Decision.KEEP),
        said(edited.pair, Decision.EDIT, answer="z" * 30),
        said(refused.pair, Decision.REJECT, "other"),
    ]
    Verdicts(files, "ann", on_pairs=True).update((), verdicts)
    reviews = read_reviews(files, "ann")
    assert {each.pair.id for each in reviews.wanted} == {"k", "e"}
    found = review([], reviews, DOCUMENTS)
    assert {(each.id, each.chosen[0], each.answer_id) for each in found.pairs} == {
        ("k", "y", "a1"), ("e", "z", "a1"),
    }  # fmt: skip
    assert found.outcome == {KEPT: 1, EDITED: 1}
    # A candidate whose texts have changed since is not the one that was judged.
    changed = candidate("k", pair={**even, "chosen": "New text, of a caller."})
    FeedbackPairs(files, "ann").replace([changed])
    assert read_reviews(files, "ann").wanted == ()


@pytest.mark.parametrize("other", ["d-test", "gone"])
def test_nobody_s_word_brings_in_what_is_held_out(other):
    mixed = candidate("m", "d-train", other)
    whole = candidate("w", "d-train", "d2", pair={"chosen": "y" * 5, "rejected": "x" * 5})
    verdicts = [said(mixed.pair, Decision.KEEP), said(whole.pair, Decision.KEEP)]
    found = reviewed([], verdicts, [mixed, whole])
    assert [each.id for each in found.pairs] == ["w"]
    assert found.outcome == {HELD_OUT: 1, KEPT: 1}


def test_lengths_are_balanced_again_by_pairs_that_nobody_has_judged():
    pairs = [sized("a", 90, 10), sized("b", 80, 12), sized("c", 50, 52), sized("d", 51, 49)]
    judged = sized("k", 95, 11)
    found = reviewed([*pairs, judged], [said(judged, Decision.KEEP)])
    left = [each.id for each in found.pairs]
    assert "p-k" in left
    assert found.outcome[UNBALANCED] == len(pairs) + 1 - len(left)
    assert "p-a" not in left, "what differs most goes first"
    only = reviewed([judged], [said(judged, Decision.KEEP)])
    assert [each.id for each in only.pairs] == ["p-k"], "a person's word stands above the balance"
    flipped = reviewed([sized("a", 10, 90), sized("c", 50, 52), sized("d", 51, 49)], [])
    assert [each.id for each in flipped.pairs] == ["p-c", "p-d"]


def test_what_is_fair_already_is_left_alone():
    pairs = [sized("a", 10, 12), sized("b", 20, 18)]
    found = reviewed(pairs, [said(pairs[0], Decision.KEEP)])
    assert found.pairs == pairs
    assert length_auc([(10, 12), (20, 18)]) == 0.5


@pytest.mark.parametrize(
    ("auc", "says"),
    [(None, 0), (0.39, -1), (FAIR[0], 0), (0.5, 0), (FAIR[1], 0), (0.61, 1)],
)
def test_the_limits_of_what_is_fair(auc, says):
    assert fairness(auc) == says


def test_the_digest_is_of_verdicts_and_of_what_people_want():
    a, wanted = sized("a", 3, 3), candidate("k")
    verdict = said(a, Decision.KEEP)
    assert PairReviews().digest == ""
    assert PairReviews((verdict,)).digest == PairReviews((verdict,)).digest != ""
    assert PairReviews((verdict,), (wanted,)).digest != PairReviews((verdict,)).digest
    assert PairReviews((said(a, Decision.REJECT),)).digest != PairReviews((verdict,)).digest
