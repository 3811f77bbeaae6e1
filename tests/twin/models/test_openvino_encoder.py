"""The embedder on OpenVINO: floats against torch, 8-bit integers against floats."""

import json
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from twin.domain.errors import BadConfigurationError
from twin.models.embedder import load_embedder
from twin.models.encoders import load_encoder
from twin.models.openvino_encoder import MODEL, prepare, runs_here
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
        assert cosine(mine, theirs) > 0.985  # 0.998 for passages; "" is no sentence
        assert cosine(mine, mine) == pytest.approx(1, abs=1e-5)
    assert integers.dimension == floats.dimension
    assert integers.max_tokens == floats.max_tokens
    assert integers.count_tokens("Why pods?") == floats.count_tokens("Why pods?")


def test_a_vector_does_not_depend_on_its_company(integers):
    for alone, text in zip(integers.encode(TEXTS), TEXTS, strict=True):
        assert cosine(integers.encode([text])[0], alone) > 0.99999


def test_its_vectors_are_never_compared_with_the_floats(floats, integers):
    assert integers.id == f"{floats.id}+int8-2"


def test_tokens_have_vectors_too(integers):
    [vectors] = integers.token_vectors(["Why pods?"])
    assert vectors.shape == (integers.count_tokens("Why pods?"), 384)
    assert cosine(vectors[0], vectors[0]) == pytest.approx(1, abs=1e-4)


def test_it_is_converted_once(integers, settings, monkeypatch):
    integers.encode(["x"])
    [made] = (settings.models_root / "openvino").glob("*-int8-2")
    monkeypatch.setattr("twin.models.openvino_encoder._convert", None)
    again = load_embedder(f"{NAME}:int8", settings)
    assert again.encode(["x"]) == integers.encode(["x"])
    assert sorted(path.name for path in made.iterdir()) == ["model.bin", MODEL]


def test_two_at_once_leave_one_whole_model(floats, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "twin.models.openvino_encoder._convert",
        lambda folder, plain, made, int8: made.write_text("whole"),
    )
    settings = Settings(home=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: prepare(floats.folder, "d", settings), range(8)))
    assert {path.read_text() for path in paths} == {"whole"}
    assert len(list((settings.models_root / "openvino").iterdir())) == 1


def test_a_folder_that_asks_for_more_is_refused(floats, settings, tmp_path):
    folder = shutil.copytree(floats.folder, tmp_path / "dense")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 9, "name": "9", "path": "9", "type": "sentence_transformers.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BadConfigurationError, match=r"leave :int8 out of features\.embedder"):
        prepare(folder, "d", settings, int8=True)


def test_floats_are_those_of_torch(floats):
    """One id for both: an index made on a GPU is searched by a server without one."""
    torch = load_encoder(floats.folder, floats.max_tokens)
    found = floats.encode(TEXTS)
    for mine, theirs in zip(found, torch.encode(TEXTS), strict=True):
        assert cosine(mine, theirs) > 0.9998
    for own, mine in zip(floats.token_vectors(TEXTS), torch.token_vectors(TEXTS), strict=True):
        assert own.shape == mine.shape
        assert (own * mine).sum(axis=1).min() > 0.99


def test_a_gpu_is_left_to_torch(floats, monkeypatch):
    assert runs_here(floats.folder)
    monkeypatch.setattr("twin.models.openvino_encoder.NVIDIA_DRIVER", Path("/"))
    for available in (True, False):
        monkeypatch.setattr("torch.cuda.is_available", lambda: available)  # noqa: B023 - used here
        assert runs_here(floats.folder) is not available


def test_mounted_weights_are_converted_in_the_home_folder(floats, tmp_path):
    mounted = tmp_path / "models"
    mounted.write_text("a file: nothing can be made in it")
    settings = Settings(home=tmp_path / "home", models=mounted)
    assert load_embedder(NAME, settings).encode(["x"])
    assert list((tmp_path / "home" / "models" / "openvino").iterdir())


def test_threads_share_an_encoder(floats):
    expected = floats.encode(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: floats.encode(TEXTS), range(12)))
    for vectors in found:
        assert all(cosine(a, b) > 0.9999 for a, b in zip(vectors, expected, strict=True))


@pytest.mark.parametrize("name", [NAME, f"{NAME}:int8"])
def test_once_converted_it_runs_without_torch(name, settings):
    load_embedder(name, settings).encode(["x"])
    code = (
        "import sys; from pathlib import Path; from twin.settings import Settings;"
        "from twin.models.embedder import load_embedder;"
        f"e = load_embedder('{name}', Settings(home=Path({str(settings.home)!r})));"
        "e.encode(['Why pods?']);"
        "assert not {'torch', 'transformers'} & set(sys.modules);"
        "assert sys.modules['openvino_telemetry'] is None, 'it reports each import to its makers'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_the_first_texts_of_several_threads_do_not_wait_for_one_another(settings, floats):
    """Each process's first arrays are what deadlocks, two times in three on one core: a new one."""
    script = f"""
import faulthandler, os, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from twin.models.embedder import load_embedder
from twin.settings import Settings
os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
embedder = load_embedder({NAME!r}, Settings(home=Path({str(settings.home)!r}), threads=1))
sys.setswitchinterval(1e-6)
faulthandler.dump_traceback_later(60, exit=True)
together = Barrier(4)
def encode(number):
    together.wait()
    return embedder.encode([f"Text {{number}}."])
with ThreadPoolExecutor(4) as threads:
    assert len(list(threads.map(encode, range(4)))) == 4
"""
    assert floats.encode(["Made ready once."])
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]


SIGNALLED = """
import gc, os, signal, sys
from pathlib import Path
from twin.models.embedder import load_embedder
from twin.settings import Settings

settings = Settings(home=Path(sys.argv[1]), threads=1)
first, second = (load_embedder(name, settings) for name in sys.argv[2:])
first.encode(["a"])
second.encode(["a"])
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_is_handled_after_embedders_came_and_went(settings, floats, integers):
    command = [sys.executable, "-c", SIGNALLED, str(settings.home), NAME, f"{NAME}:int8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
