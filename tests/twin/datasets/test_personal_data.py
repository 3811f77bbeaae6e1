"""Personal data goes, all else stays."""

from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.twin.corpora import document
from twin.datasets.personal_data import Redactor
from twin.recipes import PersonalDataSection
from twin.text.personal_data import PersonalDataDetector

KNOBS = PersonalDataSection(names=("Bob Miller", "Ann Lee", "\u738b\u5c0f\u660e"))


DETECTOR = PersonalDataDetector(KNOBS.names, "Ann Lee")


@cache
def redactor_of(knobs: PersonalDataSection) -> Redactor:
    return Redactor(knobs, "Ann Lee")


def redacted(text: str, knobs: PersonalDataSection = KNOBS) -> str:
    """The text without personal data, of which the detector counts as much."""
    redactor = redactor_of(knobs)
    redactor.counts.clear()
    found = redactor.text(text)
    if knobs == KNOBS:
        assert DETECTOR.counts(text) == redactor.counts
    return found


JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.dGhlIHNpZ25hdHVyZQ"


REPLACED = [
    ("Write to ann.lee+blog@example.co.uk, please.", "Write to [EMAIL_ADDRESS], please."),
    ("Call +44 20 7946 0958 today.", "Call [PHONE_NUMBER] today."),
    ("Call (212) 555-0143 or 212-555-0143.", "Call [PHONE_NUMBER] or [PHONE_NUMBER]."),
    ("Card 4111 1111 1111 1111 was", "Card [CREDIT_CARD] was"),
    ("to GB33BUKB20201555555555 by", "to [IBAN_CODE] by"),
    ("key AKIAIOSFODNN7EXAMPLE!", "key [SECRET_KEY]!"),
    (f"token {JWT} ends", "token [SECRET_KEY] ends"),
    ("use ghp_" + "a1B2" * 9 + " now", "use [SECRET_KEY] now"),
    ("sk-proj-" + "a1B2" * 8, "[SECRET_KEY]"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc\n-----END RSA PRIVATE KEY-----\nafter",
        "[SECRET_KEY]\nafter",
    ),
    ("Bob Miller said so; bob is fine.", "[PERSON] said so; bob is fine."),
    ("`sk-" + "a1B2" * 8 + "`", "`[SECRET_KEY]`"),
    ("npm_" + "a1B2" * 9, "[SECRET_KEY]"),
    ("pypi-AgEIcHlwaS5vcmc" + "a1B2" * 20, "[SECRET_KEY]"),
    ("SG." + "a1B2" * 5 + "xy." + "a1B2" * 10 + "xyz", "[SECRET_KEY]"),
    (
        "curl -H 'Authorization: Bearer " + "a1B2" * 8 + "'",
        "curl -H 'Authorization: [SECRET_KEY]'",
    ),
    ("postgres://ann:hunter2pass@db.example:5432/x", "postgres[SECRET_KEY]/x"),
    ("AWS_SECRET_ACCESS_KEY=" + "a1B/" * 10, "[SECRET_KEY]"),
    ("J\u00fcrgen: j\u00fcrgen@m\u00fcller.de", "J\u00fcrgen: [EMAIL_ADDRESS]"),
    (
        "\u8bf7\u5199\u4fe1\u5230ann@example.org\u3002",
        "\u8bf7\u5199\u4fe1\u5230[EMAIL_ADDRESS]\u3002",
    ),
    ("\u7535\u8bdd+44 20 7946 0958\u3002", "\u7535\u8bdd[PHONE_NUMBER]\u3002"),
    ("\u5bc6\u94a5AKIAIOSFODNN7EXAMPLE\u3002", "\u5bc6\u94a5[SECRET_KEY]\u3002"),
    (
        "\u4ed6\u662f\u738b\u5c0f\u660e\u5148\u751f\u3002",
        "\u4ed6\u662f[PERSON]\u5148\u751f\u3002",
    ),
    ("\u4ed6\u662fBob Miller\u5148\u751f", "\u4ed6\u662f[PERSON]\u5148\u751f"),
    ("+44 20 7946 0958\u4eca\u5929", "[PHONE_NUMBER]\u4eca\u5929"),
    ("as Bob Miller\u00b2 has it", "as [PERSON]\u00b2 has it"),
    ("    x = 1\n\nWrite to ann@example.org.", "    x = 1\n\nWrite to [EMAIL_ADDRESS]."),
    ("to GB33-BUKB-2020-1555-5555-55 by", "to [IBAN_CODE] by"),
    ("ES91 2100 0418 4502 0005 1332 2024", "[IBAN_CODE] 2024"),
    ("\u53614111111111111111\u3002", "\u5361[CREDIT_CARD]\u3002"),
]


@pytest.mark.parametrize(("text", "expected"), REPLACED)
def test_personal_data_is_replaced_by_its_kind(text, expected):
    assert redacted(text) == expected
    assert redacted(expected) == expected


KEPT = [
    "Ann Lee wrote this, and Ann signed it.",
    "On 2024-05-01 10:00, version 1.2.3 served 1,642 requests at 192.168.0.1:8080.",
    "arXiv 2106.09685, ISBN 978-3-16-148410-0, port 27117, 0.9999, 10² and +5 or (12) 34",
    "Card 4111 1111 1111 1112 fails its checksum; GB00BUKB20201555555555 does too.",
    "```py\nmail = 'ann@example.org'\nphone = '+44 20 7946 0958'\n```",
    "`git@github.com:ann/twin.git` and @ann, a@b",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "skip-the-line-of-things, task-a-very-long-name",
    "550e8400-e29b-41d4-a716-446655440000",
    "see https://ann.example:8080/@ann and http://localhost:5000/x?a=b@c",
    "Bearer authentication-or-authorisation",
    "AWS_SECRET_ACCESS_KEY=$SECRET and npm_config_registry",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_personal_data_stays(text):
    assert redacted(text) == text


def test_keys_in_code_go_too():
    assert redacted("```sh\nexport KEY=AKIAIOSFODNN7EXAMPLE\n```") == (
        "```sh\nexport KEY=[SECRET_KEY]\n```"
    )


def test_a_recipe_may_keep_kinds_or_all():
    text = "ann@example.org, +44 20 7946 0958"
    phones = PersonalDataSection(kinds=("PHONE_NUMBER",))
    assert redacted(text, phones) == "ann@example.org, [PHONE_NUMBER]"
    assert redacted(text, PersonalDataSection(redact=False)) == text


def test_a_chunk_keeps_its_lineage_and_the_counts_are_by_kind():
    [chunk] = document("d", 1)
    chunk = chunk.model_copy(
        update={"text": "a@example.org and b@example.org", "headings": ("Mail c@example.org",)}
    )
    redactor = Redactor(KNOBS, "Ann Lee")
    found = redactor.chunk(chunk)
    assert DETECTOR.counts(chunk.title, *chunk.headings, chunk.text) == redactor.counts
    assert found.text == "[EMAIL_ADDRESS] and [EMAIL_ADDRESS]"
    assert found.headings == ("Mail [EMAIL_ADDRESS]",)
    assert (found.id, found.document_id) == (chunk.id, chunk.document_id)
    assert redactor.counts == {"EMAIL_ADDRESS": 3}
    [untouched] = document("d", 1)
    assert redactor.chunk(untouched) is untouched


PIECES = st.sampled_from(
    [
        *(text for text, _ in REPLACED),
        *KEPT,
        *(
            "ann@example.org",
            "Bob Miller",
            "bob miller",
            "Ann Lee",
            "\u738b\u5c0f\u660e",
            "\u212aBob",
        ),
        *("+44 20 7946 0958", "(212) 555-0143", "4111111111111111", "4111-1111", "GB33", "0.", "1"),
        *("AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9", "-----BEGIN PRIVATE KEY-----"),
        *("://", "@", ".", "-", "_", "a", "\u00e9", "\u0663", "\u3002"),
        *(" ", "  ", "\n", "\n\n", "\n    ", "\n> ", "`", "```", "\n```\n", "\n~~~\n", "\t"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=9).map("".join))
@example("4111 111 111 1111")
@example("(212) 555-0143+44 20 7946 0958")
@example("Bob MillerBob Miller Bob\nMiller")
def test_the_detector_counts_what_the_redactor_replaces(text):
    redacted(text)


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("ab Z.\n-`1"), max_size=60), st.text("xyz .\n", max_size=60))
def test_only_the_address_goes(before, after):
    text = f"{before.replace('`', '')}\nann@example.org\n{after}"
    assert "ann@example.org" not in redacted(text)
    assert redacted(text).endswith(f"[EMAIL_ADDRESS]\n{after}")


def test_the_handbook_holds_none(root):
    redactor = Redactor(PersonalDataSection(), "The Keeper of the Handbook")
    for path in (root / "include" / "handbook").glob("*.md"):
        text = path.read_text()
        assert redactor.text(text, "en") == text, path
    assert not redactor.counts


def test_the_chunks_language_says_how_numbers_are_written():
    [chunk] = document("d", 1)
    german = chunk.model_copy(update={"text": "Tel. 030/12345678", "language": "de"})
    assert Redactor(KNOBS, "Ann Lee").chunk(german).text == "Tel. [PHONE_NUMBER]"
    english = german.model_copy(update={"language": "en"})
    assert Redactor(KNOBS, "Ann Lee").chunk(english) is english
