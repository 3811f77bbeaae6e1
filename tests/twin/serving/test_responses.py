"""OpenAI's responses by OpenAI's own client: events, conversations, and what is kept of them."""

import json

import httpx
import openai
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.domain.conversation import Turn
from twin.serving.access import Keys
from twin.serving.answer_book import AnswerBook
from twin.settings import get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import open_warehouse

ANSWER = TEXT.strip()
WHY = {"model": "twin-tiny", "input": "Why?"}


@pytest.fixture(scope="module")
def settings(warehouse_uri):
    own = {"mongo_uri": SecretStr(warehouse_uri), "mongo_database": f"resp_{servers.free_port()}"}
    return get_settings().model_copy(update=own)


@pytest.fixture(scope="module")
def scripted():
    return ScriptedBackend()


@pytest.fixture(scope="module")
def address(settings, scripted):
    with served(scripted, book=AnswerBook(settings)) as url:
        yield url


@pytest.fixture
def official(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


def turns(*contents):
    roles = ("user", "assistant")
    return tuple(
        Turn(role=roles[number % 2], content=content) for number, content in enumerate(contents)
    )


def test_a_response_has_text_and_citations(official):
    response = official.responses.create(**WHY, metadata={"a": "b"}, instructions="Be brief.")
    assert response.status == "completed"
    assert response.output_text == ANSWER
    [first, second] = response.output[0].content[0].annotations
    assert ANSWER[first.start_index : first.end_index] == "Every job is a 🐳 **pod of its own**."
    assert first.url == second.url == "https://ann.example/whales"
    assert response.metadata == {"a": "b"}
    assert response.instructions == "Be brief."
    assert response.usage.total_tokens == (
        response.usage.input_tokens + response.usage.output_tokens
    )
    assert response.model_extra["sources"][0]["title"] == "On whales"


def test_a_stream_adds_up_to_the_same_response(official):
    with official.responses.stream(**WHY) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-6:] == [
        "response.output_text.annotation.added",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas).strip() == final.output_text == ANSWER
    assert len(final.output[0].content[0].annotations) == 2
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1


def test_a_failure_in_mid_stream_is_an_event(official):
    events = list(official.responses.create(model="twin-tiny", input="fails", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error.code == "server_error"
    assert "can't answer now" in events[-1].response.error.message


def test_a_refusal_before_the_first_word_is_a_status(official):
    with pytest.raises(openai.InternalServerError, match="too many requests"):
        official.responses.create(model="twin-tiny", input="busy", stream=True)


def test_the_next_question_goes_on_from_a_response(official, scripted):
    first = official.responses.create(**WHY, instructions="Rhyme.")
    second = official.responses.create(
        model="twin-tiny", input="And then?", previous_response_id=first.id
    )
    assert second.previous_response_id == first.id
    asked = scripted.asked[-1]
    assert asked.history == turns("Why?", ANSWER)
    assert asked.question == "And then?"
    assert asked.system is None  # instructions hold for one response
    with official.responses.stream(
        model="twin-tiny", input="And last?", previous_response_id=second.id
    ) as stream:
        third = stream.get_final_response()
    assert scripted.asked[-1].history == turns("Why?", ANSWER, "And then?", ANSWER)
    official.responses.create(model="twin-tiny", input="Really?", previous_response_id=third.id)
    assert scripted.asked[-1].history[-1].content == ANSWER
    assert len(scripted.asked[-1].history) == 6


def test_items_of_the_input_are_a_conversation_of_their_own(official, scripted):
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "One?"}]},
        {
            "type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
            "content": [{"type": "output_text", "text": "Two.", "annotations": []}],
        },
        {"role": "user", "content": "Three?"},
    ]  # fmt: skip
    first = official.responses.create(model="twin-tiny", input=items, instructions="Be brief.")
    asked = scripted.asked[-1]
    assert (asked.question, asked.history) == ("Three?", turns("One?", "Two."))
    assert asked.system == "Be brief.\n\nBe kind."
    official.responses.create(model="twin-tiny", input="Four?", previous_response_id=first.id)
    assert scripted.asked[-1].history == turns("One?", "Two.", "Three?", ANSWER)


def test_a_response_is_read_again_judged_and_deleted(official, address):
    response = official.responses.create(**WHY)
    again = official.responses.retrieve(response.id)
    assert (again.id, again.output, again.usage) == (response.id, response.output, response.usage)
    headers = {"Authorization": f"Bearer {KEY}"}
    judged = httpx.post(
        f"{address}/v1/answers/{response.model_extra['answer_id']}/feedback",
        json={"thumb": "up"},
        headers=headers,
    )
    assert judged.json()["feedback"]["thumb"] == "up"
    official.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError, match="no response"):
        official.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError):
        official.responses.delete(response.id)


def test_what_is_not_stored_can_not_be_gone_on_from(official):
    response = official.responses.create(**WHY, store=False)
    assert response.store is False
    for unknown in (response.id, "resp_nothing", "nothing", response.id.removeprefix("resp_")):
        with pytest.raises(openai.BadRequestError) as refused:
            official.responses.create(**WHY, previous_response_id=unknown)
        assert refused.value.code == "previous_response_not_found"
        assert refused.value.param == "previous_response_id"


def test_another_key_goes_on_from_nothing_of_this_one(official, settings):
    response = official.responses.create(**WHY)
    with served(
        ScriptedBackend(), book=AnswerBook(settings), keys=Keys([SecretStr("other")])
    ) as url:
        other = openai.OpenAI(base_url=f"{url}/v1", api_key="other", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="to go on from"):
            other.responses.create(**WHY, previous_response_id=response.id)
        for attempt in (other.responses.retrieve, other.responses.delete):
            with pytest.raises(openai.NotFoundError):
                attempt(response.id)
    assert official.responses.retrieve(response.id).id == response.id


def test_another_replica_goes_on_at_once(official, settings):
    response = official.responses.create(**WHY)
    scripted = ScriptedBackend()
    with served(scripted, book=AnswerBook(settings)) as url:
        other = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        other.responses.create(**WHY, previous_response_id=response.id)
    assert scripted.asked[0].history == turns("Why?", ANSWER)


def test_to_forget_a_document_ends_the_conversations_that_it_was_in(official, settings):
    first = official.responses.create(model="twin-tiny", input="hostile")  # from document x
    second = official.responses.create(**WHY, previous_response_id=first.id)
    apart = official.responses.create(**WHY)
    for each in (first, second, apart):
        official.responses.retrieve(each.id)
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).forget({"x"}) == 2
    for gone in (first, second):
        with pytest.raises(openai.NotFoundError):
            official.responses.retrieve(gone.id)
    assert official.responses.retrieve(apart.id).id == apart.id


def test_without_a_store_only_what_needs_it_fails(scripted):
    away = get_settings().model_copy(update={"mongo_uri": SecretStr("mongodb://127.0.0.1:1/")})
    with served(scripted, book=AnswerBook(away)) as url:
        official = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)
        response = official.responses.create(**WHY)
        assert response.output_text == ANSWER
        with pytest.raises(openai.InternalServerError) as failed:
            official.responses.create(**WHY, previous_response_id=response.id)
        assert failed.value.code == "store_unavailable"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"input": 7}, "input: must be a text or a list of messages"),
        ({"input": []}, "the last message must be the user's"),
        ({"input": [{"role": "assistant", "content": "a"}]}, "the last message must be the user's"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "only items of type message"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "only parts of type"),
        ({"input": "half \ud83d"}, "half a character"),
        ({"input": "x" * 5_000}, "5,000 characters"),
        ({"instructions": "x" * 5_000}, "the system text has 5,000 characters"),
        ({"tools": [{"type": "web_search"}]}, "tools is not supported"),
        ({"reasoning": {"effort": "high"}}, "reasoning is not supported"),
        ({"conversation": "conv_1"}, "conversation is not supported"),
        ({"include": ["message.output_text.logprobs"]}, "include is not supported"),
        ({"text": {"verbosity": "high"}}, "must be 'medium'"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": "x"}}}}, "no JSON schema"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "has 17 names"),
        ({"max_output_tokens": 0}, "must be at least 1"),
        ({"previous_response_id": "x" * 201}, "at most 200 characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused(address, more, says):
    headers = {"Authorization": f"Bearer {KEY}", "content-type": "application/json"}
    refused = httpx.post(
        f"{address}/v1/responses", content=json.dumps({**WHY, **more}), headers=headers
    )
    assert refused.status_code == 400, refused.text
    assert says in refused.json()["error"]["message"]


def test_what_asks_for_nothing_is_taken(official):
    response = official.responses.create(
        **WHY,
        tools=[], include=[], background=False, reasoning={"effort": None},
        text={"format": {"type": "text"}}, truncation="disabled", parallel_tool_calls=True,
    )  # fmt: skip
    assert response.output_text == ANSWER


def test_an_answer_that_is_cut_is_incomplete(endpoint):
    """Over a real chain, whose model goes on until its tokens are spent."""
    official = openai.OpenAI(base_url=f"{endpoint}/v1", api_key=KEY, max_retries=0)
    ask = {"model": "twin-tiny", "input": "Why?", "max_output_tokens": 1}
    response = official.responses.create(**ask)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 1
    *_, last = official.responses.create(**ask, stream=True)
    assert last.type == "response.incomplete"
