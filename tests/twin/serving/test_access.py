import pytest
from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError
from twin.serving.access import Keys
from twin.serving.errors import ApiError

KEYS = Keys([SecretStr("first"), SecretStr("second")])


@pytest.mark.parametrize("header", ["Bearer first", "bearer second", "BEARER  first "])
def test_each_key_opens(header):
    KEYS.check(header)


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


def test_a_key_is_not_kept():
    assert "first" not in repr(vars(KEYS))
