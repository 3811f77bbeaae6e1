import json

import openai.types.chat
import pytest
from pydantic import ValidationError

from tests.conftest import ROOT
from twin.serving.schema import MAX_TURNS, AnswerRequest, ChatCompletionRequest

CASES = ROOT.parent / "shared" / "cases"


def chat(messages, **more):
    return ChatCompletionRequest.model_validate({"model": "twin-a", "messages": messages, **more})


def user(text):
    return {"role": "user", "content": text}


def test_the_last_message_is_the_question_and_the_rest_is_history():
    query = chat(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "In English."},
            user("Why pods?"),
            {"role": "assistant", "content": "They are given back."},
            user("And then?"),
        ]
    ).query()
    assert query.question == "And then?"
    assert query.system == "Be brief.\n\nIn English."
    assert [(turn.role, turn.content) for turn in query.history] == [
        ("user", "Why pods?"),
        ("assistant", "They are given back."),
    ]


def test_text_parts_are_joined():
    parts = [{"type": "text", "text": "Why"}, {"type": "text", "text": "pods?"}]
    assert chat([user(parts)]).query().question == "Why\npods?"


def test_sampling_reaches_the_query():
    query = chat([user("a")], max_tokens=5, temperature=0, top_p=0.5, seed=7, stop="\n").query()
    assert (query.max_new_tokens, query.temperature, query.top_p) == (5, 0, 0.5)
    assert (query.seed, query.stop) == (7, ("\n",))
    assert chat([user("a")], max_tokens=5, max_completion_tokens=6).query().max_new_tokens == 6


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 3},
        {"temperature": float("nan")},
        {"seed": 2**63},
        {"seed": -(2**63) - 1},
        {"top_p": -0.1},
        {"top_p": 1.1},
        {"max_tokens": 0},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "xml"}},
        {"stop": ["a"] * 5},
        {"model": ""},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "Hello"}]},
        {"messages": [user("  ")]},
        {"messages": [user([{"type": "image_url", "image_url": {"url": "x"}}])]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
    ],
)
def test_what_cannot_be_honoured_is_refused(more):
    with pytest.raises(ValidationError):
        chat(**{"messages": [user("a")], **more})


def test_what_changes_nothing_is_ignored():
    chat([user("a")], tools=[], response_format={"type": "text"}, user="me", store=True)


@pytest.mark.parametrize("more", [{"question": " "}, {"k": 0}, {"k": 21}, {"question": None}])
def test_a_bad_question_is_refused(more):
    with pytest.raises(ValidationError):
        AnswerRequest.model_validate({"question": "a", **more})


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def refusal(**more):
    """The words that a request is refused in."""
    with pytest.raises(ValidationError) as caught:
        chat(**{"messages": [user("a")], **more})
    return caught.value.errors()[0]


@pytest.mark.parametrize(
    "name",
    [
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "stream"),
        *("stream_options", "n", "response_format", "tools", "tool_choice", "functions", "audio"),
        *("logprobs", "top_logprobs", "logit_bias", "frequency_penalty", "presence_penalty"),
        *("modalities", "web_search_options", "verbosity", "user", "metadata", "function_call"),
    ],
)
def test_null_is_not_given(name):
    given = chat([user("a")], **{name: None})
    assert given == chat([user("a")])


@pytest.mark.parametrize(
    "more",
    [
        {"stream": True, "stream_options": {"include_usage": None}},
        {"response_format": {"type": "text", "json_schema": None}},
        {"response_format": {"type": None}},
        {"messages": [{"role": "user", "content": "a", "name": None}]},
        {"messages": [{"role": "assistant", "content": None}, user("a")]},
        {"messages": [{**assistant("b"), "tool_calls": None, "audio": None}, user("a")]},
    ],
)
def test_nested_nulls_are_not_given_either(more):
    assert chat(**{"messages": [user("a")], **more}).query().question == "a"


@pytest.mark.parametrize("name", ["model", "messages"])
def test_what_must_be_given_may_not_be_null(name):
    assert refusal(**{name: None})["type"] == "missing"


def test_the_ends_of_openais_ranges_are_accepted():
    for more in (
        {"temperature": 0}, {"temperature": 2}, {"top_p": 1}, {"max_tokens": 1}, {"n": 1},
        {"seed": 2**63 - 1}, {"seed": -(2**63)}, {"stop": list("abcd")}, {"stop": []},
        {"frequency_penalty": 0}, {"presence_penalty": 0.0}, {"logit_bias": {}},
        {"logprobs": False}, {"modalities": ["text"]}, {"tool_choice": "none"}, {"best_of": 1},
        {"verbosity": "medium"}, {"top_k": -1}, {"repetition_penalty": 1},
    ):  # fmt: skip
        assert chat([user("a")], **more).query().question == "a"


def test_a_top_p_of_0_is_greedy():
    query = chat([user("a")], top_p=0, temperature=1.5).query()
    assert (query.temperature, query.top_p) == (0, None)
    query = chat([user("a")], top_p=0.01, temperature=1.5).query()
    assert (query.temperature, query.top_p) == (1.5, 0.01)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("functions", [{"name": "f"}]),
        ("tool_choice", "required"),
        ("function_call", {"name": "f"}),
        ("audio", {"voice": "alloy", "format": "wav"}),
        ("modalities", ["text", "audio"]),
        ("logprobs", True),
        ("top_logprobs", 1),
        ("logit_bias", {"1734": -100}),
        ("frequency_penalty", 2),
        ("frequency_penalty", 99),
        ("presence_penalty", -2),
        ("web_search_options", {}),
        ("verbosity", "low"),
        ("best_of", 2),
        ("top_k", 40),
        ("min_p", 0.1),
        ("repetition_penalty", 1.2),
        ("guided_json", {"type": "object"}),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(name, value):
    assert f"{name} is not supported" in refusal(**{name: value})["msg"]


@pytest.mark.parametrize(
    ("messages", "question", "history", "told"),
    [
        ([user("a"), user("b")], "a\n\nb", [], None),
        ([user("a"), system("s"), user("b")], "a\n\nb", [], "s"),
        ([user("a"), system("s")], "a", [], "s"),
        ([system("s"), user("a"), assistant("b"), assistant("c"), user("d")], "d",
         [("user", "a"), ("assistant", "b\n\nc")], "s"),
        ([user("a"), user("b"), assistant("c"), user("d"), user("e")], "d\n\ne",
         [("user", "a\n\nb"), ("assistant", "c")], None),
        ([assistant("hello"), user("a")], "a", [("assistant", "hello")], None),
        ([user("a"), assistant(" "), user("b")], "a\n\nb", [], None),
        ([user("a"), {"role": "developer", "content": "d"}, system("s")], "a", [], "d\n\ns"),
    ],
)  # fmt: skip
def test_no_message_is_dropped(messages, question, history, told):
    query = chat(messages).query()
    assert query.question == question
    assert [(turn.role, turn.content) for turn in query.history] == history
    assert query.system == told


def test_a_conversation_may_go_on_for_ever():
    query = chat([m for n in range(500) for m in (user(f"u{n}"), assistant(f"a{n}"))] + [user("q")])
    history = query.query().history
    assert len(history) == MAX_TURNS
    assert history[-1].content == "a499"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "b", "refusal": None, "annotations": [], "audio": None},
        {"role": "assistant", "content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "b", "annotations": []}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "b"}]},
        {"role": "assistant", "content": "b", "tool_calls": [], "function_call": None},
    ],
)
def test_what_a_client_sends_back_is_accepted(message):
    assert chat([user("a"), message, user("c")]).query().history[-1].content == "b"


def test_openais_own_message_is_accepted_as_it_dumps_it():
    message = openai.types.chat.ChatCompletionMessage(role="assistant", content="b")
    for dumped in (message.model_dump(), message.model_dump(exclude_unset=True)):
        assert chat([user("a"), dumped, user("c")]).query().history[-1].content == "b"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([{"type": "image_url", "image_url": {"url": "x"}}], "is of type image_url"),
        ([{"type": "input_audio"}], "is of type input_audio"),
        ([{"type": "text"}], 'needs its "text"'),
        ([{"type": "text", "text": None}], 'needs its "text"'),
        ([{"type": "text", "text": 7}], 'needs its "text"'),
        ([{"text": "a"}], 'an object with a "type"'),
        (["a"], 'an object with a "type"'),
        (7, "a list of parts of type text"),
        ({"type": "text", "text": "a"}, "a list of parts of type text"),
        ("a\ud800", "half a character"),
        ([{"type": "text", "text": "a\ud800"}], "half a character"),
    ],
)
def test_a_refused_content_says_why(content, says):
    error = refusal(messages=[user(content)])
    assert error["loc"] == ("messages", 0, "content")
    assert says in error["msg"]


@pytest.mark.parametrize("stop", [list("abcde"), 7, [7], [None], {"a": 1}])
def test_a_refused_stop_says_why(stop):
    error = refusal(stop=stop)
    assert error["loc"] == ("stop",)
    assert "at most 4" in error["msg"] or "a list of texts" in error["msg"]


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("E03", "Why is every job a pod?"),
        ("E05", "Why is every job a pod?"),
        ("E10", "How do I roll back a model?\n\nAnd how long does that take?"),
        ("E47", "hi"),
        ("E56", "Why is every job a pod?"),
        ("O04", "Why is every job a pod?"),
    ],
)
def test_shared_case_is_accepted(name, question):
    assert ChatCompletionRequest.model_validate(shared(name)).query().question == question


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("E15", "only parts of type text are read, this one is of type image_url"),
        ("E22", "at most 4"),
        ("E26", "logit_bias is not supported"),
        ("E27", "frequency_penalty is not supported"),
        ("E28", "frequency_penalty is not supported"),
    ],
)
def test_shared_case_is_refused_in_plain_words(name, says):
    with pytest.raises(ValidationError) as caught:
        ChatCompletionRequest.model_validate(shared(name))
    assert says in caught.value.errors()[0]["msg"]


def shared(name):
    path = CASES / f"http-{name}.json"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    return json.loads(path.read_text(encoding="utf-8"))
