import pytest

from twin.models.engines.stop_texts import StopTexts


def test_text_flows_through_without_stop_texts():
    text = StopTexts(())
    assert [text.add("a"), text.add("bc"), text.close()] == ["a", "bc", ""]
    assert text.ready == "abc"
    assert not text.stopped


def test_a_stop_text_across_pieces_is_never_shown():
    text = StopTexts(("END",))
    assert [text.add(piece) for piece in ("one E", "N", "D two")] == ["one ", "", ""]
    assert text.stopped
    assert text.ready == "one "
    assert text.add("more") == text.close() == ""
    assert text.ready == "one "


def test_a_beginning_that_does_not_go_on_is_shown():
    text = StopTexts(("END",))
    assert [text.add("one EN"), text.add("TER")] == ["one ", "ENTER"]


def test_what_is_held_back_is_shown_in_the_end():
    text = StopTexts(("END",))
    assert [text.add("one EN"), text.close()] == ["one ", "EN"]
    assert text.ready == "one EN"


def test_the_first_of_several_stops():
    text = StopTexts(("", "three", "two"))
    assert text.add("one two three") == "one "


@pytest.mark.parametrize("pieces", [["aaab"], ["a", "a", "a", "b"], ["aa", "ab"]])
def test_a_stop_text_that_overlaps_itself(pieces):
    text = StopTexts(("aab",))
    assert "".join(text.add(piece) for piece in pieces) == "a"
    assert text.stopped
