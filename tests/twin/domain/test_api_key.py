from datetime import UTC, datetime, timedelta

import pytest

from twin.domain.api_key import (
    ALPHABET,
    PREFIX,
    ApiKey,
    KeyLimits,
    Right,
    Secret,
    is_mistyped,
    key_digest,
    new_key_text,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def key(**more):
    secrets = (Secret(digest="a", created=NOW),)
    fields = {"name": "ada", "secrets": secrets, "rights": (Right.ASK,), "created": NOW}
    return ApiKey(created_by="root", **{**fields, **more})


def test_keys_differ_and_are_well_formed():
    texts = {new_key_text() for _ in range(100)}
    assert len(texts) == 100
    assert all(text.startswith(PREFIX) and text.isascii() for text in texts)
    assert {len(text) for text in texts} == {54}
    assert not any(map(is_mistyped, texts))


def test_any_wrong_letter_is_seen():
    text = new_key_text()
    for place in range(len(PREFIX), len(text)):
        other = next(letter for letter in ALPHABET if letter != text[place])
        assert is_mistyped(text[:place] + other + text[place + 1 :])


def test_a_key_that_is_cut_off_or_has_more_is_seen():
    text = new_key_text()
    assert all(map(is_mistyped, [text[:-1], text + "a", PREFIX]))


def test_keys_of_another_make_are_not_judged():
    assert not any(map(is_mistyped, ["", "twin-abc", "sk-123", "TWIN_abc"]))


def test_the_checksum_is_the_one_that_scanners_are_told_of():
    # CRC-32 of all before it, in base 62 by digits, lower case, upper case.
    body = PREFIX + "0" * 43
    assert not is_mistyped(f"{body}27SiRL")


def test_the_digest_is_sha256():
    assert key_digest("abc").startswith("ba7816bf8f01cfea414140de5dae2223")


@pytest.mark.parametrize(
    ("more", "live"),
    [
        ({}, True),
        ({"expires": NOW + timedelta(seconds=1)}, True),
        ({"expires": NOW}, False),
        ({"revoked": NOW - timedelta(days=1)}, False),
        ({"revoked": NOW, "expires": NOW + timedelta(days=1)}, False),
    ],
)
def test_a_key_opens_until_it_is_over_or_revoked(more, live):
    made = key(**more)
    assert made.is_live(NOW) == live
    assert made.opens(made.secrets[0], NOW) == live


def test_a_secret_may_end_before_its_key():
    old = Secret(digest="b", created=NOW, expires=NOW + timedelta(hours=1))
    assert key().opens(old, NOW)
    assert not key().opens(old, NOW + timedelta(hours=1))


def test_limits_of_a_key_go_before_the_defaults_and_zero_means_none():
    defaults = KeyLimits(requests_per_minute=10, tokens_per_day=20, concurrent_requests=3)
    own = KeyLimits(requests_per_minute=5, tokens_per_day=0).over(defaults)
    assert own == KeyLimits(requests_per_minute=5, tokens_per_day=0, concurrent_requests=3)
    assert own.any
    assert not KeyLimits(requests_per_minute=0, tokens_per_day=0).any
    assert not KeyLimits().any
