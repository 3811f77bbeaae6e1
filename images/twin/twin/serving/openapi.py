"""The endpoint's OpenAPI document: ``/openapi.json``, read without a key."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from twin.serving.access import is_guarded
from twin.serving.response_schema import ErrorBody

DOCUMENT = "/openapi.json"
BEARER = "key"

DESCRIPTION = """\
A twin of an author's writing: it answers in the author's manner, from the author's texts, and says
which text each sentence comes from. It speaks OpenAI's chat completions, responses, completions
and embeddings. Paths under `/v1/`, and `/metrics`, want a key: `Authorization: Bearer KEY`. A field
that is `null` is as if it were not there. What would change an answer and can't be honoured is
refused by name. `refused` answers say that the author has not written about it.
"""

#: Each status that a route may refuse with, in words.
REFUSALS = {
    400: "the request is malformed, or asks for what can't be done",
    401: "no valid key",
    403: "the key has no right to this",
    404: "there is no such thing",
    405: "the path takes other methods",
    413: "the body is too large",
    415: "the body is not JSON",
    429: "a limit of the key is reached: wait as `Retry-After` says",
    500: "a defect: the log has the reason, under the request's id",
    503: "what answers is away or too busy: wait as `Retry-After` says",
}


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's errors, for its ``responses``."""
    return {status: {"model": ErrorBody, "description": REFUSALS[status]} for status in statuses}


#: Of a route that needs a key, and of one that reads a body too.
READING = refusals(401, 403, 404, 429, 500, 503)
ASKING = refusals(400, 401, 403, 404, 413, 415, 429, 500, 503)


def describe(app: FastAPI) -> None:
    """Have ``app`` describe itself: with the key, and with no error that it never sends."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version="1", description=DESCRIPTION, routes=app.routes)
    found["components"]["securitySchemes"] = {BEARER: {"type": "http", "scheme": "bearer"}}
    for path, methods in found["paths"].items():
        for operation in methods.values():
            if is_guarded(path):
                operation["security"] = [{BEARER: []}]
            content = operation["responses"]["200"].get("content", {})
            if "text/plain" in content:
                content.pop("application/json", None)
            # FastAPI's own answer to what is malformed; ours is a 400.
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        found["components"]["schemas"].pop(name, None)
    return found
