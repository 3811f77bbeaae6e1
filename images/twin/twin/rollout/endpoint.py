"""The endpoint as a rollout sees it: which weights are in force, and how a version answers."""

from typing import Any

import httpx
from pydantic import ValidationError

from twin.domain.answer import Answer
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings

CONNECT_SECONDS = 5.0

#: The status of an answer that may be another one a moment later.
PASSING = frozenset({502, 503, 504})


class Endpoint:
    """Asks the endpoint, as any caller does."""

    def __init__(self, settings: Settings) -> None:
        if not settings.api_keys:
            raise BadConfigurationError(
                "a rollout asks the endpoint before it trusts it: set TWIN_API_KEYS"
            )
        self._url = settings.endpoint_url
        key = settings.api_keys[0].get_secret_value()
        self._http = httpx.Client(
            base_url=self._url, headers={"Authorization": f"Bearer {key}"}, timeout=CONNECT_SECONDS
        )

    def weights(self, model: str) -> dict[str, int] | None:
        """Version to percent, as one router replica has it; None if it knows no such model."""
        response = self._call("GET", "/v1/models", timeout=CONNECT_SECONDS)
        models = {item["id"]: item for item in response.json()["data"]}
        found: dict[str, int] | None = models.get(model, {}).get("versions")
        return found

    def ask(self, name: str, question: str, seconds: float) -> Answer:
        """Ask a model, or a version by its pinned name, for at most so many seconds.

        Raises:
            BadDataError: what comes back is no answer.
            TryAgainError: nothing comes back.
        """
        body = {"model": name, "question": question, "temperature": 0}
        response = self._call("POST", "/v1/answers", timeout=seconds, json=body)
        try:
            answer = Answer.model_validate(response.json())
        except (ValueError, ValidationError):
            raise BadDataError(f"{name}: {self._url}/v1/answers gave no answer") from None
        if not answer.grounded and not answer.completion_tokens:
            raise BadDataError(
                f"{name} finds nothing about the probe {question!r} in the author's texts: set "
                "serving.probe_question to one they answer, or lower retrieval.min_score"
            )
        if not answer.completion_tokens or not answer.answer.strip():
            raise BadDataError(f"{name} answered {question!r} with nothing")
        return answer

    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **more)
        except httpx.TransportError as error:
            raise TryAgainError(
                f"the endpoint {self._url} does not answer ({type(error).__name__}): is it "
                "started (twin serving start)? TWIN_ENDPOINT_URL says where it is"
            ) from None
        if response.status_code == 401:
            raise BadConfigurationError(
                f"the endpoint {self._url} does not know the first key of TWIN_API_KEYS"
            )
        if response.status_code in PASSING:
            raise TryAgainError(f"the endpoint {self._url} failed: {_reason(response)}")
        if response.is_error:
            raise BadDataError(f"the endpoint {self._url} refused {path}: {_reason(response)}")
        return response


def _reason(response: httpx.Response) -> str:
    try:
        message = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        message = response.text[:200]
    return f"HTTP {response.status_code}: {message}"
