"""Whether a model has ever been taught the token with which its answers are to end.

A pretrained model may carry a chat template and tokens for turns that no text of its training
had. Their rows of the output head are still as they were made: zero, or one vector for all of
them (Land and Bartolo, "Fishing for Magikarp", arXiv:2405.05417). LoRA leaves the head as it is, so
such a model can't learn by it to end an answer with one: it ends in any of them, or in none. The
row can be trained beside LoRA (`twin.training.taught_end`), where the recipe says so.
"""

from typing import Any

import torch  # noqa: TID253 - a module of its own, imported where a model is at work

from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat

ALIKE = 0.999
"""Cosine from which two rows are one vector: trained words, however close, stay below 0.99."""
MOST_ALIKE = 4
"""Rows that may be alike: some vocabularies hold a word several times."""
SHORTEST = 1e-3
"""Of the median length of rows; shorter ones are as good as zero."""
ROWS = 16_384
"""Rows compared at once: 16,384 x 4,096 in float32 are 256 MiB."""


def check_end_is_trained(model: Any, chat: ChatFormat) -> None:
    """See that a causal model of transformers knows ``chat.end_of_answer``.

    Raises:
        BadDataError: it was never trained.
    """
    weight = model.get_output_embeddings().weight.detach()
    if not is_trained(weight, chat.end_id):
        raise BadDataError(
            f"{chat.tokenizer.name_or_path}: the model was never taught {chat.end_of_answer}, with "
            "which its chat template ends an answer: take the instruction-tuned model of this "
            "family, let the training teach it (training.teach_end: true, with merged weights "
            "only), or remove the template from the base model's folder, so that answers end with "
            f"{chat.tokenizer.eos_token}"
        )


def is_trained(weight: torch.Tensor, token: int) -> bool:
    """Whether a row of an output head, (words, width), is unlike the rows of unused tokens."""
    row = weight[token].float()
    lengths = torch.cat([part.float().norm(dim=-1) for part in weight.split(ROWS)])
    if row.norm() <= SHORTEST * lengths.median():
        return False
    alike = 0
    for part, own in zip(weight.split(ROWS), lengths.split(ROWS), strict=True):
        cosines = (part.float() @ row) / (own * row.norm()).clamp(min=1e-12)
        alike += int((cosines > ALIKE).sum())
    return alike - 1 <= MOST_ALIKE
