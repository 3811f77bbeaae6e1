"""A language model run by transformers: bf16, on the CPU or one GPU.

The decoding loop is our own, on transformers' cache and logits processors, so that a stream can be
stopped between any two tokens, finished rows leave a batch at once, and greedy text is the same
alone and in a batch of equals.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, Message, SamplingParams, TokenStream

if TYPE_CHECKING:
    import torch

    from twin.models.output_head import OutputHead

MAX_BATCH_TOKENS = 16_384
"""Prompt and answer tokens of one batch (padding included): bounds the memory of its cache."""
MAX_BATCH = 64
MAX_CANDIDATES = 256
"""Words among which nucleus sampling chooses. Sorting all 262,144, as transformers' own top-p does,
takes longer than the model itself on a CPU; what it would add lies beyond any sensible nucleus."""
MIN_TEMPERATURE = 1e-3
"""Below it the likeliest word is written: as good as certain, and closer to 0 scores overflow."""
MAX_SCORED_TOKENS = 4_096
"""Tokens (padding included) scored in one forward pass."""


class TransformersModel:
    """See `twin.models.language_model.LanguageModel` for the contract."""

    def __init__(self, model: Any, chat: ChatFormat, name: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.chat = chat
        self.tokenizer = chat.tokenizer
        self.id = name
        # transformers cuts the last position out of a batch and hands the head a view with gaps,
        # for which PyTorch copies the head's weights once a row: gigabytes, and half a minute.
        model.get_output_embeddings().register_forward_pre_hook(
            lambda _, inputs: (inputs[0].contiguous(),)
        )

    @classmethod
    def load(cls, folder: Path, name: str, threads: int | None = None) -> "TransformersModel":
        """Load weights (safetensors only) and tokenizer from a local folder.

        Raises:
            BadDataError: the folder holds no complete model, or one whose conversations cannot be
                written (`ChatFormat`).
        """
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        if threads is not None:
            torch.set_num_threads(threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        chat = ChatFormat.shared(folder)
        try:
            model = AutoModelForCausalLM.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.bfloat16
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadDataError(f"{folder} holds no complete model: {reason}") from None
        return cls(model.to(device), chat, name)

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""
        return int(self.model.config.get_text_config().max_position_embeddings)

    def count_tokens(self, text: str) -> int:
        """Number of tokens that a text takes in a prompt."""
        return self.chat.count_tokens(text)

    def generate(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        """Write one answer."""
        return self.generate_batch([messages], params)[0]

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], params: SamplingParams
    ) -> list[Generation]:
        """Write an answer to each conversation; those of like length go together."""
        prompts = [self.chat.prompt_ids(messages) for messages in conversations]
        results: list[Generation | None] = [None] * len(prompts)
        sizes = [params.beams * (len(p) + params.max_new_tokens) for p in prompts]
        for rows in _batches(sizes):
            written: list[list[int]] = [[] for _ in rows]
            writers = [_TextWriter(self.tokenizer, params.stop) for _ in rows]
            for row, token in self._decode([prompts[i] for i in rows], params, writers):
                written[row].append(token)
            for row, index in enumerate(rows):
                writers[row].close()
                results[index] = self._generation(
                    writers[row], len(prompts[index]), written[row], params
                )
        return [result for result in results if result is not None]

    def stream(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        should_stop: Callable[[], bool] | None = None,
    ) -> TokenStream:
        """Write one answer piece by piece."""
        return TokenStream(self.write(self.chat.prompt_ids(messages), params, should_stop))

    def answer_log_likelihood(
        self, conversations: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> list[tuple[float, int]]:
        """Sum of log-probabilities (nats) and number of tokens of each answer, its end included."""
        prompts = [self.chat.prompt_ids(messages) for messages in conversations]
        ends = [self.chat.answer_ids(answer) for answer in answers]
        found = self.token_likelihoods(prompts, ends)
        return [(nats, len(end)) for (nats, _), end in zip(found, ends, strict=True)]

    def token_likelihoods(
        self, prompts: Sequence[list[int]], ends: Sequence[list[int]]
    ) -> list[tuple[float, bool]]:
        """Sum of log-probabilities (nats) of the tokens that follow each prompt, and whether each
        of them is the likeliest, as greedy decoding would write them."""
        from twin.models.token_likelihoods import token_likelihoods

        results: list[tuple[float, bool]] = [(0.0, False)] * len(prompts)
        lengths = [len(prompt) + len(end) for prompt, end in zip(prompts, ends, strict=True)]
        for rows in _batches(lengths, MAX_SCORED_TOKENS):
            found = token_likelihoods(
                self.model, self._head, [prompts[i] for i in rows], [ends[i] for i in rows]
            )
            for index, each in zip(rows, found, strict=True):
                results[index] = each
        return results

    @cached_property
    def _head(self) -> "OutputHead":
        from twin.models.output_head import OutputHead

        return OutputHead.checked(self.model)

    def write(
        self,
        prompt: list[int],
        params: SamplingParams,
        should_stop: Callable[[], bool] | None = None,
    ) -> Iterator[str | Generation]:
        """Pieces of an answer to a prompt of token ids, then one `Generation` with all of it.

        An answer that ``should_stop`` has cut short ends with the reason "length".
        """
        writer = _TextWriter(self.tokenizer, params.stop)
        written: list[int] = []
        shown = 0
        stopped = False
        for _, token in self._decode([prompt], params, [writer]):
            written.append(token)
            if should_stop is not None and should_stop():
                stopped = token not in self.chat.end_ids
                break
            if ready := writer.ready[shown:]:
                shown += len(ready)
                yield ready
        writer.close()
        if rest := writer.ready[shown:]:
            yield rest
        generation = self._generation(writer, len(prompt), written, params)
        yield replace(generation, finish_reason="length") if stopped else generation

    def _generation(
        self, writer: "_TextWriter", prompt_tokens: int, written: list[int], params: SamplingParams
    ) -> Generation:
        ended = bool(written) and written[-1] in self.chat.end_ids
        spent = len(written) >= params.max_new_tokens and not ended and not writer.stopped
        return Generation(writer.ready, "length" if spent else "stop", prompt_tokens, len(written))

    def _decode(
        self, prompts: list[list[int]], params: SamplingParams, writers: list["_TextWriter"]
    ) -> Iterator[tuple[int, int]]:
        """Give (row, token) as tokens are chosen, the end token included; feeds the writers."""
        if params.json_schema is not None:
            raise BadDataError(
                "the transformers engine cannot write by a JSON schema: take llama.cpp, vLLM or a "
                "remote endpoint"
            )
        if params.beams == 1:
            return self._draw(prompts, params, writers)
        from twin.models.engines.beam_search import search

        pad = self.tokenizer.pad_token_id or 0
        return search(self.model, prompts, params, writers, self.chat.end_ids, pad)

    def _draw(
        self, prompts: list[list[int]], params: SamplingParams, writers: list["_TextWriter"]
    ) -> Iterator[tuple[int, int]]:
        """Token by token, all rows at once."""
        import torch

        with torch.inference_mode():
            batch = _Batch(self.model, prompts, self.tokenizer.pad_token_id or 0)
            choose = _chooser(params, self.model.device, prompt_tokens=batch.history.shape[1])
            ends = sorted(self.chat.end_ids)
            for written in range(params.max_new_tokens):
                logits = batch.logits()
                if written < params.min_new_tokens:
                    logits[:, ends] = -torch.inf
                chosen = choose(batch.history, logits).tolist()
                going = []
                for position, (row, token) in enumerate(zip(batch.rows, chosen, strict=True)):
                    if token not in self.chat.end_ids:
                        writers[row].add(token)
                        if not writers[row].stopped:
                            going.append(position)
                    yield row, token
                if not going:
                    return
                batch.advance(chosen, going)


class _Batch:
    """The running rows of a batch: their cache, their tokens so far, and which rows they are.

    A prompt that several rows have is read once: they part with the first token that is chosen.
    """

    def __init__(self, model: Any, prompts: list[list[int]], pad: int) -> None:
        import torch
        from transformers import DynamicCache

        width = max(map(len, prompts))
        places: dict[tuple[int, ...], int] = {}
        self._of_prompt = [places.setdefault(tuple(p), len(places)) for p in prompts]
        self._model = model
        self._cache = DynamicCache(config=model.config)
        self._mask = torch.tensor(
            [[0] * (width - len(p)) + [1] * len(p) for p in places], device=model.device
        )
        self.history = torch.tensor(
            [[pad] * (width - len(p)) + [*p] for p in places], device=model.device
        )
        self.rows = list(range(len(prompts)))
        self._new = self.history

    def logits(self) -> "torch.Tensor":
        """(rows, words) in float32: what may follow each row."""
        positions = (self._mask.cumsum(-1) - 1).clamp(min=0)[:, -self._new.shape[1] :]
        output = self._model(
            input_ids=self._new,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits if len(logits) == len(self.rows) else self._part(logits)

    def _part(self, logits: "torch.Tensor") -> "torch.Tensor":
        """A row for each answer from here on, where one for each prompt was enough."""
        import torch

        copies = torch.tensor(self._of_prompt, device=logits.device)
        self._cache.batch_select_indices(copies)
        self._mask, self.history = self._mask[copies], self.history[copies]
        return logits[copies]

    def advance(self, chosen: list[int], going: list[int]) -> None:
        """Append the chosen tokens and keep only the rows at the positions ``going``."""
        import torch

        new = torch.tensor([chosen[position] for position in going], device=self.history.device)
        if len(going) < len(self.rows):
            self._cache.batch_select_indices(torch.tensor(going, device=new.device))
            self._mask, self.history = self._mask[going], self.history[going]
            self.rows = [self.rows[position] for position in going]
        self._new = new.unsqueeze(1)
        self.history = torch.cat([self.history, self._new], dim=1)
        self._mask = torch.cat([self._mask, torch.ones_like(self._new)], dim=1)


class _TextWriter:
    """Turns tokens into text that can be shown: no half characters, nothing past a stop text."""

    def __init__(self, tokenizer: Any, stop: tuple[str, ...]) -> None:
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._stop = tuple(text for text in stop if text)
        self._tokens: list[int] = []
        self._text = ""
        self.ready = ""
        self.stopped = False

    def add(self, token: int) -> None:
        """Take the next token; ``ready`` grows by what can be shown."""
        self._tokens.append(token)
        self._text += self._stream.step(self._backend, token) or ""
        found = [at for text in self._stop if (at := self._text.find(text)) >= 0]
        if found:
            self._text, self.stopped = self._text[: min(found)], True
            self.ready = self._text
        else:
            self.ready = self._text[: len(self._text) - self._held_back()]

    def close(self) -> None:
        """No more tokens: what was held back can be shown, half characters as U+FFFD."""
        if self.stopped:
            return
        text = self._tokenizer.decode(self._tokens, skip_special_tokens=True)
        self.ready = text if text.startswith(self.ready) else self._text

    def _held_back(self) -> int:
        """Length of the longest end of the text that may be the beginning of a stop text."""
        lengths = (
            n
            for text in self._stop
            for n in range(min(len(text) - 1, len(self._text)), 0, -1)
            if self._text.endswith(text[:n])
        )
        return max(lengths, default=0)


def _chooser(
    params: SamplingParams, device: Any, prompt_tokens: int = 0
) -> Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]:
    """A function from (tokens so far, logits) to the next token of each row.

    The first ``prompt_tokens`` of a row (padding included) may be said again at no penalty: words
    of the passages, and the mark that ends a turn.
    """
    import torch
    from transformers import (
        LogitsProcessorList,
        RepetitionPenaltyLogitsProcessor,
        TemperatureLogitsWarper,
    )

    processors = LogitsProcessorList()
    if params.repetition_penalty != 1.0:
        processors.append(
            RepetitionPenaltyLogitsProcessor(
                params.repetition_penalty, prompt_ignore_length=prompt_tokens
            )
        )
    greedy = params.temperature < MIN_TEMPERATURE
    if not greedy:
        processors.append(TemperatureLogitsWarper(params.temperature))
    generator = torch.Generator(device)
    if params.seed is None:
        generator.seed()
    else:
        generator.manual_seed(params.seed)

    def choose(history: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        scores = processors(history, logits)
        if greedy:
            return scores.argmax(-1)
        cuts = params.top_p < 1.0 or params.min_p > 0.0
        candidates = params.top_k or (MAX_CANDIDATES if cuts else scores.shape[-1])
        best, words = scores.topk(min(candidates, scores.shape[-1]))
        all_of = best if params.top_k else scores
        probabilities = torch.exp(best - all_of.logsumexp(-1, keepdim=True))
        probabilities = probabilities * (probabilities >= params.min_p * probabilities[:, :1])
        whole = probabilities.sum(-1, keepdim=True) if params.min_p > 0.0 else 1.0
        likelier = probabilities.cumsum(-1) - probabilities
        outside = likelier >= params.top_p * whole
        outside[:, 0] = False  # the likeliest is in every nucleus, however small
        probabilities = probabilities.masked_fill(outside, 0.0)
        picked = torch.multinomial(probabilities, 1, generator=generator)
        return words.gather(1, picked).squeeze(1)

    return choose


def _batches(lengths: list[int], most: int = MAX_BATCH_TOKENS) -> Iterator[list[int]]:
    """Indices in batches of like length, each at most ``most`` tokens with padding."""
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    while order:
        size = max(1, min(MAX_BATCH, most // max(lengths[order[0]], 1)))
        yield order[:size]
        order = order[size:]
