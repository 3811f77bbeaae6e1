from itertools import pairwise

import pytest

from twin.domain.errors import BadDataError
from twin.rag.dont_know import calibrate, curve, read_questions, separation

YES = [0.3, 0.5, 0.6, 0.7]
NO = [0.1, 0.2, 0.4, 0.65]


def test_the_curve_goes_from_none_refused_to_all():
    points = curve(YES, NO)
    assert (points[0].refused, points[0].wrongly) == (0, 0)
    assert (points[-1].refused, points[-1].wrongly) == (1, 1)
    for before, after in pairwise(points):
        assert before.threshold < after.threshold
        assert before.refused <= after.refused
        assert before.wrongly <= after.wrongly


def test_the_threshold_refuses_the_most_within_the_limit():
    strict = calibrate(curve(YES, NO), 0.0)
    assert 0.2 < strict.threshold <= 0.3
    assert (strict.refused, strict.wrongly) == (0.5, 0.0)
    loose = calibrate(curve(YES, NO), 0.25)
    assert (loose.refused, loose.wrongly) == (0.75, 0.25)


def test_separation_is_the_area_under_the_curve():
    assert separation([2, 3], [0, 1]) == 1
    assert separation([1], [1]) == 0.5
    assert separation(YES, NO) == pytest.approx(12 / 16)


def test_both_kinds_of_question_are_needed():
    with pytest.raises(BadDataError, match="without"):
        curve(YES, [])


def test_questions_are_read_in_lists_and_in_groups(tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text('answered: {a: {"One?": x, "Two?": y}, b: ["Three?"]}\nunanswered: ["Four?"]')
    found = read_questions(path)
    assert found == {"answered": ["One?", "Two?", "Three?"], "unanswered": ["Four?"]}


@pytest.mark.parametrize("text", ["", "[]", "answered: [a?]", "unanswered: [a?]", "{"])
def test_a_file_without_both_kinds_is_refused(tmp_path, text):
    path = tmp_path / "questions.yaml"
    path.write_text(text)
    with pytest.raises(BadDataError, match=r"questions\.yaml"):
        read_questions(path)
