"""The embedder: the package's model, against sentence-transformers itself."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.embedder import load_embedder
from twin.models.encoders import half_precision, simple_pooling
from twin.settings import Settings

NAME = "all-minilm-l6-v2"
TEXTS = [
    "The gate compares the candidate with the champion.",
    "Pods",
    "",
    "A release is a finished folder that nobody will ever write to again. " * 8,
    "Зачем нужны поды? 日本語 🙂",
    "word " * 2_000,
]


@pytest.fixture(scope="module")
def embedder():
    return load_embedder(NAME, Settings(), batch_size=2)


@pytest.fixture
def folder(embedder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(embedder.folder, tmp_path / "minilm"))


def cosine(one: list[float], other: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_vectors_are_those_of_sentence_transformers(embedder):
    from sentence_transformers import SentenceTransformer

    oracle = SentenceTransformer(str(embedder.folder), device="cpu")
    expected = oracle.encode(TEXTS, normalize_embeddings=True).tolist()
    found = embedder.encode(TEXTS)
    assert len(found) == len(TEXTS)
    for mine, theirs in zip(found, expected, strict=True):
        assert cosine(mine, theirs) > 0.999
        assert cosine(mine, mine) == pytest.approx(1, abs=1e-5)
    assert embedder.dimension == oracle.get_embedding_dimension() == 384
    assert embedder.max_tokens == oracle.max_seq_length == 256
    assert [embedder.count_tokens(text) for text in TEXTS] == [
        len(oracle.tokenizer(text)["input_ids"]) for text in TEXTS
    ]


def test_order_and_batches_do_not_matter(embedder):
    forward = embedder.encode(TEXTS)
    backward = embedder.encode(TEXTS[::-1])[::-1]
    assert all(cosine(a, b) > 0.999 for a, b in zip(forward, backward, strict=True))
    assert embedder.encode([]) == []


def test_like_meanings_are_near(embedder):
    question, near, far = embedder.encode(
        ["How do I undo a deployment?", "Rolling back to the version before.", "Boil the pasta."]
    )
    assert cosine(question, near) > cosine(question, far) + 0.2


def test_a_folder_is_an_embedder_too_and_its_id_follows_its_weights(embedder, folder):
    copy = load_embedder(str(folder), Settings())
    assert copy.id == f"minilm@{embedder.id.split('@')[1]}"
    assert copy.encode(["Pods"])[0] == pytest.approx(embedder.encode(["Pods"])[0], abs=1e-4)
    weights = next(folder.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x01\x02\x03\x04")
    other = folder.rename(folder.with_name("changed"))
    assert load_embedder(str(other), Settings()).id.split("@")[1] != embedder.id.split("@")[1]


def test_a_folder_among_the_prepared_models_is_found_by_name(folder, tmp_path):
    settings = Settings(models=tmp_path)
    assert load_embedder("minilm", settings).max_tokens == 256


def test_first_token_pooling_is_that_of_sentence_transformers(folder):
    from sentence_transformers import SentenceTransformer

    pooling = folder / "1_Pooling" / "config.json"
    flags = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | flags))
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS[:2]).tolist()
    found = load_embedder(str(folder), Settings()).encode(TEXTS[:2])
    for mine, theirs in zip(found, expected, strict=True):
        assert cosine(mine, theirs) > 0.999


def test_what_is_not_simple_is_left_to_sentence_transformers(folder):
    from sentence_transformers import SentenceTransformer

    pooling = folder / "1_Pooling" / "config.json"
    flags = {"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | flags))
    assert simple_pooling(folder) is None
    oracle = SentenceTransformer(str(folder), device="cpu")
    expected = oracle.encode(TEXTS[:2], normalize_embeddings=True).tolist()
    embedder = load_embedder(str(folder), Settings())
    assert embedder.dimension == 384
    for mine, theirs in zip(embedder.encode(TEXTS[:2]), expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("modules.json", lambda m: [*m, {"type": "models.Dense", "path": "3_Dense"}]),
        ("modules.json", lambda m: m[:1]),
        ("sentence_bert_config.json", lambda c: c | {"do_lower_case": True}),
        ("config_sentence_transformers.json", lambda c: c | {"prompts": {"query": "query: "}}),
    ],
)  # fmt: skip
def test_folders_that_ask_for_more_are_not_simple(folder, file, change):
    assert simple_pooling(folder) == "mean"
    path = folder / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    assert simple_pooling(folder) is None


@pytest.mark.parametrize("name", ["no-such-embedder", "someone/some-model", "../..", "", "a b c"])
def test_an_unknown_embedder_is_refused_with_the_known_ones(name):
    with pytest.raises(BadDataError, match=NAME):
        load_embedder(name, Settings())


def test_a_folder_without_a_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadConfigurationError, match=r"tokenizer\.json"):
        load_embedder(str(folder), Settings())


def test_counting_tokens_needs_no_torch():
    script = f"""
import sys
from twin.models.embedder import load_embedder
from twin.settings import Settings
embedder = load_embedder({NAME!r}, Settings())
assert embedder.count_tokens("Hello, world") == 5
assert embedder.id and embedder.max_tokens == 256
assert not {{"torch", "transformers", "sentence_transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("device", "native", "expected"),
    [
        ("cuda", True, torch.bfloat16),
        ("cuda", False, torch.float16),
        ("cpu", True, torch.bfloat16),
        ("cpu", False, None),
    ],
)
def test_half_precision_is_what_the_device_multiplies(monkeypatch, device, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: native)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    assert half_precision(torch.device(device)) is expected


def test_in_full_precision_the_vectors_are_the_same_but_for_rounding(embedder, monkeypatch):
    here = embedder.encode(TEXTS)
    monkeypatch.setattr("twin.models.encoders.half_precision", lambda device: None)
    full = load_embedder(NAME, Settings()).encode(TEXTS)
    assert all(cosine(a, b) > 0.999 for a, b in zip(here, full, strict=True))
