"""The protocol of engines: what serving asks of whatever runs a language model.

An engine takes requests of plain data (`EngineRequest`), so that it may run in this process, in a
Ray Serve application with an environment of its own, or behind somebody's HTTP endpoint.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from twin.domain.errors import BadDataError
from twin.models.language_model import Generation, Message, SamplingParams


@dataclass(frozen=True)
class EngineRequest:
    """One answer to write.

    Attributes:
        prompt_ids: the whole prompt as token ids of the model's tokenizer, made by
            `twin.models.formats`; engines that load the model itself use these and nothing else.
        messages: the same conversation as text, for engines that only take messages (remote).
        params: how to write.
        adapter: name of the LoRA adapter to answer with; None means the model as loaded.
        timeout_seconds: from the moment the engine takes the request, waiting and prefill
            included; when it is over, the answer ends with what is written (reason "length").
    """

    prompt_ids: tuple[int, ...]
    messages: tuple[Message, ...]
    params: SamplingParams
    adapter: str | None = None
    timeout_seconds: float = 120.0

    def to_dict(self) -> dict[str, Any]:
        """As plain data (JSON types only), which crosses between Python environments."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The request that `to_dict` has written."""
        params = {**data["params"], "stop": tuple(data["params"]["stop"])}
        return cls(
            **{
                **data,
                "prompt_ids": tuple(data["prompt_ids"]),
                "messages": tuple(data["messages"]),
                "params": SamplingParams(**params),
            }
        )


class Engine(Protocol):
    """A language model at work: many answers at once, on one event loop that it never blocks."""

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""

    def stream(self, request: EngineRequest) -> AsyncIterator[str | Generation]:
        """Pieces of text as they are written, then one `Generation` with the whole answer.

        Closing the iterator ends the writing after the current token.

        Raises:
            BadDataError: the request cannot be answered by this model (too long, no such adapter).
            TryAgainError: the engine cannot answer now.
        """

    async def set_adapters(self, adapters: Mapping[str, Path]) -> None:
        """Make these the LoRA adapters (name to folder) that requests may name.

        Raises:
            BadDataError: an adapter of another base model, or an engine that takes none.
        """

    async def check_health(self) -> None:
        """See whether the engine can still answer.

        Raises:
            RuntimeError: only a new process helps.
        """

    async def close(self) -> None:
        """End the engine and free its memory."""


def check_room(request: EngineRequest, context_tokens: int) -> None:
    """Refuse a request whose prompt and longest answer do not fit into an engine's context.

    Raises:
        BadDataError: says how many tokens there are and how many fit.
    """
    prompt, answer = len(request.prompt_ids), request.params.max_new_tokens
    if prompt + answer > context_tokens:
        raise BadDataError(
            f"the prompt has {prompt:,} tokens: at most {context_tokens - answer:,} fit into the "
            f"engine's context of {context_tokens:,} beside an answer of {answer:,}"
        )
