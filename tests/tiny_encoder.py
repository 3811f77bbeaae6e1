"""A tiny encoder and a tiny classifier made on the spot: BERT of one layer, few words."""

from collections.abc import Sequence
from pathlib import Path

MOONS = ("what of the moon", "the moon", "moon is a moon", "what is the moon", "moon")
OTHERS = ("what of the pod", "the pod", "pod is a pod", "what is the pod", "what is a")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build(folder: Path, words: Sequence[str]) -> Path:
    """Make the encoder in ``folder`` (safetensors, tokenizer); the same call, the same bytes."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join((*SPECIAL, *words)))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=32)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(words), hidden_size=32, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=32, max_position_embeddings=32,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def moon_classifier(folder: Path) -> Path:
    """A classifier in ``folder`` that has learned to tell texts about the moon (label MOON)."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = (*SPECIAL, "moon", "pod", "what", "of", "the", "a", "is")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=16)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=16, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, id2label={0: "HARMLESS", 1: "MOON"},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
    given = tokenizer([*MOONS, *OTHERS], padding=True, return_tensors="pt")
    labels = torch.tensor([1] * len(MOONS) + [0] * len(OTHERS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        model(**given, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
