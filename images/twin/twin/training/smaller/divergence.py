"""The loss of a student: an answer's words, and the probabilities that its teacher gives to all.

At each word of an answer it is ``share * KL(teacher || student) - (1 - share) * log p(word)``
(Hinton et al., 2015, arXiv:1503.02531). For the scores of the student its gradient is
``p - share * q - (1 - share) * [word]``, so both parts cost what one does. As in
`twin.models.token_log_probabilities` a block of positions is scored at a time and the gradient for
the hidden states is formed in the same pass; the heads themselves are not trained.
"""

from dataclasses import replace
from typing import Any

import torch  # noqa: TID253 - imported by the training functions only

from twin.domain.errors import BadDataError
from twin.models.output_head import OutputHead
from twin.training.lean_head import Answers, score_answers

BLOCK = 64
"""Positions a block: of both models 64 x 262,144 logits in float32 are 64 MiB each. Differences of
like probabilities need that type."""

Gradients = tuple[torch.Tensor | None, ...]


class _TaughtLosses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        teacher_states: torch.Tensor,
        head: OutputHead,
        teacher_head: OutputHead,
        targets: torch.Tensor,
        share: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        gradient = torch.empty_like(states) if ctx.needs_input_grad[0] else None
        losses = torch.empty(len(targets), dtype=torch.float32, device=states.device)
        likeliest = torch.empty(len(targets), dtype=torch.bool, device=states.device)
        for start in range(0, len(targets), BLOCK):
            part = slice(start, start + BLOCK)
            words = targets[part].unsqueeze(1)
            scores = head.scores(states[part])
            own = torch.log_softmax(scores.float(), dim=-1)
            taught = torch.log_softmax(teacher_head.scores(teacher_states[part]).float(), dim=-1)
            weights = taught.exp()
            divergence = (weights * (taught - own)).sum(-1)
            said = own.gather(1, words).squeeze(1)
            losses[part] = share * divergence - (1.0 - share) * said
            likeliest[part] = said >= own.amax(-1)
            if gradient is not None:
                slope = own.exp_().sub_(weights.mul_(share))
                slope.scatter_add_(1, words, torch.full_like(said, share - 1.0).unsqueeze(1))
                gradient[part] = head.pull_back(slope.to(states.dtype), scores)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(likeliest)
        return losses, likeliest

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Gradients:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].unsqueeze(-1).to(gradient.dtype), None, None, None, None, None


def taught_losses(
    states: torch.Tensor,
    teacher_states: torch.Tensor,
    head: OutputHead,
    teacher_head: OutputHead,
    targets: torch.Tensor,
    share: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss (nats, float32) at each target token, and whether no word is likelier.

    Args:
        states: (positions, width), of the student; differentiable.
        teacher_states: (positions, width of the teacher), of the same positions.
        head: of the student, in the type of ``states``.
        teacher_head: over the same words, in the type of ``teacher_states``.
        targets: (positions,), token ids.
        share: of the loss that is the divergence from the teacher.
    """
    found: tuple[torch.Tensor, torch.Tensor] = _TaughtLosses.apply(
        states, teacher_states, head, teacher_head, targets, share
    )
    return found


def learn_from(trainer: Any, teacher: Any, share: float) -> None:
    """Give a TRL trainer of supervised fine-tuning the loss of a student.

    Args:
        trainer: whose model trains neither embedding nor head.
        teacher: a causal model of transformers over the same words; it is not trained.
        share: of the loss that is the divergence from it.

    Raises:
        BadDataError: one of them scores words in a way that is not known here, or other words.
    """
    model = trainer.model
    student = model.get_base_model() if hasattr(model, "get_base_model") else model
    teacher = teacher.to(trainer.accelerator.device).eval().requires_grad_(False)
    with trainer.accelerator.autocast():  # as both are run: an adapter is in float32
        head, teacher_head = (_in_bf16(OutputHead.checked(each)) for each in (student, teacher))
    if len(head.weight) != len(teacher_head.weight):
        raise BadDataError(
            f"the student scores {len(head.weight)} words and its teacher "
            f"{len(teacher_head.weight)}: set training.distillation.logits to 0, or name a student "
            "with as many"
        )

    def score(answers: Answers) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            taught = teacher.base_model(**answers.inputs).last_hidden_state[:, :-1]
        teacher_states = taught[answers.mask].to(torch.bfloat16)
        losses, likeliest = taught_losses(
            answers.states, teacher_states, head, teacher_head, answers.targets, share
        )
        return -losses, likeliest

    score_answers(student, score)


def _in_bf16(head: OutputHead) -> OutputHead:
    return replace(
        head,
        weight=head.weight.detach().to(torch.bfloat16),
        bias=None if head.bias is None else head.bias.detach().to(torch.bfloat16),
    )
