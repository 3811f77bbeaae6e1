"""Beam search by transformers: of several answers written side by side the likeliest.

It chooses among whole hypotheses, so nothing can be shown before the end, and a text at which an
answer stops is cut out afterwards. llama.cpp, vLLM's server and remote endpoints have none.

Source: M. Freitag, Y. Al-Onaizan, "Beam Search Strategies for Neural Machine Translation", 2017,
arXiv:1702.01806.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol

from twin.models.language_model import SamplingParams


class TakesTokens(Protocol):
    """What turns the tokens of one answer into its text."""

    stopped: bool

    def add(self, token: int) -> None:
        """Take the next token; ``stopped`` says whether the text has come to where it stops."""


def search(
    model: Any,
    prompts: Sequence[list[int]],
    params: SamplingParams,
    writers: Sequence[TakesTokens],
    end_ids: Collection[int],
    pad: int,
) -> Iterator[tuple[int, int]]:
    """Row and token of the best answers, row by row, when all are done; feeds the writers.

    Args:
        model: a causal model of transformers.
        prompts: token ids.
        params: as of `beam_search`.
        writers: of each row's text.
        end_ids: tokens that end an answer.
        pad: token that fills shorter rows.
    """
    for row, tokens in enumerate(beam_search(model, prompts, params, end_ids, pad)):
        for token in tokens:
            if token not in end_ids:
                writers[row].add(token)
            yield row, token
            if writers[row].stopped:
                break


def beam_search(
    model: Any,
    prompts: Sequence[list[int]],
    params: SamplingParams,
    end_ids: Collection[int],
    pad: int,
) -> list[list[int]]:
    """Tokens of the best answer to each prompt, its end included if it has come to one.

    Args:
        model: a causal model of transformers.
        prompts: token ids.
        params: of which ``beams``, the lengths and the repetition penalty count; ties aside, the
            same always gives the same.
        end_ids: tokens that end an answer.
        pad: token that fills shorter rows.
    """
    import torch
    from transformers import GenerationConfig, LogitsProcessorList, RepetitionPenaltyLogitsProcessor

    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + [*p] for p in prompts], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device
    )
    processors = LogitsProcessorList()
    if params.repetition_penalty != 1.0:
        penalty = RepetitionPenaltyLogitsProcessor(
            params.repetition_penalty, prompt_ignore_length=width
        )
        processors.append(penalty)
    ends = sorted(end_ids)
    # Of the model's own configuration nothing counts: it is made for sampling.
    configuration = GenerationConfig(
        num_beams=params.beams,
        do_sample=False,
        early_stopping=True,
        max_new_tokens=params.max_new_tokens,
        min_new_tokens=params.min_new_tokens,
        eos_token_id=ends,
        pad_token_id=pad,
    )
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=configuration,
            logits_processor=processors,
        )
    return [_until_end(row[width:].tolist(), end_ids, pad) for row in made]


def _until_end(tokens: list[int], end_ids: Collection[int], pad: int) -> list[int]:
    """Without what fills the row after its end."""
    for place, token in enumerate(tokens):
        if token in end_ids:
            return tokens[: place + 1]
    while tokens and tokens[-1] == pad:
        tokens.pop()
    return tokens
