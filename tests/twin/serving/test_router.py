import pytest
from grpc import RpcError
from ray.exceptions import RayTaskError

from twin.domain.errors import BadDataError, OverloadedError, TryAgainError
from twin.serving.errors import RETRY_AFTER_SECONDS, ApiError
from twin.serving.router import _told
from twin.serving.routing import Target

TARGET = Target(model="twin-a", version="7", max_question_characters=100)


def raised(cause: Exception) -> Exception:
    """As Ray hands over what a replica raised."""
    return RayTaskError("Version.answer", "a traceback", cause).as_instanceof_cause()


def test_a_store_that_is_away_is_a_503_that_says_when_to_come_again():
    told = _told(raised(TryAgainError("Qdrant at http://qdrant:6333 does not answer")), TARGET)
    assert isinstance(told, ApiError)
    assert (told.status, told.code) == (503, "model_unavailable")
    assert told.headers["Retry-After"] == str(RETRY_AFTER_SECONDS)
    assert "qdrant" not in told.message


@pytest.mark.parametrize("wrapped", [raised, lambda cause: cause])
def test_a_full_queue_before_the_engine_is_said_as_such(wrapped):
    told = _told(wrapped(OverloadedError("too many requests wait")), TARGET)
    assert isinstance(told, ApiError)
    assert (told.status, told.code) == (503, "overloaded")


def test_a_channel_that_breaks_is_a_replica_that_ended():
    told = _told(RpcError("Socket closed"), TARGET)
    assert isinstance(told, ApiError)
    assert (told.status, told.code) == (503, "model_unavailable")


def test_a_question_that_can_not_be_answered_is_a_400_in_the_replicas_words():
    told = _told(raised(BadDataError("the question is empty")), TARGET)
    assert isinstance(told, ApiError)
    assert (told.status, told.message) == (400, "the question is empty")


def test_a_defect_stays_one():
    defect = raised(ZeroDivisionError("division by zero"))
    assert _told(defect, TARGET) is defect
    with pytest.raises(ZeroDivisionError):
        raise defect
