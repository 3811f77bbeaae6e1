"""What a publisher says of machines, as servers and sites write it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.crawl.rights import TdmDeclaration, reserved_by_robots, reserved_by_tdm_header


@pytest.mark.parametrize(
    ("value", "reserved"),
    [
        ("noai", {"noai"}),
        ("NoIndex, follow", {"noindex"}),
        ("none", {"noindex"}),
        ("noai, noimageai", {"noai"}),
        ("noimageai", set()),  # it is the text that we read
        ("all", set()),
        ("", set()),
        ("otherbot: noindex", set()),
        ("llm-twin: noai", {"noai"}),
        ("*: noai", {"noai"}),
        ("unavailable_after: 25 Jun 2010 15:00:00 PST", set()),
        ("max-snippet:-1, noindex", {"noindex"}),
        ("noindexed", set()),
    ],
)
def test_robots_values(value: str, reserved: set[str]) -> None:
    assert reserved_by_robots([value]) == reserved


def test_several_robots_values_add_up() -> None:
    assert reserved_by_robots(["noai", "noindex"]) == {"noai", "noindex"}


@pytest.mark.parametrize(("value", "reserved"), [("1", {"tdm"}), ("0", set()), ("yes", set())])
def test_tdm_header(value: str, reserved: set[str]) -> None:
    assert reserved_by_tdm_header([value]) == reserved
    assert reserved_by_tdm_header([]) == set()


def declaration(*rules: object) -> TdmDeclaration:
    return TdmDeclaration(json.dumps(rules).encode())


def test_the_first_rule_that_matches_decides() -> None:
    declared = declaration(
        {"location": "/free/*", "tdm-reservation": 0},
        {"location": "/*.pdf$", "tdm-reservation": 1},
        {"location": "/notes", "tdm-reservation": "1", "tdm-policy": "https://x/policy"},
    )
    assert declared.reserves("https://a.example/report.pdf")
    assert declared.reserves("https://a.example/notes/1?b=c")
    assert not declared.reserves("https://a.example/free/report.pdf")
    assert not declared.reserves("https://a.example/report.pdf?x=1")
    assert not declared.reserves("https://a.example/")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'"x"', b"[1, null]", b"[" * 100_000, b'[{"location": 1}]', b"\xff"],
)
def test_what_is_no_declaration_declares_nothing(body: bytes) -> None:
    assert not TdmDeclaration(body).reserves("https://a.example/")


def test_a_location_cannot_smuggle_rules_in() -> None:
    declared = declaration({"location": "/a\nDisallow: /", "tdm-reservation": 1})
    assert not declared.reserves("https://a.example/b")


@given(st.lists(st.text()))
def test_no_header_breaks_the_reader(values: list[str]) -> None:
    assert reserved_by_robots(values) <= {"noai", "noindex"}
    assert reserved_by_tdm_header(values) <= {"tdm"}


@given(st.text())
def test_no_pattern_breaks_the_matcher(location: str) -> None:
    assert declaration({"location": location, "tdm-reservation": 1}).reserves(
        "https://a.example/x"
    ) in {True, False}
