"""Stored text on a terminal."""

from twin.domain.terminal import printable


def test_control_characters_are_shown_and_not_obeyed():
    assert printable("a\x1b[31mb\x07\x9b2J\r") == "a�[31mb��2J�"
    assert printable("tab\tand\nline, é and 漢") == "tab\tand\nline, é and 漢"
