"""Log-probabilities of given tokens under a language model's head, without keeping its logits.

A head over 262,144 words costs more than the rest of a small model, so it is run only where an
answer token is predicted, a block of positions at a time. The gradient for the hidden states is
found in the same pass, while a block's probabilities are at hand: two matrix products with the
head instead of the three that recomputing the logits in the backward pass takes (the idea of
Liger's fused linear cross-entropy, arXiv:2410.10989). The head itself is not trained, which LoRA
on the linear layers never asks for.
"""

from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.models.output_head import OutputHead

BLOCK = 256
"""Positions a block: 256 x 262,144 logits in bf16 are 128 MiB."""


class _TokenLogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, head: OutputHead, targets: torch.Tensor
    ) -> torch.Tensor:
        wants_gradient = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wants_gradient else None
        result = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), BLOCK):
            part = slice(start, start + BLOCK)
            logits = head.scores(hidden[part])
            probabilities = torch.softmax(logits, dim=-1)
            result[part] = _log_probabilities(logits, probabilities, targets[part])
            if gradient is not None:
                # d log p_t / d logits = 1[t] - p; the target's share is formed in float32.
                share = torch.expm1(result[part]).to(probabilities.dtype)
                probabilities.scatter_(1, targets[part].unsqueeze(1), share.unsqueeze(1))
                gradient[part] = head.pull_back(probabilities, logits).neg_()
        ctx.save_for_backward(gradient)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].unsqueeze(-1).to(gradient.dtype), None, None


def _log_probabilities(
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
        head: of the same type as ``hidden``; treated as constant.
        targets: (positions,), token ids.
    """
    if head.weight.requires_grad:
        raise ValueError("the head is treated as constant: freeze it")
    result: torch.Tensor = _TokenLogProbabilities.apply(hidden, head, targets)
    return result
