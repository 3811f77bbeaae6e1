"""Answers by a JSON schema: a real chain over llama.cpp, asked by OpenAI's own client."""

import json
from typing import Literal

import httpx
import openai
import pytest
from pydantic import BaseModel, Field

from tests import families
from tests.twin import twins
from tests.twin.serving.conftest import KEY, ChainBackend, served
from twin.models.engines.llama_cpp import LlamaCppEngine
from twin.rag.chain import Lineage, load_chain
from twin.recipes.engines import LlamaCppSection
from twin.serving.routing import RoutingTable
from twin.settings import Settings

TABLE = {"models": {"twin-tiny": {"versions": {"1": 100}, "max_question_characters": 4_000}}}
DONT_KNOW = "I have not written about that."


class Verdict(BaseModel):
    better: Literal["one", "two"]
    sure: bool


class Note(BaseModel):
    link: str = Field(max_length=30)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A penalty and a least number of tokens in the recipe, as the demo's; and a threshold."""
    home = tmp_path_factory.mktemp("json")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes, engine="llama.cpp", repetition_penalty=1.1)
    retrieval = recipe.retrieval.model_copy(update={"min_score": 0.2, "dont_know": DONT_KNOW})
    recipe = recipe.model_copy(update={"retrieval": retrieval})
    twins.index_texts(recipe, settings)
    folder = families.build("smollm2", home / "model")
    knobs = LlamaCppSection(quantisation="bf16", parallel=2)
    engine = LlamaCppEngine.load(folder, threads=1, knobs=knobs, cache=home / "gguf")
    chain = load_chain(recipe, engine, folder, settings, Lineage("twin-tiny", "1"))
    with served(ChainBackend(chain, RoutingTable.model_validate(TABLE))) as url:
        yield url


@pytest.fixture
def official(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


def ask(question="Why does every job run in a pod?", **more):
    messages = [{"role": "user", "content": question}]
    return {"model": "twin-tiny", "messages": messages, "max_tokens": 24, "seed": 1, **more}


def test_the_official_client_parses_an_answer(official):
    completion = official.chat.completions.parse(
        **ask(response_format=Verdict, stop=["never"], temperature=1.5)
    )
    message = completion.choices[0].message
    assert isinstance(message.parsed, Verdict)
    assert completion.choices[0].finish_reason == "stop"
    assert message.refusal is None
    assert message.annotations == []
    assert completion.model_extra["sources"]
    assert completion.model_extra["sentences"] == []


def test_a_stream_is_json_too(official):
    with official.chat.completions.stream(**ask(response_format=Verdict)) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Verdict)


def test_the_official_client_parses_a_response(official):
    response = official.responses.parse(
        model="twin-tiny", input="Why pods?", text_format=Verdict, max_output_tokens=24
    )
    assert isinstance(response.output_parsed, Verdict)
    assert response.text.format.type == "json_schema"


def test_any_object(official):
    completion = official.chat.completions.create(
        **ask(response_format={"type": "json_object"}, temperature=0)
    )
    assert completion.choices[0].message.content.startswith("{")


def test_what_the_author_has_not_written_about_is_a_refusal_and_no_json(official):
    question = "???"
    message = official.chat.completions.parse(**ask(question, response_format=Verdict)).choices[0]
    assert (message.message.content, message.message.refusal) == (None, DONT_KNOW)
    stream = official.chat.completions.create(
        **ask(question, response_format={"type": "json_object"}, stream=True)
    )
    deltas = [chunk.choices[0].delta for chunk in stream]
    assert "".join(delta.refusal or "" for delta in deltas) == DONT_KNOW
    assert not any(delta.content for delta in deltas)
    response = official.responses.parse(model="twin-tiny", input=question, text_format=Verdict)
    assert response.output_parsed is None
    assert response.output[0].content[0].refusal == DONT_KNOW
    # Without a schema a refusal is text like any other.
    plain = official.chat.completions.create(**ask(question)).choices[0].message
    assert (plain.content, plain.refusal) == (DONT_KNOW, None)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "banana"},
        {"$ref": "https://example.com/s.json"},
        {"$ref": "#/$defs/missing"},
        {"type": "string", "pattern": "(("},
        {"type": "string", "pattern": "(?<=a)b"},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "maxLength": 10**9},
        {"not": {}},
    ],
)
def test_a_schema_that_no_engine_can_keep_to_is_a_400_and_the_next_answer_comes(address, schema):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        for stream in (False, True):
            body = ask(response_format=form, stream=stream)
            refused = client.post("/v1/chat/completions", json=body)
            assert refused.status_code == 400, refused.text
            assert "response_format" in refused.text or "JSON schema" in refused.text
        assert client.post("/v1/chat/completions", json=ask()).status_code == 200


def test_an_engine_without_constraints_is_named(endpoint):
    body = ask(response_format={"type": "json_object"})
    headers = {"Authorization": f"Bearer {KEY}"}
    refused = httpx.post(f"{endpoint}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert refused.status_code == 400
    assert "transformers engine cannot write by a JSON schema" in json.dumps(refused.json())
