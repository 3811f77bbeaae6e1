"""A tiny language model made on the spot: random weights, a real tokenizer, the real template.

It has the base model's architecture (Gemma 3 text), special tokens and turn format at under a
million parameters, so that tests of training and serving run in seconds without a download.
"""

import sys
from pathlib import Path

from twin.models.formats.gemma import CHAT_TEMPLATE, END_OF_TURN, START_OF_TURN

SPECIAL_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", START_OF_TURN, END_OF_TURN]
VOCABULARY = 1024

CORPUS = """\
I keep this handbook because a system that nobody can explain is a system that nobody can trust.
Every job runs in a pod of its own. A pod states what it needs, takes it, and gives it back, so a
crawl never starves a training run. When a job dies, the next one finishes its work: what was
stored stays stored, and what was half done is done again. I do not like clever recovery. I like
work that can be repeated.

A document is what the author published. Its revision is the hash of its text, so two runs over
the same page change nothing. Passages are cut from documents, vectors are made from passages, and
samples are made from passages too. Each knows where it came from. That is how I can say why an
answer says what it says, and how I can forget a document when its author asks.

The model is small and learns the voice, not the facts. The facts come from the index: the question
is embedded, the nearest passages are found, and the model reads them before it writes. What do you
think about promotion? A candidate must be better than the base on writing it has never seen, or it
stays a candidate. What would you do when it is worse? I move the alias back and read the report.
"""


def build(folder: Path) -> Path:
    """Make the model in ``folder`` (weights as safetensors, tokenizer, template); returns it.

    The same call always gives the same bytes. Takes about a second after imports.
    """
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = _tokenizer()
    config = Gemma3TextConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=32,
        query_pre_attn_scalar=32,
        max_position_embeddings=2048,
        sliding_window=512,
        layer_types=["sliding_attention"] * 3 + ["full_attention"],
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        dtype="bfloat16",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Gemma3ForCausalLM(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = [1, tokenizer.convert_tokens_to_ids(END_OF_TURN)]
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS.split("\n\n"), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A $B", special_tokens=[("<bos>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        additional_special_tokens=[START_OF_TURN, END_OF_TURN],
        chat_template=CHAT_TEMPLATE,
        model_max_length=2048,
        padding_side="left",
    )


if __name__ == "__main__":
    print(build(Path(sys.argv[1])))
