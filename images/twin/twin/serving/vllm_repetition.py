"""A logits processor for vLLM: repetition penalty on the answer's own words.

vLLM's own `repetition_penalty` counts the prompt's words too, and an answer from passages is to
repeat those. Imported by vLLM's workers only.
"""

from typing import Any

import torch  # noqa: TID253 - only vLLM imports this module
from vllm.sampling_params import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, process_dict_updates

#: Name of the penalty among a request's `SamplingParams.extra_args`.
ARGUMENT = "answer_repetition_penalty"


class AnswerRepetitionPenalty(LogitsProcessor):
    """Divides positive logits of what an answer has said by the penalty, multiplies negative ones.

    The same rule as transformers' `RepetitionPenaltyLogitsProcessor` with the prompt left out.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        del vllm_config, is_pin_memory
        self._device = device
        # Row of the batch to its penalty and to vLLM's own, growing list of the answer's tokens.
        self._rows: dict[int, tuple[float, list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        """Whether greedy decoding may skip this: no, it changes what is likeliest."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests that join, leave and move within the batch."""
        process_dict_updates(self._rows, batch_update, _row)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Change (rows, words) in place."""
        rows: list[int] = []
        words: list[int] = []
        penalties: list[float] = []
        for row, (penalty, answer) in self._rows.items():
            # With asynchronous scheduling -1 stands for a token that is still to come.
            said = {token for token in answer if token >= 0}
            rows += [row] * len(said)
            words += said
            penalties += [penalty] * len(said)
        if words:
            where = (
                torch.tensor(rows, device=self._device),
                torch.tensor(words, device=self._device),
            )
            penalty = torch.tensor(penalties, device=self._device, dtype=logits.dtype)
            scores = logits[where]
            logits[where] = torch.where(scores < 0, scores * penalty, scores / penalty)
        return logits


def _row(
    params: SamplingParams, prompt: list[int] | None, answer: list[int]
) -> tuple[float, list[int]] | None:
    del prompt
    penalty = (params.extra_args or {}).get(ARGUMENT, 1.0)
    return None if penalty == 1.0 else (float(penalty), answer)
