"""Teaching a model the token that ends its answers, where no training has ever touched it.

LoRA leaves embedding and head as they are. PEFT's trainable tokens replace single rows of both, so
the adapter changes a head that engines share among adapters: it is merged into its base, always.
"""

from typing import Any

from twin.models.formats.chat_format import ChatFormat

TokenIndices = dict[str, list[int]]


def token_indices(model: Any, chat: ChatFormat) -> TokenIndices | None:
    """The rows that PEFT is to train, by the names of embedding and head; None if the end is known.

    Tied layers are both named: PEFT then trains one row for the two.
    """
    from twin.models.formats.trained_end import is_trained

    head = model.get_output_embeddings()
    if is_trained(head.weight.detach(), chat.end_id):
        return None
    layers = (model.get_input_embeddings(), head)
    names = [name for name, layer in model.named_modules() if any(layer is one for one in layers)]
    return {name: [chat.end_id] for name in names}


def begin_at_known_end(adapted: Any, chat: ChatFormat) -> None:
    """Let the new end begin as the end of a document, which a pretrained model knows.

    The vector that it has is one of many unused words, from where it would have far to go.
    """
    import torch

    from twin.models.formats.trained_end import is_trained

    weight = adapted.get_output_embeddings().original_module.weight.detach()
    known = [end for end in sorted(chat.end_ids - {chat.end_id}) if is_trained(weight, end)]
    if known:
        with torch.no_grad():
            for layer in _taught_layers(adapted):
                row = layer.get_base_layer().weight[known[0]]
                layer.trainable_tokens_delta["default"].copy_(row.expand(1, -1))


def copy_to_reference(adapted: Any) -> None:
    """Give DPO's reference the taught rows of the policy; TRL copies LoRA's matrices only."""
    import torch

    with torch.no_grad():
        for layer in _taught_layers(adapted):
            rows = layer.trainable_tokens_delta
            rows["ref"].copy_(rows["default"])


def _taught_layers(adapted: Any) -> list[Any]:
    from peft.tuners.trainable_tokens import TrainableTokensLayer

    return [layer for layer in adapted.modules() if isinstance(layer, TrainableTokensLayer)]
