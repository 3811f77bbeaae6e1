"""The endpoint as its keepers see it: its weights, what it has seen, and how it answers."""

from datetime import datetime
from typing import Any

import httpx
from pydantic import ValidationError

from twin.domain.answer import Answer
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.domain.observation import Gpus, RouterReport, RouterReports
from twin.settings import Settings

CONNECT_SECONDS = 5.0
#: The router asks all its replicas.
REPORT_SECONDS = 15.0

#: The status of an answer that may be another one a moment later. 429 is among them: a key whose
#: requests are used up says nothing of a model.
PASSING = frozenset({429, 502, 503, 504})


class Endpoint:
    """Asks the endpoint, as any caller does.

    Args:
        settings: the endpoint's address, and the first of its keys.
        http: a client of that endpoint; None: one of its own.

    Attributes:
        replicas: that the router has while none is missing.
    """

    def __init__(self, settings: Settings, http: httpx.Client | None = None) -> None:
        if not settings.api_keys:
            raise BadConfigurationError("the endpoint is asked with a key: set TWIN_API_KEYS")
        self.replicas = settings.router_replicas
        self._url = settings.endpoint_url
        key = settings.api_keys[0].get_secret_value()
        self._http = http or httpx.Client(base_url=self._url, timeout=CONNECT_SECONDS)
        self._http.headers["Authorization"] = f"Bearer {key}"

    def reports(self, model: str, since: datetime | None = None) -> tuple[RouterReport, ...]:
        """What every replica of the router knows of a model.

        Args:
            model: registered model.
            since: from when on answers are told of; None: the weights alone.

        Raises:
            BadDataError: what comes back is none of that.
            TryAgainError: nothing comes back, or a replica does not answer.
        """
        return self._reports(model, since).replicas

    def gpus(self, model: str) -> Gpus | None:
        """GPUs of the cluster behind the endpoint; None where it does not say.

        Raises:
            BadDataError, TryAgainError: as `reports`.
        """
        return self._reports(model, None).gpus

    def _reports(self, model: str, since: datetime | None) -> RouterReports:
        asked = {"since": since.isoformat()} if since else {}
        response = self._call("GET", f"/v1/rollouts/{model}", timeout=REPORT_SECONDS, params=asked)
        try:
            return RouterReports.model_validate(response.json())
        except (ValueError, ValidationError):
            raise BadDataError(f"{self._url}/v1/rollouts/{model} gave no reports") from None

    def weights(self, model: str) -> dict[str, int] | None:
        """Version to percent, if all replicas of the router agree; None if not, or if none knows
        the model.
        """
        found = [report.weights for report in self.reports(model)]
        return found[0] if found and all(item == found[0] for item in found) else None

    def ask(self, name: str, question: str, seconds: float) -> Answer:
        """Ask a model, or a version by its pinned name, for at most so many seconds.

        Raises:
            BadDataError: what comes back is no answer, or says that the author's texts have none.
            TryAgainError: nothing comes back.
        """
        answer = self.ask_anything(name, question, seconds)
        if not answer.grounded and not answer.completion_tokens:
            raise BadDataError(
                f"{name} finds nothing about the probe {question!r} in the author's texts: set "
                "serving.probe_question to one they answer, or lower retrieval.min_score"
            )
        if not answer.completion_tokens or not answer.answer.strip():
            raise BadDataError(f"{name} answered {question!r} with nothing")
        return answer

    def ask_anything(self, name: str, question: str, seconds: float) -> Answer:
        """Ask as `ask` does; that the author has not written about it is an answer too.

        Raises:
            BadDataError: what comes back is no answer.
            TryAgainError: nothing comes back.
        """
        body = {"model": name, "question": question, "temperature": 0}
        response = self._call("POST", "/v1/answers", timeout=seconds, json=body)
        try:
            return Answer.model_validate(response.json())
        except (ValueError, ValidationError):
            raise BadDataError(f"{name}: {self._url}/v1/answers gave no answer") from None

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
