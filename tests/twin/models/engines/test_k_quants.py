"""Four-bit files: which tensor gets how many bits, and llama.cpp packs and reads them."""

import gguf
import numpy as np
import pytest

from tests import families
from tests.twin.models.engines.test_llama_parity import expected, written
from twin.models.engines import k_quants
from twin.models.engines.gguf import prepare_gguf
from twin.models.engines.k_quants import load_quantiser, q4_k_m, teach_converter
from twin.models.engines.llama_server import LlamaServer, ServerOptions
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message


@pytest.mark.parametrize(
    ("name", "layer", "tied", "expected"),
    [
        ("output.weight", None, False, "Q6_K"),
        ("token_embd.weight", None, True, "Q6_K"),
        ("token_embd.weight", None, False, "Q4_K"),
        ("blk.3.attn_q.weight", 3, False, "Q4_K"),
        ("blk.3.attn_output.weight", 3, False, "Q4_K"),
        ("blk.3.ffn_up.weight", 3, False, "Q4_K"),
        ("blk.3.attn_qkv.weight", 3, False, "Q5_K"),
    ],
)
def test_the_head_has_more_bits_than_the_rest(name, layer, tied, expected):
    assert q4_k_m(name, 512, layer, 16, tied=tied).name == expected


@pytest.mark.parametrize("part", ["attn_v", "ffn_down"])
def test_half_of_the_value_and_down_projections_have_more(part):
    """Of sixteen layers the first and last two, and each third between, as in llama.cpp's files."""
    more = {
        layer
        for layer in range(16)
        if q4_k_m(f"blk.{layer}.{part}.weight", 512, layer, 16, tied=False).name == "Q6_K"
    }
    assert more == {0, 1, 4, 7, 10, 13, 14, 15}


@pytest.mark.parametrize(
    ("name", "width", "expected"),
    [
        ("blk.0.ffn_up.weight", 640, "Q5_0"),
        ("output.weight", 640, "Q8_0"),
        ("blk.0.attn_qkv.weight", 640, "Q8_0"),
        ("blk.0.ffn_up.weight", 100, "F16"),
        ("blk.0.ffn_up.weight", 768, "Q4_K"),
    ],
)
def test_rows_that_cannot_be_packed_by_256_get_a_plainer_type(name, width, expected):
    assert q4_k_m(name, width, None, 16, tied=False).name == expected


@pytest.mark.parametrize(("kind", "error"), [("Q4_K", 0.1), ("Q5_K", 0.05), ("Q6_K", 0.025)])
def test_packed_numbers_come_back(monkeypatch, kind, error):
    """`gguf` unpacks by code of its own: llama.cpp's packing is checked against it."""
    kind = gguf.GGMLQuantizationType[kind]
    monkeypatch.setattr(k_quants._BLOCKS[kind], "quantize_blocks", None)
    for name in ("Q4_K", "Q5_K", "Q6_K"):  # put back afterwards
        blocks = k_quants._BLOCKS[gguf.GGMLQuantizationType[name]]
        monkeypatch.setattr(blocks, "quantize_blocks", blocks.quantize_blocks)
    teach_converter()
    values = np.random.default_rng(0).normal(size=(48, 512)).astype(np.float32)
    packed = gguf.quants.quantize(values, kind)
    assert packed.dtype == np.uint8
    found = gguf.quants.dequantize(packed, kind)
    assert np.sqrt(np.mean((found - values) ** 2)) < error


def test_a_llama_cpp_without_quantiser_says_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit, match=r"set llama_cpp\.quantisation to q8_0"):
        load_quantiser()


def test_a_model_in_four_bits_answers_nearly_as_it_did(tmp_path):
    """Rows of 256, as real models have; the words of its greedy answer are as likely as before."""
    wide = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4}
    folder = families.build("llama3", tmp_path / "model", **wide, initializer_range=0.05)
    file = prepare_gguf(folder, "q4_k_m", tmp_path / "gguf")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert {kinds["output.weight"], kinds["blk.3.ffn_down.weight"]} == {"Q6_K"}
    assert {kinds["token_embd.weight"], kinds["blk.0.attn_q.weight"]} == {"Q4_K"}
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    half = prepare_gguf(folder, "f16", tmp_path / "gguf")
    assert file.stat().st_size < 0.4 * half.stat().st_size
    chat = ChatFormat.load(folder)
    prompt = chat.prompt_ids([Message(role="user", content="What do you think? " * 4)])
    server = LlamaServer(file, ServerOptions(1024, 1024, 1, 1))
    try:
        answer, scores = written(server, chat, prompt)
    finally:
        server.close()
    assert scores == pytest.approx(expected(folder, prompt, answer), abs=1.0)
