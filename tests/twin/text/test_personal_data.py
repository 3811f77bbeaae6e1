"""What counts as personal data, and what does not."""

import time
from itertools import pairwise

import pytest

from twin.text.personal_data import Find, PersonalDataDetector, rules_of_names

DETECTOR = PersonalDataDetector(("Bob Miller", "Bob", "Ann Lee", "\u738b\u5c0f\u660e"), "Ann Lee")
MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann@example.org or bob@example.org.", {"EMAIL_ADDRESS": 2}),
        ("Call +44 20 7946 0958, or (212) 555-0143.", {"PHONE_NUMBER": 2}),
        ("4111 1111 1111 1111 and 4111 1111 1111 1112", {"CREDIT_CARD": 1}),
        ("GB33BUKB20201555555555, not GB00BUKB20201555555555", {"IBAN_CODE": 1}),
        ("AKIAIOSFODNN7EXAMPLE", {"SECRET_KEY": 1}),
        ("BOB MILLER met bob; \u4ed6\u662f\u738b\u5c0f\u660e\u3002", {"PERSON": 3}),
        ("Ann Lee wrote this, and Ann signed it.", {}),
        ("Kaboba and bobsled are no people.", {}),
        ("`ann@example.org` and `AKIAIOSFODNN7EXAMPLE`", {"SECRET_KEY": 1}),
        ("", {}),
    ],
)
def test_items_are_counted_by_kind(text, expected):
    assert DETECTOR.counts(text) == expected


def test_a_find_says_where_and_what_kind_but_not_what():
    assert DETECTOR.finds("Write to ann@example.org!") == [Find(9, 24, "EMAIL_ADDRESS")]


def test_of_items_that_overlap_the_longest_counts():
    text = "postgres://ann:hunter2pass@db.example:5432/x"
    assert DETECTOR.finds(text) == [Find(8, 42, "SECRET_KEY")]
    assert PersonalDataDetector(("Bob", "Bob Miller")).finds("Bob Miller") == [
        Find(0, 10, "PERSON")
    ]


@pytest.mark.parametrize("code", ["    x = 1", "\tx = 1", "```\nx\n```", "> ~~~\n> x\n> ~~~"])
def test_code_ends_where_it_ends(code):
    text = f"{code}\n\nWrite to ann@example.org."
    assert DETECTOR.counts(text) == {"EMAIL_ADDRESS": 1}
    assert DETECTOR.counts(text, text) == {"EMAIL_ADDRESS": 2}


def test_an_authors_own_name_stays_even_if_it_is_an_address():
    text = "ann@example.org"
    assert PersonalDataDetector((), text).counts(text) == {}


def test_without_names_there_is_nobody_to_find():
    assert rules_of_names(()) == ()
    assert PersonalDataDetector().counts("Bob Miller") == {}


def test_the_digest_changes_with_what_would_be_found():
    same = PersonalDataDetector(("Ann Lee", "Bob", "\u738b\u5c0f\u660e", "Bob Miller"), "Ann Lee")
    others = [
        PersonalDataDetector(("Bob",), "Ann Lee"),
        PersonalDataDetector((), "Ann Lee"),
        PersonalDataDetector((), ""),
    ]
    digests = {DETECTOR.digest, *(other.digest for other in others)}
    assert len(digests) == 4
    assert same.digest == DETECTOR.digest


@pytest.mark.parametrize(
    "unit",
    [
        *("a", "1", "1 ", "a.", "\u0663", "+1 ", "(12)", "123-456-", "GB33"),
        *("a@", "@a.", "ann@a.org "),
        *("-eyJabcdefgh", ".eyJabcdefgh", "sk-", "xoxb-1", "AKIA", "_secret_access_key", "://a:"),
        *("Bearer ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----"),
        *("`", "`a", "\n`", "\n>", "    ", "\n    a", "Bob ", "Bob", "\u738b\u5c0f"),
    ],
)
def test_a_line_of_a_megabyte_takes_seconds_whatever_it_repeats(unit):
    """No pattern reads a run once for each of its beginnings: that would take hours."""
    text = unit * (MEGABYTE // len(unit))
    started = time.process_time()
    found = DETECTOR.finds(text)
    assert time.process_time() - started < 20
    assert all(one.end <= other.start for one, other in pairwise(found))
