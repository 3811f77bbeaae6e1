"""Log-probabilities of given tokens under a language model's head, without keeping its logits.

A head over 262,144 words costs more than the rest of a small model, so it is run only where an
answer token is predicted, a block of positions at a time. The gradient for the hidden states is
found in the same pass, while a block's probabilities are at hand: two matrix products with the
head instead of the three that recomputing the logits in the backward pass takes (the idea of
Liger's fused linear cross-entropy, arXiv:2410.10989). The head itself is not trained, which LoRA
on the linear layers never asks for; single rows of it may be (`OutputHead.taught`).
"""

from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.models.output_head import OutputHead

BLOCK = 256
"""Positions a block: 256 x 262,144 logits in bf16 are 128 MiB."""


class _TokenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        rows: torch.Tensor | None,  # noqa: ARG004 - the head's own, given to get a gradient
        head: OutputHead,
        targets: torch.Tensor,
    ) -> torch.Tensor:
        gradient = torch.empty_like(hidden) if any(ctx.needs_input_grad[:2]) else None
        of_rows = None
        if head.taught is not None and ctx.needs_input_grad[1]:
            of_rows = hidden.new_empty(len(targets), len(head.taught.words))
        result = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), BLOCK):
            part = slice(start, start + BLOCK)
            logits = head.scores(hidden[part])
            probabilities = torch.softmax(logits, dim=-1)
            result[part] = log_probabilities(logits, probabilities, targets[part])
            if gradient is not None:
                # d log p_t / d logits = 1[t] - p; the target's share is formed in float32.
                share = torch.expm1(result[part]).to(probabilities.dtype)
                probabilities.scatter_(1, targets[part].unsqueeze(1), share.unsqueeze(1))
                gradient[part] = head.pull_back(probabilities, logits).neg_()
                if of_rows is not None and head.taught is not None:
                    of_rows[part] = -head.scale * probabilities[:, head.taught.words]
        ctx.save_for_backward(gradient, *([] if of_rows is None else [of_rows, hidden]))
        return result

    @staticmethod
    def backward(
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        gradient, *taught = ctx.saved_tensors
        outer = grads[0].unsqueeze(-1)
        for_rows = None
        if taught:
            of_rows, hidden = taught
            for_rows = (of_rows.float() * outer).T @ hidden.float()
        return gradient * outer.to(gradient.dtype), for_rows, None, None


def log_probabilities(
    logits: torch.Tensor, probabilities: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """log p of the targets in float32, by way of the likeliest word.

    log p_t = z_t - z_max + log p_max: only p_max, the value that half precision holds best, is
    read back from the probabilities, so no float32 copy of a block is ever made.
    """
    likeliest = logits.amax(-1).float() - probabilities.amax(-1).float().log()
    return logits.gather(1, targets.unsqueeze(1)).squeeze(1).float() - likeliest


def token_log_probabilities(
    hidden: torch.Tensor, head: OutputHead, targets: torch.Tensor
) -> torch.Tensor:
    """Log-probability (nats, float32) of each target token.

    Args:
        hidden: (positions, width), the states that predict the targets; differentiable.
        head: of the same type as ``hidden``; treated as constant, but for the rows being taught.
        targets: (positions,), token ids.
    """
    if head.weight.requires_grad:
        raise ValueError("the head is treated as constant: freeze it")
    rows = None if head.taught is None else head.taught.values
    result: torch.Tensor = _TokenLogProbabilities.apply(hidden, rows, head, targets)
    return result
