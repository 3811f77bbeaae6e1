"""The replica that runs a model by vLLM: Ray Serve LLM's server behind plain dictionaries.

Imported in vLLM's environment only (see `twin.serving.vllm_engine`), so callers elsewhere never
need its classes: requests are `EngineRequest.to_dict()`, answers are dictionaries of JSON types.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog
from ray.llm._internal.common.callbacks.base import CallbackBase  # noqa: TID253 - only in a replica
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine  # noqa: TID253
from ray.serve.llm import LLMConfig, LLMServer  # noqa: TID253
from vllm.exceptions import VLLMClientError
from vllm.lora.request import LoRARequest
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams
from vllm.sampling_params import SamplingParams as VllmParams
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.job import configure_logging
from twin.models.adapters import check_engines_base
from twin.models.engines.engine import EngineRequest
from twin.models.language_model import FinishReason, Generation, SamplingParams
from twin.serving.replica_process import keep_to_loopback
from twin.serving.vllm_adapters import check_adapter
from twin.serving.vllm_arguments import engine_arguments
from twin.serving.vllm_engine import EngineSpec
from twin.serving.vllm_repetition import ARGUMENT
from twin.settings import Settings, get_settings
from twin.stores.weights import fetch_weights

#: Text is sent on at most this often: per-token messages slow a busy server down.
SECONDS_BETWEEN_PIECES = 0.05

#: Below it the likeliest word is written, as by transformers (`transformers_model`).
MIN_TEMPERATURE = 1e-3

log = structlog.get_logger("twin")


class WeightsAreHere(CallbackBase):
    """Keeps Ray from starting a task on every node that would look for weights to download."""

    async def on_before_node_init(self) -> None:
        """Called by Ray before it prepares nodes."""
        self.ctx.run_init_node = False


class TokenEngine(VLLMEngine):
    """Ray's vLLM engine, asked by token ids instead of OpenAI requests."""

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return int(self._client.model_config.max_model_len)

    @property
    def largest_rank(self) -> int:
        """Largest rank of an adapter; 0 if the engine takes none."""
        config = self._client.vllm_config.lora_config
        return int(config.max_lora_rank) if config else 0

    def write(
        self, prompt: list[int], params: VllmParams, adapter: LoRARequest | None
    ) -> AsyncGenerator[RequestOutput, None]:
        """Outputs as they come; closing the generator aborts the request."""
        outputs: AsyncGenerator[RequestOutput, None] = self._client.generate(
            {"prompt_token_ids": prompt}, params, uuid.uuid4().hex, lora_request=adapter
        )
        return outputs

    async def load_adapter(self, adapter: LoRARequest) -> None:
        """Read an adapter's folder, so that a faulty one shows now and not to a caller."""
        await self._client.add_lora(adapter)

    async def drop_adapter(self, adapter: LoRARequest) -> None:
        """Free an adapter's place."""
        await self._client.remove_lora(adapter.lora_int_id)

    @property
    def _client(self) -> Any:
        return self._engine_client


class VllmServer(LLMServer):
    """A replica: one model, its adapters, many answers at once.

    Args:
        spec: `EngineSpec` as JSON-like data.
    """

    async def __init__(self, spec: dict[str, Any]) -> None:  # type: ignore[misc] # Serve awaits it
        configure_logging()
        self._settings: Settings = get_settings()
        keep_to_loopback(self._settings)
        self._adapters: dict[str, LoRARequest] = {}
        self._refused: dict[str, TwinError] = {}
        self._places: Mapping[str, Mapping[str, str]] = {}
        self._adapter_number = 0
        self._changing = asyncio.Lock()
        made_from = EngineSpec.model_validate(spec)
        self._weights_digest = made_from.weights_digest
        folder = await asyncio.to_thread(
            fetch_weights, made_from.weights_uri, made_from.weights_digest, self._settings
        )
        self._end_ids = await asyncio.to_thread(_end_ids, folder)
        config = _llm_config(made_from, folder)
        try:
            await super().__init__(config, engine_cls=TokenEngine)
        except (RuntimeError, ValueError) as error:
            raise BadDataError(
                f"vLLM does not start with serving.vllm.options of this recipe: {_line(error)}"
            ) from error

    async def _start_engine(self) -> None:
        """As Ray's, without the actor that would report to its makers: 450 MB in vain."""
        await self.engine.start()

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Make ``user_config["adapters"]`` (name to uri and digest) the adapters there are.

        A faulty adapter is logged, listed by `describe` and refused to its callers; the others
        stay in service. Serve would replace a replica whose `reconfigure` raises, and with it
        every adapter.
        """
        async with self._changing:
            self._places = user_config.get("adapters") or {}
            before, self._adapters = self._adapters, dict(self._adapters)
            self._refused = {}
            for name in self._places:
                await self._take(name)
            self._adapters = {n: a for n, a in self._adapters.items() if n in self._places}
            for adapter in set(before.values()) - set(self._adapters.values()):
                await self.engine.drop_adapter(adapter)

    async def describe(self) -> dict[str, Any]:
        """What runs here; ``refused`` has a line for each adapter that could not be loaded."""
        return {
            "engine": "vllm",
            "context_tokens": self.engine.context_tokens,
            "adapters": sorted(self._adapters),
            "refused": {name: str(error) for name, error in self._refused.items()},
        }

    async def stream(self, request: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Write one answer: ``{"text"}`` as it comes, then ``{"generation"}`` or ``{"error"}``."""
        try:
            async with aclosing(self._answer(EngineRequest.from_dict(request))) as items:
                async for item in items:
                    yield item if isinstance(item, dict) else {"generation": asdict(item)}
        except TwinError as error:
            kind = "try_again" if isinstance(error, TryAgainError) else "bad_data"
            yield {"error": {"kind": kind, "message": str(error)}}

    async def _answer(
        self, request: EngineRequest
    ) -> AsyncGenerator[dict[str, str] | Generation, None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                adapter = await self._adapter(request.adapter)
        except TimeoutError:
            raise TryAgainError(f"adapter {request.adapter} is still being loaded") from None
        room = self.engine.context_tokens - len(request.prompt_ids)
        if room < 1 or not request.prompt_ids:
            raise BadDataError(
                f"the prompt has {len(request.prompt_ids)} tokens; with an answer it must fit into "
                f"{self.engine.context_tokens}"
            )
        try:
            params = vllm_params(request.params, room, self._end_ids)
        except (ValueError, VLLMClientError) as error:
            raise BadDataError(f"vLLM refuses this request: {_line(error)}") from None
        answer, waiting, sent = _Answer(), "", 0.0
        async with aclosing(self.engine.write(list(request.prompt_ids), params, adapter)) as parts:
            async for part in _until(deadline, parts):
                waiting += answer.add(part)
                if waiting and loop.time() - sent >= SECONDS_BETWEEN_PIECES:
                    yield {"text": waiting}
                    waiting, sent = "", loop.time()
        if waiting:
            yield {"text": waiting}
        yield Generation(answer.text, answer.reason, len(request.prompt_ids), answer.tokens)

    async def _adapter(self, name: str | None) -> LoRARequest | None:
        if name is None:
            return None
        if self._is_due(name):
            async with self._changing:
                if self._is_due(name):
                    await self._take(name)
        if name in self._adapters:
            return self._adapters[name]
        raise self._refused.get(name) or BadDataError(
            f"no adapter {name!r} here: there are {', '.join(sorted(self._adapters)) or 'none'}"
        )

    def _is_due(self, name: str) -> bool:
        """Whether an adapter is still being loaded, or could not be had when that was tried."""
        refused = self._refused.get(name)
        passing = refused is None or isinstance(refused, TryAgainError)
        return passing and name in self._places and name not in self._adapters

    async def _take(self, name: str) -> None:
        """Bring the adapter of this name into service, or note why it cannot be."""
        place = self._places[name]
        try:
            self._adapters[name] = await self._loaded(name, place["uri"], place["digest"])
            self._refused.pop(name, None)
        except TwinError as error:
            log.error("adapter refused", adapter=name, reason=str(error))
            self._adapters.pop(name, None)
            self._refused[name] = error

    async def _loaded(self, name: str, uri: str, digest: str) -> LoRARequest:
        """The adapter with these bytes, read by vLLM; the same one if it already is."""
        # The digest is part of the name, by which vLLM tells cached prefixes apart.
        full_name = f"{name}@{digest[:12]}"
        if name in self._adapters and self._adapters[name].lora_name == full_name:
            return self._adapters[name]
        folder = await asyncio.to_thread(fetch_weights, uri, digest, self._settings)
        check_adapter(folder, name, self.engine.largest_rank)
        check_engines_base(folder, self._weights_digest)
        self._adapter_number += 1
        adapter = LoRARequest(full_name, self._adapter_number, str(folder))
        try:
            await self.engine.load_adapter(adapter)
        except EngineDeadError as error:
            raise TryAgainError(f"adapter {name}: the engine has ended: {_line(error)}") from None
        except Exception as error:  # vLLM's worker sends whatever its loader raised
            raise BadDataError(
                f"adapter {name}: vLLM cannot load it beside this base model: {_line(error)}"
            ) from None
        return adapter


class _Answer:
    """An answer so far."""

    def __init__(self) -> None:
        self.text = ""
        self.tokens = 0
        #: Until vLLM says otherwise: the deadline was first.
        self.reason: FinishReason = "length"

    def add(self, part: CompletionOutput) -> str:
        """Take what vLLM has written since, and return its text."""
        self.text += part.text
        self.tokens += len(part.token_ids)
        if part.finish_reason in {"abort", "error"}:
            raise TryAgainError("vLLM has broken off this answer: ask again")
        if part.finish_reason == "stop":
            self.reason = "stop"
        return str(part.text)


async def _until(
    deadline: float, outputs: AsyncGenerator[RequestOutput, None]
) -> AsyncGenerator[CompletionOutput, None]:
    """Outputs until the last one or the deadline, waiting in the queue and prefill included."""
    while True:
        try:
            # Running out of time cancels vLLM's generator, which aborts the request.
            async with asyncio.timeout_at(deadline):
                output = await anext(outputs, None)
        except TimeoutError:
            return
        except (EngineDeadError, EngineGenerateError) as error:
            raise TryAgainError(f"vLLM cannot answer now: {_line(error)}") from None
        except (ValueError, VLLMClientError) as error:
            raise BadDataError(f"vLLM refuses this request: {_line(error)}") from None
        if output is None:
            return
        yield output.outputs[0]


def vllm_params(params: SamplingParams, room: int, end_ids: frozenset[int]) -> VllmParams:
    """The house's way to say how to write, in vLLM's words; ``room`` is what the prompt leaves."""
    most = min(params.max_new_tokens, room)
    greedy = params.temperature < MIN_TEMPERATURE
    return VllmParams(
        max_tokens=most,
        min_tokens=min(params.min_new_tokens, most),
        temperature=0.0 if greedy else params.temperature,
        top_p=1.0 if greedy else params.top_p,
        top_k=0 if greedy else params.top_k,
        min_p=0.0 if greedy else params.min_p,
        # -1 is none to vLLM, and everywhere else a seed like others.
        seed=-2 if params.seed == -1 else params.seed,
        stop=[text for text in params.stop if text],
        stop_token_ids=sorted(end_ids),
        extra_args={ARGUMENT: params.repetition_penalty},
        structured_outputs=(
            StructuredOutputsParams(json=params.json_schema) if params.json_schema else None
        ),
        output_kind=RequestOutputKind.DELTA,
    )


def _llm_config(spec: EngineSpec, folder: Path) -> LLMConfig:
    return LLMConfig(
        model_loading_config={"model_id": "twin", "model_source": str(folder)},
        accelerator_config={"kind": "gpu" if spec.gpus_per_device else "cpu"},
        engine_kwargs=engine_arguments(spec),
        callback_config={"callback_class": WeightsAreHere},
    )


def _end_ids(folder: Path) -> frozenset[int]:
    """Tokens that end a turn, as everywhere in the house."""
    from twin.models.formats.chat_format import ChatFormat

    return ChatFormat.load(folder).end_ids


def _line(error: BaseException) -> str:
    """An error in one line that is not too long to read."""
    return " ".join(str(error).split())[:300]
