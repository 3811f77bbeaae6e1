import pytest
from pydantic import ValidationError

from twin.serving.schema import AnswerRequest, ChatCompletionRequest


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
        {"top_p": 0},
        {"max_tokens": 0},
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"response_format": {"type": "json_object"}},
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
