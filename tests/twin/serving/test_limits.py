"""The limit on bodies, to the byte, whether their length is announced or not."""

import asyncio

import pytest

from twin.serving.limits import BodyLimit

LIMIT = 10


def post(size, *, announced=None, pieces=1):
    """Status of a request with a body of so many bytes, and whether the application read it."""
    sent, calls = [], []

    async def application(scope, receive, send):
        calls.append(scope)
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    length = size // pieces
    bodies = [b"x" * length] * (pieces - 1) + [b"x" * (size - length * (pieces - 1))]

    async def receive():
        return {"type": "http.request", "body": bodies.pop(0), "more_body": bool(bodies)}

    async def send(message):
        sent.append(message)

    headers = [] if announced is None else [(b"content-length", str(announced).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    try:
        asyncio.run(BodyLimit(application, LIMIT)(scope, receive, send))
    except Exception as error:  # what FastAPI answers with
        return error.status_code, bool(calls)
    return sent[0]["status"], bool(calls)


@pytest.mark.parametrize(("size", "answer"), [(0, (200, True)), (LIMIT, (200, True))])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_body_as_long_as_the_limit_is_taken(size, answer, pieces):
    assert post(size, announced=size, pieces=pieces) == answer
    assert post(size, pieces=pieces) == answer


def test_a_body_that_is_announced_as_longer_is_never_read():
    assert post(LIMIT + 1, announced=LIMIT + 1) == (413, False)


@pytest.mark.parametrize("announced", [None, LIMIT, 3])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_body_that_turns_out_to_be_longer_is_refused(announced, pieces):
    assert post(LIMIT + 1, announced=announced, pieces=pieces) == (413, True)
