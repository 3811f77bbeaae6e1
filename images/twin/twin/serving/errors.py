"""Errors of the endpoint, all in OpenAI's shape: ``{"error": {message, type, param, code}}``
(https://platform.openai.com/docs/guides/error-codes)."""

from http import HTTPStatus
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from twin.domain.errors import BadDataError, TryAgainError

RETRY_AFTER_SECONDS = 5


class OverloadedError(TryAgainError):
    """The queue before the engine is full."""


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
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

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
    def failed(cls) -> Self:
        """A defect: its details are in the log, under the request's id, and not for callers."""
        return cls(500, "the answer failed: the log has the reason", code="internal_error")

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {
            "error": {
                "message": self.message,
                "type": _type(self.status),
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


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        return ApiError(400, "the body is not valid JSON", code="invalid_json").response()
    message = first["msg"].removeprefix("Value error, ")
    text = f"{where}: {message}" if where else message
    return ApiError(400, text, code="invalid_value", param=where or None).response()


async def _http_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    phrase = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    headers = dict(error.headers or {})
    return ApiError(error.status_code, str(error.detail), code=phrase, headers=headers).response()
