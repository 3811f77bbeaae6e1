"""The output head of a language model: how its last hidden states become scores of words.

Most are a matrix. Phi's has a bias; Cohere, Granite and others scale the scores; Gemma 2 caps them
(``cap * tanh(score / cap)``, arXiv:2408.00118). Scoring that leaves these out is wrong by nats.
"""

from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.domain.errors import BadDataError

#: Names that configurations give to a factor of the scores.
_FACTORS = ("logit_scale", "output_multiplier", "lm_head_multiplier")

TOLERANCE = 0.03
"""Of the largest score: what two orders of the same bf16 operations may differ by."""


@dataclass(frozen=True)
class TaughtRows:
    """Rows of a head that are trained while the others are not: PEFT's trainable tokens.

    ``words`` is (rows,), ``values`` (rows, width) and differentiable.
    """

    words: torch.Tensor
    values: torch.Tensor


@dataclass(frozen=True)
class OutputHead:
    """From states to scores: ``cap(scale * (states @ weight.T + bias))``.

    ``weight`` is (words, width), ``bias`` (words,); ``softcap`` is the bound that scores approach.
    ``taught`` are the rows of the weight that are trained, if any.
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    taught: "TaughtRows | None" = None

    @classmethod
    def of(cls, model: Any) -> "OutputHead":
        """The head of a causal model of transformers, by its configuration."""
        layer = model.get_output_embeddings()
        config = model.config.get_text_config()
        taught = _taught_rows(layer)
        return cls(
            weight=layer.weight if taught is None else layer.weight.detach(),
            bias=getattr(layer, "bias", None),
            scale=_scale(config),
            softcap=getattr(config, "final_logit_softcapping", None),
            taught=taught,
        )

    @classmethod
    def checked(cls, model: Any) -> "OutputHead":
        """As `of`, compared with the scores that the model itself gives to a few tokens.

        Raises:
            BadDataError: the model does something else with its scores.
        """
        if model.base_model is model:
            raise _unknown(model)
        head = cls.of(model)
        states: list[torch.Tensor] = []
        hook = model.base_model.register_forward_hook(
            lambda _module, _inputs, output: states.append(output[0])
        )
        try:
            with torch.inference_mode():
                ids = torch.arange(1, 5, device=model.device).unsqueeze(0)
                expected = model(input_ids=ids, use_cache=False).logits.float()
                found = head.scores(states[0].to(head.weight.dtype)).float()
        finally:
            hook.remove()
        limit = TOLERANCE * expected.abs().amax().clamp(min=1.0)
        if not bool((found - expected).abs().amax() <= limit):  # NaN is refused too
            raise _unknown(model)
        return head

    def scores(self, states: torch.Tensor) -> torch.Tensor:
        """(positions, words): scores of all words, in the type of ``states``."""
        scores = torch.nn.functional.linear(states, self.weight, self.bias)
        if self.scale != 1.0:
            scores = scores * self.scale
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        return scores

    def pull_back(self, gradient: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Gradient for the states, from that for ``scores`` (overwritten)."""
        self.uncap(gradient, scores)
        return gradient @ self.weight * self.scale if self.scale != 1.0 else gradient @ self.weight

    def uncap(self, gradient: torch.Tensor, scores: torch.Tensor) -> None:
        """Turn the gradient for ``scores`` into that for what is capped, in place."""
        if self.softcap is not None:
            gradient.mul_(1.0 - (scores / self.softcap).square())


def _taught_rows(layer: Any) -> TaughtRows | None:
    """What PEFT trains of a head; its ``weight`` has these rows in it already."""
    adapter = getattr(layer, "token_adapter", None)
    if adapter is None or adapter.disable_adapters or adapter.merged:
        return None
    (name,) = adapter.active_adapters
    values = adapter.trainable_tokens_delta[name]
    return TaughtRows(torch.tensor(adapter.token_indices[name], device=values.device), values)


def _unknown(model: Any) -> BadDataError:
    return BadDataError(
        f"models of type {model.config.model_type} score words in a way that is not known here: "
        "take a base model of another family"
    )


def _scale(config: Any) -> float:
    for name in _FACTORS:
        if (factor := getattr(config, name, None)) is not None:
            return float(factor)
    divisor = getattr(config, "logits_scaling", None)
    if divisor is None:
        return 1.0
    # HyperCLOVA X calls a factor what others call a divisor.
    return float(divisor) if config.model_type == "hyperclovax" else 1.0 / float(divisor)
