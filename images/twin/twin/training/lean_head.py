"""TRL's trainers on a CPU: the head only where an answer is predicted, in bf16, once.

TRL computes log-probabilities with a fused head. On a GPU that is a Triton kernel which skips the
prompt's positions; elsewhere (TRL 1.16) it scores every position against all 262,144 words, folds
them in float32 for entropy and other metrics, recomputes the logits in the backward pass and
multiplies the gradient in float32. Here the same interface is answered by
`twin.models.token_log_probabilities`, which does none of that and gives the same log-probabilities
and gradients. Whether a token was the likeliest costs nothing there; entropy and mean logits would
cost a pass each over all logits, are metrics only, and read zero.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - imported by the training functions only
from trl.trainer.utils import FusedCausalLMOutput  # noqa: TID253 - as torch above

from twin.models.output_head import OutputHead
from twin.models.token_log_probabilities import scored_tokens

UNMEASURED = frozenset({"entropy", "logits/chosen", "logits/rejected"})
"""Metrics of TRL that need all logits; they are not reported."""


def use_lean_head(trainer: Any) -> None:
    """Give a TRL trainer on the CPU the lean head; on an accelerator TRL's own is as good.

    One whose weights are shared out among processes keeps TRL's too, which gathers the head's.

    Raises:
        BadDataError: the model scores words in a way that is not known here.
    """
    if trainer.accelerator.device.type != "cpu" or trainer.is_fsdp_enabled:
        return
    for model in {trainer.model, getattr(trainer, "ref_model", None)} - {None}:
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        _patch(base)
        _keep_activations_in_bf16(model)


def _patch(model: Any) -> None:
    OutputHead.checked(model)
    score_answers(
        model, lambda answers: scored_tokens(answers.states, OutputHead.of(model), answers.targets)
    )


@dataclass(frozen=True)
class Answers:
    """A batch where tokens of an answer are predicted.

    Attributes:
        states: (positions, width), the last hidden states there, in bf16.
        targets: (positions,), the tokens that come next.
        mask: (rows, tokens - 1), where in the batch the positions are.
        inputs: of the model's body, by which another model may be asked of the same batch.
    """

    states: torch.Tensor
    targets: torch.Tensor
    mask: torch.Tensor
    inputs: dict[str, Any]


def score_answers(
    model: Any, score: Callable[[Answers], tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Have ``score`` say what a batch's tokens are worth when TRL asks for its fused head.

    Args:
        model: a causal model of transformers without adapter, or the one below the adapter.
        score: gives to each position a differentiable number, whose negative is the loss there,
            and whether the target is the likeliest word.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(
        *args: Any, fused_lm_head: bool = False, labels: torch.Tensor | None = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head or labels is None:
            return original(*args, labels=labels, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        inputs = {**kwargs, "use_cache": False}
        hidden = model.base_model(*args, **inputs).last_hidden_state[:, :-1]
        targets = labels[:, 1:]
        mask = targets != -100
        # In bf16 whatever the weights are in: those of full fine-tuning are in float32.
        states = hidden[mask].to(torch.bfloat16)
        return _fused_output(mask, *score(Answers(states, targets[mask], mask, inputs)))

    model.forward = forward


def _fused_output(mask: torch.Tensor, found: torch.Tensor, likeliest: torch.Tensor) -> Any:
    unmeasured = torch.zeros(mask.shape, device=mask.device)
    return FusedCausalLMOutput(
        loss=-found.sum() / mask.sum().clamp(min=1),
        log_probs=unmeasured.masked_scatter(mask, found),
        entropy=unmeasured,
        mean_logits=unmeasured,
        is_top1=torch.zeros_like(mask).masked_scatter(mask, likeliest),
        label_mask=mask,
    )


def _keep_activations_in_bf16(model: Any) -> None:
    """Let autocast cast LoRA's small float32 weights, instead of PEFT casting every activation."""
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = False
