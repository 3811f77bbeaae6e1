import pytest

from tests.twin.stores.chunks import document
from twin.rag.diversity import diverse
from twin.rag.fusion import by_reciprocal_rank, by_weighted_scores, held
from twin.stores.index import Hit

A, B, C = document("d", ["a", "b", "c"]).chunks


def hits(**scores):
    chunks = {"a": A, "b": B, "c": C}
    return [Hit(chunks[name], score) for name, score in scores.items()]


def order(found):
    return [hit.chunk.text for hit in found]


def test_ranks_are_summed():
    found = by_reciprocal_rank([hits(a=9, b=8), hits(b=1, c=0.5)])
    assert order(found) == ["b", "a", "c"]
    assert found[0].score == pytest.approx(1 / 62 + 1 / 61)


def test_weighted_scores_are_scaled_within_their_list():
    found = by_weighted_scores(
        [hits(a=0.9, b=0.8, c=0.1), hits(b=12.0, a=4.0)], [0.7, 0.3], [None, None]
    )
    assert [hit.score for hit in found] == pytest.approx([0.7 * 0.875 + 0.3, 0.7, 0.0])
    assert order(found) == ["b", "a", "c"]


def test_an_arm_without_hits_changes_no_order():
    dense = hits(c=0.9, a=0.5, b=0.2)
    assert order(by_weighted_scores([dense, []], [0.7, 0.3], [None, 0.0])) == ["c", "a", "b"]
    assert order(by_reciprocal_rank([dense, []])) == ["c", "a", "b"]


def test_equal_scores_are_all_the_best():
    assert [hit.score for hit in by_weighted_scores([hits(a=2.0, b=2.0)], [1.0], [None])] == [
        1.0,
        1.0,
    ]


def test_ties_are_in_order_of_id():
    found = by_weighted_scores([hits(a=1.0), hits(b=1.0)], [0.5, 0.5], [None, None])
    assert [hit.chunk.id for hit in found] == sorted([A.id, B.id])


def test_the_more_alike_of_two_relevant_ones_is_passed_over():
    near = [Hit(A, 1.0, (1.0, 0.0)), Hit(B, 0.9, (0.999, 0.0447)), Hit(C, 0.5, (0.0, 1.0))]
    assert order(diverse(near, 2, 1.0)) == ["a", "b"]
    assert order(diverse(near, 2, 0.5)) == ["a", "c"]
    assert order(diverse(near, 9, 0.5)) == ["a", "c", "b"]
    assert diverse([], 3, 0.5) == []


def test_of_a_list_that_nothing_was_cut_from_the_lowest_counts_too():
    [first, last] = by_weighted_scores([hits(a=4.0, b=1.0)], [1.0], [0.0])
    assert (first.score, last.score) == (1.0, 0.25)


def test_the_share_of_the_questions_terms_that_the_best_hit_holds():
    chunks = document("d", ["Exit code 75 means: try again.", "Codes of conduct."]).chunks
    found = [Hit(chunk, 1.0) for chunk in chunks]
    assert held("exit codes 75", found) == 1
    assert held("what does exit code 78 mean", found) == pytest.approx(3 / 4)
    assert held("the of", found) == held("sails", found) == held("sails", []) == 0
