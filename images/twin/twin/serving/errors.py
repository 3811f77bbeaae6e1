"""Errors of the endpoint, all in OpenAI's shape: ``{"error": {message, type, param, code}}``
(https://platform.openai.com/docs/guides/error-codes)."""

from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from twin.domain.errors import BadDataError

RETRY_AFTER_SECONDS = 5


class ApiError(Exception):
    """A request that is refused, with the status and the words that its caller gets."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        headers: dict[str, str] | None = None,
        kind: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}
        self.kind = kind or _type(status)

    @classmethod
    def overloaded(cls) -> Self:
        """All replicas are busy and the queue before them is full."""
        return cls(
            503,
            "too many requests are waiting: try again in a few seconds",
            code="overloaded",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    @classmethod
    def unavailable(cls, model: str) -> Self:
        """The model is known, but nothing that runs can answer as it now."""
        return cls(
            503,
            f"{model} can't answer now: try again in a few seconds",
            code="model_unavailable",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    @classmethod
    def unknown_model(cls, model: str, known: list[str]) -> Self:
        """No such model is in service."""
        there = ", ".join(known) or "none yet"
        return cls(
            404,
            f"no model {model!r} in service: there is {there}",
            code="model_not_found",
            param="model",
        )

    @classmethod
    def forbidden(cls, message: str, *, param: str | None = None) -> Self:
        """The key is known, and what is asked is not among its rights."""
        return cls(403, message, code="insufficient_permissions", param=param)

    @classmethod
    def failed(cls) -> Self:
        """A defect: its details are in the log, under the request's id, and not for callers."""
        return cls(500, "the answer failed: the log has the reason", code="internal_error")

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        """The HTTP response."""
        return JSONResponse(self.body(), self.status, self.headers)


def _type(status: int) -> str:
    """OpenAI's name of the kind of error."""
    if status == 401:
        return "authentication_error"
    if status == 403:
        return "permission_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def install(app: FastAPI) -> None:
    """Make every error of ``app`` leave as JSON in OpenAI's shape."""
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(BadDataError, _bad_data)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)  # noqa: S101 - narrows what Starlette hands over
    return error.response()


async def _bad_data(_: Request, error: Exception) -> JSONResponse:
    return ApiError(400, str(error), code="invalid_value").response()


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json").response()
    if not where and not _says_json(request) and first["type"] in _NO_OBJECT:
        return ApiError(
            415,
            "send the body as JSON, with the header 'Content-Type: application/json'",
            code="unsupported_media_type",
        ).response()
    message = _plain_words(first)
    text = f"{where}: {message}" if where else message
    param = where or _named(message)
    return ApiError(400, text, code="invalid_value", param=param).response()


#: What the validator says of a body that it was not given as JSON, or that is no object.
_NO_OBJECT = frozenset({"model_attributes_type", "model_type", "dict_type", "missing"})

#: The validator's names of faults, in words that need no knowledge of it.
_WORDS = {
    "missing": "must be given",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "list_type": "must be a list",
    "too_long": "must have at most {max_length} items",
    **dict.fromkeys(("literal_error", "enum"), "must be {expected}"),
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_from_float", "int_parsing_size"),
        "must be a whole number",
    ),
    **dict.fromkeys(("model_attributes_type", "model_type", "dict_type"), "must be a JSON object"),
}


def _plain_words(fault: dict[str, Any]) -> str:
    words = _WORDS.get(fault["type"])
    if words is None:
        return str(fault["msg"]).removeprefix("Value error, ")
    text = words.format(**fault.get("ctx", {}))
    return text if fault["loc"] != ("body",) else f"the body {text}"


def _named(message: str) -> str | None:
    """The parameter that a message begins with, where it is of the request as a whole."""
    name, _, rest = message.partition(" ")
    return name if rest == "is not supported" else None


def _says_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    return ApiError(error.status_code, str(error.detail), code=phrase, headers=headers).response()
