"""What an engine application says, as plain data that crosses between Python environments.

Items of a stream are ``{"text": …}``, and last either ``{"generation": …}`` or
``{"error": {"kind", "message"}}``.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any, Literal

from twin.domain.errors import BadDataError, TryAgainError
from twin.models.engines.engine import Engine, EngineRequest
from twin.models.language_model import Generation
from twin.serving.gathering import gathered

ErrorKind = Literal["bad_data", "try_again"]


async def answer_items(
    engine: Engine, request: dict[str, Any]
) -> AsyncGenerator[dict[str, Any], None]:
    """The items that an engine answers a request with."""
    try:
        pieces = gathered(engine.stream(EngineRequest.from_dict(request)))
        async with aclosing(pieces):
            async for piece in pieces:
                if isinstance(piece, Generation):
                    yield {"generation": asdict(piece)}
                else:
                    yield {"text": piece}
    except BadDataError as error:
        yield error_item("bad_data", str(error))
    except TryAgainError as error:
        yield error_item("try_again", str(error))


def error_item(kind: ErrorKind, message: str) -> dict[str, Any]:
    """The last item of a stream that failed in a way that its caller should know."""
    return {"error": {"kind": kind, "message": message}}


def read_item(item: dict[str, Any]) -> str | Generation:
    """What an item says.

    Raises:
        BadDataError: the request cannot be answered by this model.
        TryAgainError: the engine cannot answer now.
    """
    if error := item.get("error"):
        kind = BadDataError if error["kind"] == "bad_data" else TryAgainError
        raise kind(error["message"])
    if generation := item.get("generation"):
        return Generation(**generation)
    return str(item["text"])
