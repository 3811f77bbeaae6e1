"""How likely a model finds given tokens, and whether it would have written them greedily."""

from collections.abc import Sequence
from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.models.output_head import OutputHead
from twin.models.token_log_probabilities import BLOCK, log_probabilities


def token_likelihoods(
    model: Any, head: OutputHead, prompts: Sequence[list[int]], ends: Sequence[list[int]]
) -> list[tuple[float, bool]]:
    """Sum of log-probabilities (nats) of the tokens after each prompt, and whether each of them is
    the likeliest; all rows in one pass.

    Args:
        model: a causal model of transformers.
        head: its output head, which is run only where a token of an end is predicted.
        prompts: token ids, one at least.
        ends: to each prompt the tokens that follow, one at least.
    """
    tokens = [token for end in ends for token in end]
    with torch.inference_mode():
        states = _predicting_states(model, prompts, ends)
        targets = torch.tensor(tokens, device=states.device)
        blocks = [
            _block(head, states[start : start + BLOCK], targets[start : start + BLOCK])
            for start in range(0, len(tokens), BLOCK)
        ]
    sizes = [len(end) for end in ends]
    nats, likeliest = (torch.cat(parts).cpu().split(sizes) for parts in zip(*blocks, strict=True))
    return [
        (float(row.double().sum()), bool(same.all()))
        for row, same in zip(nats, likeliest, strict=True)
    ]


def _block(
    head: OutputHead, states: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    scores = head.scores(states)
    nats = log_probabilities(scores, torch.softmax(scores, dim=-1), targets)
    return nats, scores.argmax(-1) == targets


def _predicting_states(
    model: Any, prompts: Sequence[list[int]], ends: Sequence[list[int]]
) -> torch.Tensor:
    """(tokens of all ends, width): the last hidden states, where one of them is predicted."""
    sequences = [prompt + end for prompt, end in zip(prompts, ends, strict=True)]
    # Padded on the right: what is left of a causal model's position decides, so no mask of
    # positions is needed.
    width = max(map(len, sequences))
    ids = torch.zeros((len(sequences), width), dtype=torch.long)
    mask = torch.zeros_like(ids)
    rows: list[int] = []
    columns: list[int] = []
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
        predicting = range(len(prompts[row]) - 1, len(sequence) - 1)
        rows += [row] * len(predicting)
        columns += predicting
    hidden: torch.Tensor = model.base_model(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False
    ).last_hidden_state
    return hidden[rows, columns]
