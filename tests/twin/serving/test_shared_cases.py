"""The requests of `../shared/cases`, where they lie beside the project: what becomes of each."""

import json

import pytest

from tests import families
from tests.shared_cases import case
from tests.twin.serving.test_refusals import HEADERS, client
from twin.models.formats.chat_format import ChatFormat
from twin.rag.chain import Query
from twin.serving.schema import ChatCompletionRequest


def body_of(name):
    return json.loads(case(name).read_text(encoding="utf-8"))


def query_of(name) -> Query:
    return ChatCompletionRequest.model_validate(body_of(name)).query()


@pytest.mark.parametrize(
    "name", ["http-E03.json", "http-E05.json", "http-E47.json", "http-E56.json", "http-O05.json"]
)
def test_it_is_taken(name):
    question = query_of(name).question
    assert question in {"Why is every job a pod?", "hi"}


def test_messages_of_one_role_are_joined():
    question = query_of("http-E10.json").question
    assert "How do I roll back a model?" in question
    assert "And how long does that take?" in question


def test_a_system_message_may_come_last():
    query = query_of("http-O04.json")
    assert (query.question, query.system) == ("Why is every job a pod?", "Answer in one line.")


@pytest.mark.parametrize(
    ("name", "param", "says"),
    [
        ("http-E15.json", "messages.0.content", "only parts of type text"),
        ("http-E22.json", "stop", "at most 4"),
        ("http-E26.json", "logit_bias", "logit_bias is not supported"),
        ("http-E27.json", "frequency_penalty", "frequency_penalty is not supported"),
        ("http-E28.json", "frequency_penalty", "frequency_penalty is not supported"),
    ],
)
def test_it_is_refused_in_plain_words(name, param, says):
    response = client().post("/v1/chat/completions", json=body_of(name), headers=HEADERS)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["param"] == param
    assert says in error["message"]


def test_a_form_is_told_the_header():
    """`http-E30.json`: curl sends a body as a form, unless it is told otherwise."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    sent = json.dumps(body_of("http-E03.json"))
    response = client().post("/v1/chat/completions", content=sent, headers=HEADERS | form)
    assert response.status_code == 415
    assert "Content-Type" in response.json()["error"]["message"]


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> ChatFormat:
    folder = families.build("gemma3", tmp_path_factory.mktemp("gemma"), base=False)
    return ChatFormat.load(folder)


def prompt_of(chat, question):
    return chat.prompt_ids([{"role": "user", "content": question}])


def test_marks_of_a_template_within_a_question_are_text(chat):
    """`http-E38.json`: no token of the model's own, and every word of the question is there."""
    question = query_of("http-E38.json").question
    assert "<start_of_image>" in question
    special = {i for i, token in chat.tokenizer.added_tokens_decoder.items() if token.special}
    shown = prompt_of(chat, question)
    expected = prompt_of(chat, "Why is every job a pod?")
    assert [one for one in shown if one in special] == [one for one in expected if one in special]
    for mark in ("<start_of_image>", "<unused0>", "<pad>"):
        assert chat.tokenizer.convert_tokens_to_ids(mark) not in shown
    assert "Why is every job a pod?" in chat.tokenizer.decode(shown)
