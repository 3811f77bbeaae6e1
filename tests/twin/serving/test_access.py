from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from twin.domain.api_key import ApiKey, KeyLimits, Right, Secret, key_digest, new_key_text
from twin.domain.errors import BadConfigurationError
from twin.serving.access import Keys
from twin.serving.errors import ApiError

KEYS = Keys([SecretStr("first"), SecretStr("second")])
NOW = datetime.now(UTC)
TEXT = new_key_text()


def stored(text=TEXT, expires=None, **more):
    fields = {"name": "ada", "rights": (Right.ASK,), "created": NOW, "created_by": "root"}
    secrets = (Secret(digest=key_digest(text), created=NOW, expires=expires),)
    return ApiKey(**{**fields, "secrets": secrets, **more})


def known(*keys, defaults=None):
    made = Keys([SecretStr("first")], defaults)
    made.replace(keys)
    return made


def refusal(keys, text):
    with pytest.raises(ApiError) as error:
        keys.check(f"Bearer {text}")
    return error.value


@pytest.mark.parametrize("header", ["Bearer first", "bearer second", "BEARER  first "])
def test_each_key_opens(header):
    caller = KEYS.check(header)
    assert caller.rights == frozenset(Right)
    assert caller.twins is None
    assert not caller.limits.any


def test_keys_of_the_settings_are_told_apart_and_have_the_same_id_in_every_replica():
    assert KEYS.check("Bearer first").id == Keys([SecretStr("first")]).check("Bearer first").id
    assert KEYS.check("Bearer first").id != KEYS.check("Bearer second").id


@pytest.mark.parametrize(
    "header", [None, "", "first", "Bearer", "Bearer ", "Bearer third", "Basic first", "Bearer firs"]
)
def test_everything_else_is_a_401(header):
    with pytest.raises(ApiError) as error:
        KEYS.check(header)
    assert error.value.status == 401
    assert error.value.headers["WWW-Authenticate"] == "Bearer"


def test_without_a_key_the_endpoint_does_not_start():
    with pytest.raises(BadConfigurationError, match="TWIN_API_KEYS"):
        Keys([])


def test_a_mistyped_key_of_the_settings_is_said_at_the_start_and_not_shown():
    with pytest.raises(BadConfigurationError, match="TWIN_API_KEYS") as error:
        Keys([SecretStr("fine"), SecretStr(TEXT[:-1])])
    assert TEXT[:-1] not in str(error.value)
    Keys([SecretStr(TEXT)])


def test_a_key_is_not_kept():
    assert "first" not in repr(vars(KEYS))
    assert TEXT not in repr(vars(known(stored())))


def test_a_key_of_the_warehouse_is_who_it_says_with_its_limits_over_the_defaults():
    key = stored(twins=("twin-a",), limits=KeyLimits(tokens_per_day=5))
    caller = known(key, defaults=KeyLimits(requests_per_minute=7)).check(f"Bearer {TEXT}")
    assert (caller.id, caller.name) == (key.id, "ada")
    assert caller.rights == {Right.ASK}
    assert caller.twins == {"twin-a"}
    assert caller.limits == KeyLimits(requests_per_minute=7, tokens_per_day=5)


def test_unknown_over_and_revoked_keys_are_refused_in_the_same_words():
    past = NOW - timedelta(seconds=1)
    key_over = stored().model_copy(update={"expires": past})
    nothing_right = [
        known(),
        known(stored(new_key_text())),
        known(stored(revoked=NOW)),
        known(stored(expires=past)),
        known(key_over),
    ]
    refusals = [refusal(keys, TEXT) for keys in nothing_right]
    assert {(one.status, one.code, one.message) for one in refusals} == {
        (401, "invalid_api_key", refusals[0].message)
    }


def test_keys_that_are_gone_from_the_warehouse_open_nothing():
    keys = known(stored())
    keys.check(f"Bearer {TEXT}")
    keys.replace([])
    assert refusal(keys, TEXT).status == 401
    keys.check("Bearer first")


def test_a_mistyped_key_is_said():
    assert "mistyped" in refusal(known(stored()), TEXT[:-2]).message


def test_until_the_warehouse_was_read_once_an_unknown_key_may_be_one_of_its():
    keys = Keys([SecretStr("first")])
    keys.await_stored()
    refused = refusal(keys, TEXT)
    assert (refused.status, refused.code) == (503, "keys_unavailable")
    assert refused.headers["Retry-After"]
    assert refusal(keys, TEXT[:-1]).status == 401
    keys.check("Bearer first")
    keys.replace([])
    assert refusal(keys, TEXT).status == 401
