"""Bylines as sites write them, and whose document a text is."""

import pytest

from twin.crawl.authorship import Authorship, guest_id, names_in, same_name
from twin.recipes import AuthorSection

LILIAN = AuthorSection(id="lilian", name="Lilian Weng", aliases=("lilianw", "L'il Log"))


@pytest.mark.parametrize(
    ("byline", "names"),
    [
        ("By Jane Doe", ["Jane Doe"]),
        ("Written by: Dr. Jane Doe, PhD", ["Jane Doe"]),
        ("Jane Doe and John Roe", ["Jane Doe", "John Roe"]),
        ("Jane Doe, John Roe & Max Mustermann", ["Jane Doe", "John Roe", "Max Mustermann"]),
        ("von Jane Doe und John Roe", ["Jane Doe", "John Roe"]),
        ("Doe, Jane", ["Jane Doe"]),
        ("jane@example.org (Jane Doe)", ["Jane Doe"]),
        ("Jane Doe <jane@example.org>", ["Jane Doe"]),
        ("Byron Band", ["Byron Band"]),
        ("Andy Anderson", ["Andy Anderson"]),
        ("admin", []),
        ("The Editorial Team", []),
        ("https://medium.com/@jane", []),
        ("jane@example.org", []),
        ("", []),
        ("By a very long sentence that is the text's first and no name at all", []),
    ],
)
def test_names_in_a_byline(byline: str, names: list[str]) -> None:
    assert names_in(byline) == names


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("lilian weng", "Lilian Weng", True),
        ("L. Weng", "Lilian Weng", True),
        ("Weng Lilian", "Lilian Weng", True),
        ("Lilian M. Weng", "Lilian Weng", True),
        ("@lilianweng", "Lilian Weng", True),
        ("Lilian", "Lilian Weng", True),
        ("Jose Nunez", "José Núñez", True),
        ("Dr. Jane Doe", "Jane Doe", True),
        ("Jean-Luc Picard", "Jean Luc Picard", True),
        ("Sean O'Brien", "Sean O\u2019Brien", True),
        ("Lena Weng", "Lilian Weng", False),
        ("Lilian Wang", "Lilian Weng", False),
        ("J. M. Doe", "Jane Alice Doe", False),
        ("A", "Alan Turing", False),
        ("", "Lilian Weng", False),
    ],
)
def test_same_name(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
    assert same_name(other, one) is same


@pytest.mark.parametrize(
    "byline", [None, "", "Lilian Weng", "by LILIANW", "Admin", "Lil'Log", "lilianweng.github.io",
               "Jane Doe, Lilian Weng", "Lilian"],
)  # fmt: skip
def test_the_author_is_who_is_named_so_or_nobody(byline: str | None) -> None:
    writer = Authorship(LILIAN, nobody=["lilianweng.github.io", "Lil'Log"]).of(byline)
    assert (writer.id, writer.name, writer.is_guest) == ("lilian", "Lilian Weng", False)


def test_a_guest_has_an_id_of_their_own_unless_included() -> None:
    writer = Authorship(LILIAN).of("By Dr. José Núñez and Jane Doe")
    assert (writer.id, writer.name, writer.is_guest) == ("jose-nunez", "José Núñez", True)
    assert Authorship(LILIAN, guests_included=True).of("José Núñez").id == "lilian"


@pytest.mark.parametrize("name", ["李雷", "50 Cent", "Ø", "x" * 90, "Jane Doe"])
def test_an_id_of_a_guest_is_one_that_recipes_may_have(name: str) -> None:
    assert AuthorSection(id=guest_id(name), name=name)
    assert guest_id("李雷") != guest_id("韩梅梅")
