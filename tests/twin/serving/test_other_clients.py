"""LangChain, LlamaIndex and LiteLLM as their users have them, in an environment of their own."""

import json
import os
import subprocess

import pytest

from tests.conftest import ROOT
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.rag.query import EmbeddedTexts

PYTHON = ROOT / ".venvs" / "clients" / "bin" / "python"
ANSWER = TEXT.strip()


class Embedding(ScriptedBackend):
    async def embed(self, target, query):
        vectors = [[0.6, 0.8] for _ in query.texts]
        return EmbeddedTexts(embedder="two", vectors=vectors, tokens=1)


@pytest.fixture(scope="module")
def understood(tmp_path_factory) -> dict[str, dict]:
    if not PYTHON.exists():
        pytest.skip("`make clients` has not been run")
    backend = Embedding()
    with served(backend) as url:
        done = subprocess.run(
            [PYTHON, ROOT / "tests" / "clients" / "ask.py", f"{url}/v1", KEY, "twin-tiny"],
            # LiteLLM would fetch a list of prices from the web.
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3_000:]
    return {**json.loads(done.stdout.splitlines()[-1]), "asked": backend.asked}


@pytest.mark.nightly
@pytest.mark.parametrize("client", ["langchain", "llama_index", "litellm"])
def test_a_client_reads_answers_streams_and_refusals(understood, client):
    """Half a minute of imports. Buys that what users have installed understands the endpoint."""
    found = understood[client]
    assert found["text"].strip() == ANSWER
    assert found["streamed"].strip() == ANSWER
    assert found["tokens"] > 0
    assert "no model 'nobody' in service" in found["refused"]
    assert found.get("completed", ANSWER).strip() == ANSWER
    assert found.get("dimension", 2) == 2


@pytest.mark.nightly
def test_a_system_message_arrives_as_one(understood):
    """Covered for OpenAI's client elsewhere; LangChain names its roles otherwise."""
    assert [query.system for query in understood["asked"]].count("Be brief.") == 1
