"""Base models of a hub: pinned, resumed, checked, and every refusal in plain words."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr
from safetensors.numpy import save

from tests.twin.models.bases.hub_server import FakeHub
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.bases.base_models import pin_base_model, prepare_base_model
from twin.models.bases.fetch import fetch_base_model
from twin.models.bases.kept import KeptBases
from twin.stores.files import open_files

ID = "ann/tiny"
CHUNK = 10 * 1024 * 1024
"""What the hub's library writes at a time."""


def downloads(hub: FakeHub) -> list[tuple[str, str | None]]:
    """Names of the files that were asked for, each with the range."""
    found = []
    for method, path, asked in hub.requests:
        if method == "GET" and not path.startswith("/api/") and "/resolve/" not in path:
            found.append((path.rsplit("/", 1)[1], asked))
    return found


def test_a_model_is_pinned_and_kept(hub, tiny, settings):
    (tiny / "README.md").write_text("not downloaded")
    commit = hub.add(
        ID, tiny, card={"license": "other", "license_name": "tiny-1", "license_link": "u"}
    )
    hub.models[ID].commits[commit] |= {
        "pytorch_model.bin": b"pickle",
        "consolidated.safetensors": b"the same again",
        "modeling_tiny.py": b"code",
        "original/model.safetensors": b"the same again",
        "LICENSE": b"Do as you like.",
    }
    base, new = fetch_base_model(ID, settings)
    assert new
    assert (base.id, base.revision, base.asked) == (ID, commit, ("",))
    assert base.licence == "tiny-1, u"
    assert base.name == f"ann/tiny@{commit[:12]}"
    assert base.architecture == "Gemma3ForCausalLM"
    assert base.context_tokens == 2048
    assert 500_000 < base.parameters < 2_000_000
    folder = prepare_base_model(ID, settings)
    wanted = {path.name for path in tiny.iterdir()} - {"README.md"}
    kept = {path.name for path in folder.iterdir()} - {".published.json"}
    assert kept == wanted | {"LICENSE", "LICENCE"}
    assert (folder / "LICENCE").read_text() == "tiny-1, u\n"
    assert base.size == sum((folder / name).stat().st_size for name in kept)
    assert not any(path.is_file() for path in settings.models_root.rglob("*.safetensors"))
    pin = pin_base_model(ID, settings)
    assert (pin.name, pin.digest) == (base.name, base.digest)
    assert pin.digest == pin_base_model(str(tiny), settings).digest, "the same files"


def test_what_was_resolved_once_stays(hub, tiny, settings):
    first = hub.add(ID, tiny)
    assert fetch_base_model(ID, settings)[1]
    other = "f" * 40
    hub.models[ID].commits[other] = {
        **hub.models[ID].commits[first], "generation_config.json": b"{}",
    }  # fmt: skip
    hub.models[ID].main = other
    hub.requests.clear()
    base, new = fetch_base_model(ID, settings)
    assert (base.revision, new) == (first, False)
    assert not hub.requests
    assert pin_base_model(f"{ID}@{first[:12]}", settings).name == base.name
    moved, new = fetch_base_model(f"{ID}@{other}", settings)
    assert (moved.revision, new) == (other, True)
    assert moved.digest != base.digest
    assert pin_base_model(ID, settings).digest == base.digest
    assert fetch_base_model(f"{ID}@main", settings)[0].asked == (other, "main")
    KeptBases(open_files(settings)).remove(base)
    assert pin_base_model(ID, settings).digest == moved.digest, "the only one left"


def test_a_token_is_sent_to_the_hub_alone(hub, tiny, settings, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_another_program")
    hub.add(ID, tiny)
    fetch_base_model(ID, settings)  # refused, were any token sent but the right one
    hub.add("ann/gated", tiny, gated=True)
    hub.members.add("hf_member")
    mine = settings.model_copy(update={"hub_token": SecretStr("hf_member")})
    assert fetch_base_model("ann/gated", mine)[0].gated
    assert hub.cdn_authorizations == [None, None]


def test_what_cannot_be_fetched_says_why(hub, tiny, settings):
    hub.add("ann/gated", tiny, gated=True)
    with pytest.raises(
        BadConfigurationError, match=r"gated: accept its licence at .*/ann/gated,.*TWIN_HUB_TOKEN"
    ):
        fetch_base_model("ann/gated", settings)
    outsider = settings.model_copy(update={"hub_token": SecretStr(hub.token)})
    with pytest.raises(BadConfigurationError, match="may not read ann/gated: ask for access"):
        fetch_base_model("ann/gated", outsider)
    wrong = settings.model_copy(update={"hub_token": SecretStr("hf_wrong")})
    with pytest.raises(
        BadConfigurationError, match="refuses the token of TWIN_HUB_TOKEN"
    ) as refused:
        fetch_base_model("ann/gated", wrong)
    assert "hf_wrong" not in str(refused.value)
    for asking in (settings, outsider):
        with pytest.raises(BadDataError, match=r"has no model 'ann/none', or it is private"):
            fetch_base_model("ann/none", asking)
    hub.add(ID, tiny)
    with pytest.raises(BadDataError, match=r"ann/tiny has no revision 'gone' \(any more\)"):
        fetch_base_model(f"{ID}@gone", settings)
    assert KeptBases(open_files(settings)).all() == []


@pytest.mark.parametrize("status", [500, 429])
def test_a_hub_in_trouble_is_asked_again_later(hub, tiny, settings, status):
    hub.status = status
    with pytest.raises(TryAgainError, match=f"answers {status} for ann/tiny"):
        fetch_base_model(ID, settings)


def test_no_network_is_told_apart(settings, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(
        TryAgainError, match=r"http://127.0.0.1:1 does not answer as one: ConnectError"
    ):
        fetch_base_model(ID, settings)


def test_an_answer_of_something_else_is_told_apart(hub, settings):
    hub.status = 200
    with pytest.raises(TryAgainError, match="does not answer as one"):
        fetch_base_model(ID, settings)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"pytorch_model.bin": b"pickle"}, r"weights as a pickle \(pytorch_model.bin\)"),
        ({"model.pt": b"pickle"}, r"weights as a pickle \(model.pt\)"),
        ({}, "lacks safetensors weights"),
    ],
)
def test_weights_that_are_no_safetensors_are_refused(hub, tiny, settings, files, words):
    commit = hub.add(ID, tiny)
    del hub.models[ID].commits[commit]["model.safetensors"]
    hub.models[ID].commits[commit] |= files
    with pytest.raises(BadDataError, match=words):
        fetch_base_model(ID, settings)
    assert downloads(hub) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architectures": ["BertModel"], "model_type": "bert"}, "no decoder of text.*BertModel"),
        ({"architectures": ["BertLMHeadModel"], "model_type": "bert"}, "no decoder of text"),
        (
            {"architectures": ["T5ForCausalLM"], "model_type": "t5", "is_encoder_decoder": True},
            "no decoder of text",
        ),
        (
            {"architectures": ["XForCausalLM"], "model_type": "x", "auto_map": {}},
            "does not know model_type 'x'.*never run",
        ),
        ({"model_type": "llama"}, "without architectures"),
    ],
)  # fmt: skip
def test_other_kinds_of_models_are_refused_before_their_weights_come(
    hub, tiny, settings, config, words
):
    commit = hub.add(ID, tiny)
    hub.models[ID].commits[commit]["config.json"] = json.dumps(config).encode()
    with pytest.raises(BadDataError, match=words) as refused:
        fetch_base_model(ID, settings)
    assert "\n" not in str(refused.value)
    assert downloads(hub) == []


def test_a_missing_tokenizer_is_named(hub, tiny, settings):
    commit = hub.add(ID, tiny)
    del hub.models[ID].commits[commit]["tokenizer.json"]
    with pytest.raises(BadDataError, match=r"lacks tokenizer.json"):
        fetch_base_model(ID, settings)


def test_a_broken_connection_goes_on_where_it_broke(hub, tiny, settings, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    hub.add(ID, tiny)
    hub.cuts = [10_000, 20_000]
    folder = prepare_base_model(ID, settings)
    assert (folder / "model.safetensors").read_bytes() == (tiny / "model.safetensors").read_bytes()
    assert downloads(hub) == [
        ("model.safetensors", None),
        ("model.safetensors", "bytes=10000-"),
        ("model.safetensors", "bytes=30000-"),
    ]


def test_spoilt_bytes_are_never_kept(hub, tiny, settings, monkeypatch):
    monkeypatch.setattr("twin.models.bases.hub.time.sleep", lambda _: None)
    hub.add(ID, tiny)
    for name in ("tokenizer.json", "model.safetensors"):
        hub.spoilt = {name}
        with pytest.raises(TryAgainError, match=f"{name} comes with other bytes"):
            fetch_base_model(ID, settings)
    hub.spoilt = set()
    assert fetch_base_model(ID, settings)[1]


def test_a_disk_without_room_is_named_before_anything_comes(hub, tiny, settings, monkeypatch):
    hub.add(ID, tiny)
    usage = shutil.disk_usage(tiny)._replace(free=1000)
    monkeypatch.setattr("twin.stores.node_cache.shutil.disk_usage", lambda _: usage)
    with pytest.raises(
        TryAgainError, match=rf"no space left for {settings.models_root}.*1,000 are free"
    ):
        fetch_base_model(ID, settings)
    assert downloads(hub) == []


def _command(hub, settings, *arguments):
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "TWIN_HOME": str(settings.home),
        "TWIN_RECIPES": str(settings.recipes),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    # Without the other stages, whose imports take seconds.
    program = "from twin.models.bases.commands import app; app()"
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_killed_in_mid_file_it_goes_on(hub, tiny, settings):
    """By the command, as people and pods run it."""
    commit = hub.add(ID, tiny)
    weights = hub.models[ID].commits[commit]
    weights["more.safetensors"] = save({"zeros": np.zeros((3 * CHUNK,), np.uint8)})
    hub.hang_after = 2 * CHUNK + 1000
    process = _command(hub, settings, "fetch", ID)
    partial = Path()
    for _ in range(600):
        found = list(settings.models_root.resolve().rglob("more.safetensors.part"))
        if found and found[0].stat().st_size == 2 * CHUNK:
            partial = found[0]
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert partial.stat().st_size == 2 * CHUNK
    assert KeptBases(open_files(settings)).all() == []
    hub.hang_after = None
    code, out, err = _ended(_command(hub, settings, "fetch", ID))
    assert code == 0, err
    assert "ann/tiny" in out
    assert downloads(hub)[-1] == ("more.safetensors", f"bytes={2 * CHUNK}-")
    assert len(downloads(hub)) == 3, "the other file was not fetched again"
