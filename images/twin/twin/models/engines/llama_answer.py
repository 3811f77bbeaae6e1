"""One answer written by llama.cpp's server: what it is asked for, and what comes of its events."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import TryAgainError, TwinError
from twin.models.engines.engine import EngineRequest
from twin.models.engines.llama_server import LlamaServer
from twin.models.engines.llama_slots import Lease
from twin.models.engines.llama_turns import PromptTurns
from twin.models.engines.pre_tokenizers import strips_space
from twin.models.engines.stop_texts import StopTexts
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import FinishReason, Generation, SamplingParams

MIN_TEMPERATURE = 1e-3
"""Below it the likeliest word is written, as by every engine of this project."""
MAX_CANDIDATES = 256
"""Words among which nucleus sampling chooses; sorting a whole vocabulary takes longer than the
model itself on a CPU, and what it would add lies beyond any sensible nucleus."""
CHARACTER_TOKENS = 8
"""More tokens than any character is cut into."""
COMPACT = {"x-guidance": {"whitespace_flexible": False}}
"""Lets llguidance, by which llama.cpp keeps to a schema, write no blanks between the parts: a small
model may write them until its budget ends."""


@dataclass(frozen=True)
class AnswerFormat:
    """What has to be known of the model's tokenizer."""

    chat: ChatFormat
    strips_space: bool

    @classmethod
    def load(cls, folder: Path) -> "AnswerFormat":
        """Read it from the model's folder."""
        described = json.loads((folder / "tokenizer.json").read_bytes())
        return cls(ChatFormat.shared(folder), strips_space(described))


@dataclass
class _Part:
    """Progress of one call of the server.

    ``tokens`` counts what it has written; the server names only those of whole characters.
    """

    begun: int
    tokens: int = 0
    reason: FinishReason = "length"


class LlamaAnswer:
    """An answer in the making: `write` in a thread of its own, `pieces` on the event loop.

    llama.cpp counts the prompt's words as said before when it penalises repetition. So that only
    the answer's own are, it is written in parts, each as long as everything before it: the penalty
    looks back over as many tokens as the answer has when a part begins, and never into the prompt.
    The server goes on from its cache, so a part costs no more than the words that it writes.
    """

    def __init__(
        self,
        server: LlamaServer,
        form: AnswerFormat,
        request: EngineRequest,
        lease: Lease,
        turns: PromptTurns,
    ) -> None:
        self._server = server
        self._format = form
        self._request = request
        self._lease = lease
        self._turns = turns
        self._reader = turns.enter(len(request.prompt_ids) - lease.cached)
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[str | Generation | TwinError] = asyncio.Queue()
        self._next_event: Generation | TwinError | None = None
        self._text = StopTexts(request.params.stop)
        self._drop_space = form.strips_space
        self._ids: list[int] = []
        self._count = 0
        self._cancelled = False

    @property
    def cached_ids(self) -> Sequence[int]:
        """Tokens that the slot has seen when the writing has ended."""
        return (*self._request.prompt_ids, *self._ids)

    def cancel(self) -> None:
        """End the writing after the current step."""
        self._cancelled = True
        self._turns.wake()

    async def pieces(self, deadline: float) -> AsyncIterator[str | Generation]:
        """What `write` puts out; from ``deadline`` on (the loop's time) the answer is over."""
        shown = ""
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    event = await self._take_event()
            except TimeoutError:
                self.cancel()
                event = self._generation(shown, "length")
            if isinstance(event, TwinError):
                raise event
            yield event
            if isinstance(event, Generation):
                return
            shown += event

    async def _take_event(self) -> str | Generation | TwinError:
        """The next event; pieces of text that are there already come as one."""
        if (waiting := self._next_event) is not None:
            return waiting
        event = await self._events.get()
        while isinstance(event, str) and not self._events.empty():
            following = self._events.get_nowait()
            if not isinstance(following, str):
                self._next_event = following
                break
            event += following
        return event

    def write(self) -> None:
        """Write the whole answer; blocks, and never raises."""
        try:
            self._read_prompt()
            reason = self._write()
            self._put(self._text.close())
            self._put(self._generation(self._text.ready, reason))
        except TwinError as error:
            self._put(error)
        except Exception as error:
            self._put(TryAgainError(f"llama.cpp: {' '.join(str(error).split())[:200]}"))
        finally:
            self._turns.leave(self._reader)

    def _put(self, event: str | Generation | TwinError) -> None:
        if event == "":
            return
        try:
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)
        except RuntimeError:  # the event loop is closed: nobody reads any more
            self.cancel()

    def _generation(self, text: str, reason: FinishReason) -> Generation:
        return Generation(text, reason, len(self._request.prompt_ids), self._count)

    def _read_prompt(self) -> None:
        """Have the server read a long prompt in parts, all but the last, each in its turn."""
        prompt, size = self._request.prompt_ids, self._turns.part_tokens
        for end in range(self._lease.cached + size, len(prompt), size):
            self._turns.wait(self._reader, lambda: self._cancelled)
            if self._cancelled:
                return
            # It chooses a word all the same, which nobody reads and which it does not keep.
            self._complete({**self._payload(0), "prompt": list(prompt[:end])}, lambda _: False)
            self._turns.took(self._reader)

    def _complete(self, payload: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """One call of the server; ``take`` gets the events of it, and may end it by True."""
        failed: list[dict[str, Any]] = []

        def take_or_fail(event: dict[str, Any]) -> bool:
            if "choices" not in event:
                failed.append(event)
                return True
            return self._cancelled or take(event)

        self._server.complete(payload, take_or_fail)
        if failed:
            raise TryAgainError(f"llama.cpp: {failed[0].get('message', failed[0])}")

    def _write(self) -> FinishReason:
        self._turns.wait(self._reader, lambda: self._cancelled)
        unfinished = 0
        while (left := self._request.params.max_new_tokens - len(self._ids)) > unfinished:
            tokens = max(self._part_tokens(), CHARACTER_TOKENS if unfinished else 1)
            part = self._write_part(min(tokens, left))
            self._count = part.begun + part.tokens
            if part.reason == "stop" or self._cancelled:
                return part.reason
            # A part that ended within a character is taken up again before that character.
            unfinished = self._count - len(self._ids)
        return "length"

    def _part_tokens(self) -> int:
        """How many tokens the next part is to have."""
        params, written = self._request.params, len(self._ids)
        end = params.max_new_tokens
        if params.repetition_penalty != 1.0:
            end = min(end, max(1, 2 * written))
        if written < params.min_new_tokens:
            end = min(end, params.min_new_tokens)
        return end - written

    def _write_part(self, tokens: int) -> _Part:
        part = _Part(begun=len(self._ids))
        self._complete(self._payload(tokens), lambda event: self._take(part, event))
        return part

    def _take(self, part: _Part, event: dict[str, Any]) -> bool:
        """Take an event of the server; True ends the part."""
        choice = event["choices"][0]
        if choice["finish_reason"] is not None:
            part.reason = choice["finish_reason"]
            part.tokens = event["usage"]["completion_tokens"]
            return False
        part.tokens = event["timings"]["predicted_n"]
        if part.begun + part.tokens == len(self._ids):  # progress with the prompt
            return False
        self._turns.leave(self._reader)  # the prompt has been read
        token = event["__verbose"]["tokens"][0]
        self._extend_ids(part, choice["text"], token)
        self._put(self._text.add(self._without_first_space(choice["text"])))
        if token in self._format.chat.end_ids or self._text.stopped:
            part.reason = "stop"
            return True
        return False

    def _extend_ids(self, part: _Part, text: str, token: int) -> None:
        missing = part.begun + part.tokens - len(self._ids)
        if missing > 1:  # a character of several tokens, of which the server names the last
            ids = self._format.chat.tokenizer.encode(text, add_special_tokens=False)[-missing:]
            # Should they be others, the server reads this character anew in the next part.
            self._ids += [token] * (missing - len(ids)) + ids
        else:
            self._ids.append(token)

    def _without_first_space(self, text: str) -> str:
        if self._drop_space and text:
            self._drop_space = False
            return text.removeprefix(" ")
        return text

    def _payload(self, tokens: int) -> dict[str, Any]:
        return {
            "prompt": [*self._request.prompt_ids, *self._ids],
            "n_predict": tokens,
            "id_slot": self._lease.slot,
            "stream": True,
            "verbose": True,  # names each token
            "response_fields": ["tokens"],
            "timings_per_token": True,  # counts them
            "return_progress": True,  # so that a prompt can be given up between two steps
            "cache_prompt": True,
            "lora": [] if (number := self._lease.adapter) is None else [_full(number)],
            **self._sampling(),
        }

    def _sampling(self) -> dict[str, Any]:
        params, written = self._request.params, len(self._ids)
        samplers, options = _samplers(params, written)
        if params.seed is not None:
            options["seed"] = (params.seed + written) % 2**32
        if written < params.min_new_tokens:
            options["ignore_eos"] = True
            options["logit_bias"] = [[token, False] for token in sorted(self._format.chat.end_ids)]
        if params.json_schema is not None:
            options["json_schema"] = json.loads(params.json_schema) | COMPACT
        return {"samplers": samplers, **options}


def _full(adapter: int) -> dict[str, Any]:
    return {"id": adapter, "scale": 1.0}


def _samplers(params: SamplingParams, written: int) -> tuple[list[str], dict[str, Any]]:
    """llama.cpp's samplers in order, and their options, after ``written`` tokens of an answer."""
    greedy = params.temperature < MIN_TEMPERATURE
    cuts = params.top_p < 1.0 or params.min_p > 0.0
    candidates = 1 if greedy else params.top_k or (MAX_CANDIDATES if cuts else 0)
    options: dict[str, Any] = {"temperature": 0.0 if greedy else params.temperature}
    samplers = ["temperature"]
    penalised = written if params.repetition_penalty != 1.0 else 0
    if penalised:
        options |= {"repeat_penalty": params.repetition_penalty, "repeat_last_n": penalised}
        samplers.insert(0, "penalties")
    if candidates:
        # So many more that of those that a penalty spares enough are left: then it need not look
        # at a whole vocabulary, which takes longer than a small model. A reward has to.
        # A number of the caller's own is exact, so it comes after the penalty.
        exact = params.top_k > 0 and not greedy
        options["top_k"] = candidates if exact else candidates + penalised
        late = params.repetition_penalty < 1.0 or (exact and penalised > 0)
        samplers.insert(1 if late else 0, "top_k")
    if not greedy and params.min_p > 0.0:
        options["min_p"] = params.min_p
        samplers.append("min_p")
    if not greedy and params.top_p < 1.0:
        options["top_p"] = params.top_p
        samplers.append("top_p")
    return samplers, options
