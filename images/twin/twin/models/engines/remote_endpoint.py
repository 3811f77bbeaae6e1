"""One streamed answer of an OpenAI-compatible endpoint: HTTP, server-sent events, and faults.

The protocol is that of https://platform.openai.com/docs/api-reference/chat-streaming, of which
only what every server knows is used.
"""

import email.utils
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError

#: Answers that another attempt may mend.
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})

#: Characters of an endpoint's own words that an error shows.
SHOWN = 200


class PassingError(TryAgainError):
    """A fault that another attempt may mend; ``wait`` is what the endpoint asks for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class Delta:
    """A piece of an answer; the last ones carry why it ended and what it took."""

    text: str = ""
    finish_reason: str | None = None
    usage: Mapping[str, int] | None = None


class Endpoint:
    """Where a model runs elsewhere.

    Args:
        base_url: with its version path, e.g. ``https://host/v1``.
        key: sent as bearer token; never part of an error.
        connections: at once, at most.
        key_setting: environment variable that the key comes from, for errors.
    """

    def __init__(
        self, base_url: str, key: SecretStr | None, connections: int, key_setting: str
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._key_setting = key_setting
        self._key = key.get_secret_value() if key else ""
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )

    async def chat(self, body: Mapping[str, Any], silence_seconds: float) -> AsyncIterator[Delta]:
        """Pieces of the answer to one request, until its end.

        ``silence_seconds`` bounds each wait: for a connection and for every byte after it.

        Raises:
            PassingError: refused for now, broken off, or silent for too long.
            BadDataError, BadConfigurationError: another attempt would end the same.
        """
        try:
            async with self._http.stream(
                "POST",
                f"{self.base_url}/chat/completions",
                json={**body, "stream": True, "stream_options": {"include_usage": True}},
                timeout=silence_seconds,
            ) as response:
                if response.status_code != httpx.codes.OK:
                    raise self._refusal(response, await _head(response), str(body["model"]))
                async for delta in self._deltas(response):
                    yield delta
        except httpx.TimeoutException:
            raise PassingError(f"{self.base_url} was silent for {silence_seconds:g} s") from None
        except (httpx.TransportError, httpx.StreamError) as error:
            reason = self._safe(f"{type(error).__name__}: {error}")
            raise PassingError(f"{self.base_url} cannot be reached: {reason}") from None
        except (httpx.InvalidURL, httpx.DecodingError) as error:
            raise BadConfigurationError(f"{self.base_url}: {self._safe(str(error))}") from None

    async def close(self) -> None:
        """End its connections."""
        await self._http.aclose()

    async def _deltas(self, response: httpx.Response) -> AsyncIterator[Delta]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "text/event-stream":
            raise BadConfigurationError(
                f"{self.base_url} answers with {kind or 'no content type'}, not with an event "
                "stream: does base_url end with the version path (as /v1), and can the server "
                "stream?"
            )
        ended = False
        async for line in response.aiter_lines():
            data = line.removeprefix("data:").strip()
            if not line.startswith("data:") or not data:
                continue  # comments that keep the connection open, names of events
            if data == "[DONE]":
                break
            delta = self._delta(data)
            ended = ended or delta.finish_reason is not None
            yield delta
        if not ended:
            raise PassingError(f"{self.base_url} broke off before the answer's end")

    def _delta(self, data: str) -> Delta:
        try:
            event = json.loads(data)
            if error := event.get("error"):
                raise PassingError(f"{self.base_url} broke off: {self._safe(_message(error))}")
            choices = event.get("choices") or []
            choice = choices[0] if choices else {}
            text = (choice.get("delta") or {}).get("content") or ""
            if not isinstance(text, str):
                raise TypeError(f"content is {type(text).__name__}")
            return Delta(text, choice.get("finish_reason"), event.get("usage"))
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise PassingError(
                f"{self.base_url} sent what is no chunk of a chat completion "
                f"({self._safe(str(error))}): {self._safe(data)}"
            ) from None

    def _refusal(self, response: httpx.Response, head: str, model: str) -> TwinError:
        status = response.status_code
        said = f"{self.base_url} answers {status}: {self._safe(_words(head))}"
        if status in PASSING:
            return PassingError(said, _retry_after(response.headers.get("retry-after")))
        if status in (401, 403):
            return BadConfigurationError(
                f"{said}: set {self._key_setting} to a key that may use {model!r} there"
            )
        if status == 404:
            return BadDataError(
                f"{said}: is there a model {model!r} (serving.remote.model), and does "
                "serving.remote.base_url end with the version path, as /v1?"
            )
        if response.is_redirect:
            target = self._safe(response.headers.get("location", "nowhere"))
            return BadConfigurationError(f"{said}: it points to {target}: set base_url to that")
        return BadDataError(said)

    def _safe(self, text: str) -> str:
        """Somebody else's words in one line, short and without our key."""
        line = " ".join(text.split())
        return (line.replace(self._key, "***") if self._key else line)[:SHOWN]


async def _head(response: httpx.Response) -> str:
    """The beginning of a body, however long it is."""
    head = b""
    async for chunk in response.aiter_bytes():
        head += chunk
        if len(head) > 8_192:
            break
    return head.decode("utf-8", "replace")


def _words(body: str) -> str:
    """What an endpoint says of a fault: by the protocol, else the body's beginning."""
    try:
        data = json.loads(body)
    except ValueError:
        return "an HTML page" if "<html" in body.lower() else body or "nothing"
    if isinstance(data, dict):
        return _message(data.get("error") or data.get("detail") or data)
    return body


def _message(error: Any) -> str:
    return str(error.get("message") or error) if isinstance(error, dict) else str(error)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a ``Retry-After`` header (RFC 9110: seconds or a date) asks to wait."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
