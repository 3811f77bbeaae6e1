"""OpenAI's older completions, and embeddings, by OpenAI's own client over a real chain."""

import base64
import struct

import openai
import pytest

from tests.twin.serving.conftest import KEY
from twin.models.embedder import load_embedder
from twin.recipes import FeaturesSection
from twin.settings import Settings

PROMPT = {"model": "twin-tiny", "prompt": "Why pods?", "max_tokens": 20, "temperature": 0}
TEXTS = ["Every job runs in a pod.", "A revision is the hash of the text."]


@pytest.fixture
def official(endpoint):
    return openai.OpenAI(base_url=f"{endpoint}/v1", api_key=KEY, max_retries=0)


@pytest.fixture(scope="module")
def embedder():
    return load_embedder(FeaturesSection().embedder, Settings())


def test_a_prompt_is_answered_as_a_chat_is(official):
    completion = official.completions.create(**PROMPT)
    message = {"role": "user", "content": PROMPT["prompt"]}
    chat = official.chat.completions.create(
        model="twin-tiny", messages=[message], max_tokens=20, temperature=0
    )
    assert completion.object == "text_completion"
    assert completion.choices[0].text == chat.choices[0].message.content
    assert completion.choices[0].finish_reason == chat.choices[0].finish_reason
    assert completion.usage == chat.usage
    assert completion.model_extra["sources"][0]["title"] == "On pods"


def test_a_stream_has_the_same_text_and_ends_with_the_sources(official):
    whole = official.completions.create(**PROMPT)
    chunks = list(
        official.completions.create(
            **{**PROMPT, "prompt": [PROMPT["prompt"]]},
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    *texts, last, usage = chunks
    assert "".join(chunk.choices[0].text for chunk in texts).strip() == whole.choices[0].text
    assert last.choices[0].finish_reason == whole.choices[0].finish_reason
    assert last.model_extra["sources"][0]["title"] == "On pods"
    assert usage.usage == whole.usage


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"prompt": ["a", "b"]}, "must be one text"),
        ({"prompt": [1, 2, 3]}, "must be one text"),
        ({"prompt": " "}, "must not be blank"),
        ({"prompt": "x" * 5_000}, "5,000 characters"),
        ({"echo": True}, "echo is not supported"),
        ({"suffix": "end"}, "suffix is not supported"),
        ({"logprobs": 3}, "logprobs is not supported"),
        ({"best_of": 2}, "best_of is not supported"),
        ({"n": 2}, "2 choices are not supported"),
        ({"model": "gpt-4"}, "no model 'gpt-4' in service"),
    ],
)
def test_what_cannot_be_completed_is_refused(official, more, says):
    with pytest.raises(openai.APIStatusError, match=says):
        official.completions.create(**{**PROMPT, **more})


def test_vectors_are_those_of_the_index(official, embedder):
    # OpenAI's client asks for base64 and reads it itself.
    embedded = official.embeddings.create(model="twin-tiny", input=TEXTS)
    expected = embedder.encode(TEXTS)
    assert [each.index for each in embedded.data] == [0, 1]
    for each, vector in zip(embedded.data, expected, strict=True):
        assert each.embedding == pytest.approx(vector, abs=1e-6)
    assert embedded.model == "twin-tiny"
    assert embedded.model_extra["embedder"] == embedder.id
    assert embedded.usage.total_tokens == sum(map(embedder.count_tokens, TEXTS))


def test_both_encodings_say_the_same(client):
    body = {"model": "twin-tiny", "input": TEXTS[0], "dimensions": 384}
    plain = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    packed = client.post("/v1/embeddings", json={**body, "encoding_format": "base64"}).json()
    held = base64.b64decode(packed["data"][0]["embedding"])
    assert list(struct.unpack(f"<{len(held) // 4}f", held)) == pytest.approx(plain, abs=1e-6)


def test_more_texts_than_are_embedded_at_a_time_keep_their_order(client, embedder):
    texts = [f"Text number {number}." for number in range(20)]
    found = client.post("/v1/embeddings", json={"model": "twin-tiny", "input": texts}).json()
    assert [each["index"] for each in found["data"]] == list(range(20))
    assert found["data"][17]["embedding"] == pytest.approx(
        embedder.encode([texts[17]])[0], abs=1e-4
    )


def test_questions_are_told_from_passages_where_the_embedder_does(client, embedder):
    body = {"model": "twin-tiny", "input": "Why pods?", "input_type": "query"}
    found = client.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert found == pytest.approx(embedder.encode_questions(["Why pods?"])[0], abs=1e-6)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"input": []}, "has 0 texts: from 1 to 256"),
        ({"input": ["a"] * 257}, "has 257 texts"),
        ({"input": [[1, 2]]}, "token ids are not read"),
        ({"input": ["a", " "]}, "must not be blank"),
        ({"input": "half \ud83d"}, "half a character"),
        ({"input": ["short", "word " * 20_000]}, "input 1 has"),
        ({"dimensions": 8}, "dimensions is 8: vectors of the embedder"),
        ({"encoding_format": "hex"}, "must be 'float' or 'base64'"),
        ({"model": "gpt-4"}, "no model 'gpt-4' in service"),
    ],
)
def test_what_cannot_be_embedded_is_refused(client, more, says):
    import json

    body = json.dumps({"model": "twin-tiny", "input": "a", **more})
    headers = {"content-type": "application/json"}
    refused = client.post("/v1/embeddings", content=body, headers=headers)
    assert refused.status_code in (400, 404), refused.text
    assert says in refused.json()["error"]["message"]
