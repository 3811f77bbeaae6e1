"""The embedder in 8-bit integers, against the same weights in floats."""

import json
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from twin.domain.errors import BadConfigurationError
from twin.models.embedder import load_embedder
from twin.models.onnx_encoder import MODEL, prepare_int8
from twin.settings import Settings

NAME = "all-minilm-l6-v2"
TEXTS = ["Why pods?", "", "A release is a finished folder. " * 40, "日本語 🙂"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"), threads=1)


@pytest.fixture(scope="module")
def floats(settings):
    return load_embedder(NAME, settings)


@pytest.fixture(scope="module")
def integers(settings):
    return load_embedder(f"{NAME}:int8", settings)


def cosine(one, other):
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def test_vectors_are_near_those_of_the_floats_and_of_unit_length(floats, integers):
    for mine, theirs in zip(integers.encode(TEXTS), floats.encode(TEXTS), strict=True):
        assert cosine(mine, theirs) > 0.97
        assert cosine(mine, mine) == pytest.approx(1, abs=1e-5)
    assert integers.dimension == floats.dimension
    assert integers.max_tokens == floats.max_tokens
    assert integers.count_tokens("Why pods?") == floats.count_tokens("Why pods?")


def test_a_vector_does_not_depend_on_its_company(integers):
    assert integers.encode(TEXTS)[0] == integers.encode(TEXTS[:1])[0]


def test_its_vectors_are_never_compared_with_the_floats(floats, integers):
    assert integers.id == f"{floats.id}+int8-1"


def test_tokens_have_vectors_too(integers):
    [vectors] = integers.token_vectors(["Why pods?"])
    assert vectors.shape == (integers.count_tokens("Why pods?"), 384)
    assert cosine(vectors[0], vectors[0]) == pytest.approx(1, abs=1e-4)


def test_it_is_converted_once(integers, settings, monkeypatch):
    integers.encode(["x"])
    [made] = (settings.models_root / "onnx").iterdir()
    monkeypatch.setattr("twin.models.onnx_encoder._convert", None)
    again = load_embedder(f"{NAME}:int8", settings)
    assert again.encode(["x"]) == integers.encode(["x"])
    assert [path.name for path in made.iterdir()] == [MODEL]


def test_two_at_once_leave_one_whole_model(floats, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "twin.models.onnx_encoder._convert", lambda folder, plain, made: made.write_text("whole")
    )
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: prepare_int8(floats.folder, "d", settings), range(8)))
    assert {path.read_text() for path in paths} == {"whole"}
    assert len(list((settings.models_root / "onnx").iterdir())) == 1


def test_a_folder_that_asks_for_more_is_refused(floats, settings, tmp_path):
    folder = shutil.copytree(floats.folder, tmp_path / "dense")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 9, "name": "9", "path": "9", "type": "sentence_transformers.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BadConfigurationError, match=r"leave :int8 out of features\.embedder"):
        prepare_int8(folder, "d", settings)


def test_once_converted_it_runs_without_torch(integers, settings):
    integers.encode(["x"])
    code = (
        "import sys; from pathlib import Path; from twin.settings import Settings;"
        "from twin.models.embedder import load_embedder;"
        f"e = load_embedder('{NAME}:int8', Settings(home=Path({str(settings.home)!r})));"
        "e.encode(['Why pods?']);"
        "assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
