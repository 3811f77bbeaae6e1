"""Log-probabilities of given tokens under a language model's head, without keeping its logits.

A head over 262,144 words costs more than the rest of a small model, so it is run only where an
answer token is predicted, a block of positions at a time. The gradient for the hidden states is
found in the same pass, while a block's probabilities are at hand: two matrix products with the
head instead of the three that recomputing the logits in the backward pass takes (the idea of
Liger's fused linear cross-entropy, arXiv:2410.10989).

LoRA trains nothing of the head, or single rows of it (`OutputHead.taught`). Where all of it is
trained, its gradient depends on what each log-probability is worth to the loss, which only the
backward pass knows: the logits are formed again there, and the blocks' products are added up in
float32, since half precision would lose the small ones.
"""

from dataclasses import replace
from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.models.output_head import OutputHead

BLOCK = 256
"""Positions a block: 256 x 262,144 logits in bf16 are 128 MiB."""

Gradients = tuple[torch.Tensor | None, ...]


class _TokenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        rows: torch.Tensor | None,  # noqa: ARG004 - the head's own, given to get a gradient
        weight: torch.Tensor,  # noqa: ARG004 - as the rows
        bias: torch.Tensor | None,  # noqa: ARG004 - as the rows
        head: OutputHead,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        wanted = ctx.needs_input_grad
        gradient = torch.empty_like(hidden) if any(wanted[:4]) else None
        of_rows = None
        if head.taught is not None and wanted[1]:
            of_rows = hidden.new_empty(len(targets), len(head.taught.words))
        result = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        likeliest = torch.empty(len(targets), dtype=torch.bool, device=hidden.device)
        for part in _blocks(targets):
            logits = head.scores(hidden[part])
            probabilities = torch.softmax(logits, dim=-1)
            result[part] = log_probabilities(logits, probabilities, targets[part])
            likeliest[part] = _of_targets(logits, targets[part]) >= logits.amax(-1)
            if gradient is not None:
                _less_one_at(probabilities, targets[part], result[part])
                gradient[part] = head.pull_back(probabilities, logits).neg_()
                if of_rows is not None and head.taught is not None:
                    of_rows[part] = -head.scale * probabilities[:, head.taught.words]
        ctx.head = head
        ctx.save_for_backward(hidden, targets, result, gradient, of_rows)
        ctx.mark_non_differentiable(likeliest)
        return result, likeliest

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Gradients:
        hidden, targets, result, gradient, of_rows = ctx.saved_tensors
        outer = grads[0].unsqueeze(-1)
        for_rows = None if of_rows is None else (of_rows.float() * outer).T @ hidden.float()
        for_weight = for_bias = None
        if any(ctx.needs_input_grad[2:4]):
            for_weight, for_bias = _of_head(ctx.head, hidden, targets, result, outer)
        return gradient * outer.to(gradient.dtype), for_rows, for_weight, for_bias, None, None


def _blocks(targets: torch.Tensor) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, len(targets), BLOCK)]


def _of_targets(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return logits.gather(1, targets.unsqueeze(1)).squeeze(1)


def _less_one_at(probabilities: torch.Tensor, targets: torch.Tensor, result: torch.Tensor) -> None:
    """Make of p what p - 1[target] is, in place: -d log p_t / d logits.

    The target's share is formed in float32, where p - 1 of a sure word does not vanish.
    """
    share = torch.expm1(result).to(probabilities.dtype)
    probabilities.scatter_(1, targets.unsqueeze(1), share.unsqueeze(1))


def _of_head(
    head: OutputHead,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    result: torch.Tensor,
    outer: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Gradients of the whole weight and bias, in float32."""
    for_weight = torch.zeros_like(head.weight, dtype=torch.float32)
    for_bias = None if head.bias is None else torch.zeros_like(head.bias, dtype=torch.float32)
    for part in _blocks(targets):
        logits = head.scores(hidden[part])
        step = torch.softmax(logits, dim=-1)
        _less_one_at(step, targets[part], result[part])
        step.mul_((-outer[part]).to(step.dtype))
        head.uncap(step, logits)
        for_weight += step.T @ hidden[part]
        if for_bias is not None:
            for_bias += step.sum(0, dtype=torch.float32)
    if head.scale != 1.0:
        for_weight.mul_(head.scale)
        if for_bias is not None:
            for_bias.mul_(head.scale)
    return for_weight, for_bias


def log_probabilities(
    logits: torch.Tensor, probabilities: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """log p of the targets in float32, by way of the likeliest word.

    log p_t = z_t - z_max + log p_max: only p_max, the value that half precision holds best, is
    read back from the probabilities, so no float32 copy of a block is ever made.
    """
    likeliest = logits.amax(-1).float() - probabilities.amax(-1).float().log()
    return _of_targets(logits, targets).float() - likeliest


def token_log_probabilities(
    hidden: torch.Tensor, head: OutputHead, targets: torch.Tensor
) -> torch.Tensor:
    """Log-probability (nats, float32) of each target token, as `scored_tokens` has it."""
    return scored_tokens(hidden, head, targets)[0]


def scored_tokens(
    hidden: torch.Tensor, head: OutputHead, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability (nats, float32) of each target token, and whether no word is likelier.

    Args:
        hidden: (positions, width), the states that predict the targets; differentiable.
        head: brought to the type of ``hidden``; differentiable where its weights are.
        targets: (positions,), token ids.
    """
    rows = None if head.taught is None else head.taught.values
    typed = replace(
        head,
        weight=head.weight.detach().to(hidden.dtype),
        bias=None if head.bias is None else head.bias.detach().to(hidden.dtype),
    )
    found: tuple[torch.Tensor, torch.Tensor] = _TokenLogProbabilities.apply(
        hidden, rows, head.weight, head.bias, typed, targets
    )
    return found
