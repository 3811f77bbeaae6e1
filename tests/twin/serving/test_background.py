"""Answers in the background by OpenAI's own client: read later, cancelled, taken up by another
replica, and their ends told to a webhook."""

import asyncio
import contextlib
import json
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from tests import servers
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.cli import app
from twin.domain.background import BackgroundAnswer, State
from twin.serving.access import Caller, Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.asking import Asking
from twin.serving.background import MOST_BEGINNINGS, BackgroundWriter, Pace
from twin.serving.caller_limits import CallerLimits
from twin.serving.metering import CallersBackend
from twin.serving.metrics import ProcessMetrics
from twin.serving.responses_schema import ResponseRequest
from twin.settings import Settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.background_answers import BackgroundAnswers
from twin.stores.warehouse import open_warehouse

ANSWER = TEXT.strip()
MASTER = "a secret of the operator, long enough"
LATER = {"model": "twin-tiny", "background": True}
#: Of writers that wait for nothing: looks, leases and retries within a fraction of a second.
QUICK = Pace(look=0.05, away=0.1, hold=0.05, lease=0.5, retries=(0.05, 0.05))


@pytest.fixture(scope="module")
def settings(warehouse_uri) -> Settings:
    return Settings(
        mongo_uri=SecretStr(warehouse_uri),
        mongo_database=f"background_{uuid.uuid4().hex[:8]}",
        webhook_secret=SecretStr(MASTER),
        key_background_answers=3,
    )


@pytest.fixture(scope="module")
def scripted():
    return ScriptedBackend()


@pytest.fixture(scope="module")
def address(settings, scripted):
    with served(scripted, book=AnswerBook(settings)) as url:
        yield url
        scripted.go.set()


@pytest.fixture
def official(address):
    return openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0)


def ended(official, identity: str):
    """The response once it waits no more."""

    def over() -> bool:
        return official.responses.retrieve(identity).status not in ("queued", "in_progress")

    servers.wait_until(over, "the response to end")
    return official.responses.retrieve(identity)


def test_an_answer_is_read_when_it_is_there(official):
    begun = official.responses.create(**LATER, input="Why?", metadata={"a": "b"})
    assert (begun.status, begun.output, begun.background) == ("queued", [], True)
    assert begun.metadata == {"a": "b"}
    response = ended(official, begun.id)
    assert (response.status, response.output_text) == ("completed", ANSWER)
    assert response.id == begun.id
    assert response.background
    assert response.model_extra["sources"][0]["title"] == "On whales"
    following = official.responses.create(**LATER, input="And?", previous_response_id=begun.id)
    assert ended(official, following.id).previous_response_id == begun.id
    # What has ended can't be cancelled, and is deleted like any other.
    assert official.responses.cancel(begun.id).output_text == ANSWER
    official.responses.delete(begun.id)
    with pytest.raises(openai.NotFoundError):
        official.responses.retrieve(begun.id)


def test_one_that_is_cancelled_ends_at_once(official, scripted):
    scripted.go.clear()
    begun = official.responses.create(**LATER, input="slow")
    status = lambda: official.responses.retrieve(begun.id).status  # noqa: E731
    servers.wait_until(lambda: status() == "in_progress", "the writing")
    left = scripted.left
    assert official.responses.cancel(begun.id).status == "cancelled"
    servers.wait_until(lambda: scripted.left == left + 1, "the writing to stop")
    assert status() == "cancelled"


def test_a_failure_is_told(official):
    begun = official.responses.create(**LATER, input="breaks")
    response = ended(official, begun.id)
    assert response.status == "failed"
    assert response.error.message == "the answer failed: the log has the reason"


def test_a_key_has_so_many_and_another_none_of_them(official, scripted, address):
    scripted.go.clear()
    begun = [official.responses.create(**LATER, input="slow") for _ in range(3)]
    with pytest.raises(openai.RateLimitError, match="3 answers in the background"):
        official.responses.create(**LATER, input="slow")
    assert official.responses.create(model="twin-tiny", input="Why?").output_text == ANSWER
    other = openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        other.responses.cancel(begun[0].id)
    for each in begun:
        official.responses.delete(each.id)
        with pytest.raises(openai.NotFoundError):
            official.responses.cancel(each.id)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"stream": True}, "stream is not supported in the background"),
        ({"store": False}, "background needs store: true"),
        ({"background": False, "webhook": "https://a.example/"}, "webhook needs background"),
        ({"webhook": "http://a.example/"}, "must be an https address"),
        ({"webhook": "https://127.0.0.1/"}, "not a public address"),
        ({"webhook": "https://169.254.169.254/latest"}, "not a public address"),
        ({"webhook": "https://localhost/"}, "not public"),
        ({"webhook": "https://a.example/\u00e9"}, "in ASCII"),
        ({"webhook": "https://" + "a" * 2_000}, "at most 2000"),
    ],
)  # fmt: skip
def test_what_could_never_be_told_is_refused(official, more, says):
    with pytest.raises(openai.BadRequestError, match=says):
        official.post("/responses", body={**LATER, "input": "Why?", **more}, cast_to=object)


# ------------------------------------------------------------------------------ replicas that end


class Slow(ScriptedBackend):
    """Never ends its answer."""

    async def answer(self, target, query):
        self.asked.append(query)
        try:
            await asyncio.sleep(3_600)
        finally:
            self.left += 1


def writer(backend, settings, keys=None) -> BackgroundWriter:
    asking = Asking(CallersBackend(backend), AnswerBook(settings))
    keys = keys or Keys([SecretStr(KEY)])
    return BackgroundWriter(asking, asking.book, keys, CallerLimits(), ProcessMetrics(), QUICK)


@pytest.fixture
def own(settings) -> Settings:
    """A database of one test."""
    return settings.model_copy(update={"mongo_database": f"background_{uuid.uuid4().hex[:8]}"})


def me() -> Caller:
    return Keys([SecretStr(KEY)]).check(f"Bearer {KEY}")


def asked(**more) -> ResponseRequest:
    return ResponseRequest.model_validate({**LATER, "input": "Why?", **more})


async def until(what, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not await what():
            await asyncio.sleep(0.02)


def state_of(writing: BackgroundWriter, identity: str):
    async def state() -> State:
        found = await writing.find(identity, me().id)
        assert found is not None
        return found

    return state


def test_another_replica_writes_what_a_replica_that_was_killed_had_begun(own):
    """Killed: its tasks end and it says nothing more, so its lease has to run out."""

    async def story():
        dead, alive = Slow(), ScriptedBackend()
        first, second = writer(dead, own), writer(alive, own)
        made = await first.submit(me().id, asked(), 30)
        taken = BackgroundAnswers(opened(own)).take(datetime.now(UTC), timedelta(seconds=0.3))
        assert taken.id == made.id
        async with second.running():
            state = state_of(second, made.id)
            assert (await state()).state == State.IN_PROGRESS
            await until(lambda: is_in(state, State.COMPLETED))
            assert (await state()).begun == 2
            assert (await state()).request is None
        kept = await AnswerBook(own).find(made.id, me().id)
        assert kept.answer.answer == ANSWER
        assert len(alive.asked) == 1
        # The dead one comes back to life and ends what is no longer its own.
        assert not BackgroundAnswers(opened(own)).end(taken, State.FAILED, datetime.now(UTC), "x")
        assert (await state()).state == State.COMPLETED

    asyncio.run(story())


def opened(settings):
    from twin.stores.warehouse import lasting_warehouse

    return lasting_warehouse(settings)


async def is_in(state, *states) -> bool:
    return (await state()).state in states


def test_a_replica_that_ends_in_order_leaves_its_work_at_once(own):
    async def story():
        slow = Slow()
        first = writer(slow, own)
        async with first.running():
            made = await first.submit(me().id, asked(), 30)
            state = state_of(first, made.id)
            await until(lambda: is_in(state, State.IN_PROGRESS))
        assert slow.left == 1
        left = await state()
        assert (left.state, left.begun) == (State.QUEUED, 0)
        second = writer(ScriptedBackend(), own)
        async with second.running():
            await until(lambda: is_in(state, State.COMPLETED))

    asyncio.run(story())


def test_one_that_is_held_is_nobody_elses(own):
    async def story():
        slow, eager = Slow(), ScriptedBackend()
        first, second = writer(slow, own), writer(eager, own)
        async with first.running():
            made = await first.submit(me().id, asked(), 30)
            await until(lambda: is_in(state_of(first, made.id), State.IN_PROGRESS))
            async with second.running():
                await asyncio.sleep(3 * QUICK.lease)
                assert (eager.asked, len(slow.asked)) == ([], 1)
                # Cancelled through the other replica, the one that writes it stops.
                found = await second.find(made.id, me().id)
                await second.cancel(found)
                await until(lambda: asyncio.sleep(0, slow.left == 1))

    asyncio.run(story())


def test_a_question_that_ends_its_replicas_is_given_up(own):
    async def story():
        backend = ScriptedBackend()
        writing = writer(backend, own)
        made = await writing.submit(me().id, asked(), 30)
        records = BackgroundAnswers(opened(own))
        for _ in range(MOST_BEGINNINGS):
            assert records.take(datetime.now(UTC), timedelta(0)).id == made.id
        async with writing.running():
            state = state_of(writing, made.id)
            await until(lambda: is_in(state, State.FAILED))
        assert "begun 3 times" in (await state()).error
        assert backend.asked == []

    asyncio.run(story())


class BusyAtFirst(ScriptedBackend):
    async def answer(self, target, query):
        busy = not self.asked
        if busy:
            self.asked.append(query)
            from twin.serving.errors import ApiError

            raise ApiError(503, "busy", code="overloaded", headers={"Retry-After": "0"})
        return await super().answer(target, query)


def test_what_is_busy_is_asked_again_and_counts_no_beginning(own):
    async def story():
        backend = BusyAtFirst()
        writing = writer(backend, own)
        async with writing.running():
            made = await writing.submit(me().id, asked(), 30)
            state = state_of(writing, made.id)
            await until(lambda: is_in(state, State.COMPLETED))
        assert len(backend.asked) == 2
        assert (await state()).begun == 1

    asyncio.run(story())


def test_what_took_too_long_or_whose_key_is_gone_has_failed(own):
    async def story():
        now = datetime.now(UTC)
        records = BackgroundAnswers(opened(own))
        body = asked().model_dump_json(by_alias=True, exclude_none=True)
        common = {
            "model": "twin-tiny",
            "request": body,
            "expires": now + timedelta(days=1),
            "due": now,
        }
        late = BackgroundAnswer(id="late", caller=me().id, created=now, give_up=now, **common)
        orphan = BackgroundAnswer(
            id="orphan", caller="key-revoked", created=now - timedelta(minutes=2),
            give_up=now + timedelta(hours=1), **common,
        )  # fmt: skip
        for each in (late, orphan):
            assert records.add(each, 10)
        writing = writer(ScriptedBackend(), own)
        async with writing.running():
            for each, why in ((late, "24 hours"), (orphan, "opens nothing any more")):

                async def over(each=each):
                    return (await writing.find(each.id, each.caller)).state == State.FAILED

                await until(over)
                assert why in (await writing.find(each.id, each.caller)).error

    asyncio.run(story())


# --------------------------------------------------------------------------------------- webhooks


@contextlib.contextmanager
def receiver(*statuses: int | None):
    """URL of a webhook, and what it was sent; it answers with these statuses in turn.

    None: it takes the message and never answers.
    """
    got: list[tuple[dict, bytes]] = []
    over = threading.Event()
    waiting = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            got.append((dict(self.headers), body))
            status = waiting.pop(0) if waiting else 204
            if status is None:
                over.wait(60)
                return
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", got
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def told(own: Settings, address: str, number: int, got: list) -> BackgroundAnswer:
    """Have one answer written and its end told; returns it after so many messages."""
    allowed = own.model_copy(update={"webhook_private": (address,)})

    async def story():
        writing = writer(ScriptedBackend(), allowed)
        async with writing.running():
            made = await writing.submit(me().id, asked(webhook=f"http://{address}/hook"), 30)
            state = state_of(writing, made.id)
            await until(lambda: asyncio.sleep(0, len(got) >= number))

            async def over():
                return (await state()).told_due is None

            await until(over)
            return await state()

    return asyncio.run(story())


def test_a_webhook_is_told_and_can_tell_that_it_is_from_here(own, monkeypatch):
    with receiver(500, 503) as (address, got):
        answer = told(own, address, 3, got)
    assert (answer.state, answer.tellings) == (State.COMPLETED, 2)
    monkeypatch.setenv("TWIN_API_KEYS", KEY)
    monkeypatch.setenv("TWIN_WEBHOOK_SECRET", MASTER)
    monkeypatch.setattr("twin.serving.keys_commands.get_settings", Settings)
    printed = CliRunner().invoke(app, ["serving", "keys", "webhook-secret"])
    secret = printed.stdout.strip()
    client = openai.OpenAI(api_key="none")
    for headers, body in got:
        event = client.webhooks.unwrap(body, headers, secret=secret)
        assert (event.type, event.data.id) == ("response.completed", f"resp_{answer.id}")
        assert b"pod" not in body
    assert len({headers["webhook-id"] for headers, _ in got}) == 1
    headers, body = got[0]
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.replace(b"completed", b"cancelled"), headers, secret=secret)


def test_a_webhook_that_fails_for_ever_is_given_up(own):
    with receiver(*[500] * 10) as (address, got):
        answer = told(own, address, 3, got)
        time.sleep(0.3)
    assert len(got) == 1 + len(QUICK.retries)
    assert answer.state == State.COMPLETED


def test_a_webhook_that_is_gone_is_told_nothing_more(own):
    with receiver(410) as (address, got):
        answer = told(own, address, 1, got)
    assert (answer.tellings, len(got)) == (0, 1)


def test_a_redirect_is_not_followed(own):
    with receiver(307, 307, 307) as (address, got):
        assert told(own, address, 3, got).tellings == 2


def test_a_webhook_that_never_answers_delays_no_answer(own, monkeypatch):
    monkeypatch.setattr("twin.serving.webhooks.SECONDS", 1.0)
    with receiver(None) as (address, got):
        allowed = own.model_copy(update={"webhook_private": (address,)})

        async def story():
            writing = writer(ScriptedBackend(), allowed)
            async with writing.running():
                hanging = await writing.submit(me().id, asked(webhook=f"http://{address}/hook"), 30)
                await until(lambda: asyncio.sleep(0, len(got) == 1))
                made = await writing.submit(me().id, asked(), 30)
                await until(lambda: is_in(state_of(writing, made.id), State.COMPLETED), 0.9)

                async def over():
                    return (await state_of(writing, hanging.id)()).told_due is None

                await until(over)

        asyncio.run(story())
    # A lease is shorter than a telling here, so that one may be begun again meanwhile.
    assert 2 <= len(got) <= 1 + len(QUICK.retries)


def test_a_name_that_turns_to_a_private_address_is_given_up_at_once(own):
    """The exception that let it in is taken back before its end is told."""

    async def story():
        records = BackgroundAnswers(opened(own))
        now = datetime.now(UTC)
        made = BackgroundAnswer(
            id="a", caller=me().id, model="twin-tiny", created=now, give_up=now, due=now,
            expires=now + timedelta(days=1), webhook="https://localhost:9/hook",
        )  # fmt: skip
        assert records.add(made, 10)
        writing = writer(ScriptedBackend(), own)
        async with writing.running():

            async def over():
                found = await writing.find("a", me().id)
                return found.state == State.FAILED and found.told_due is None

            await until(over)
        assert (await writing.find("a", me().id)).tellings == 0

    asyncio.run(story())


def test_without_a_secret_of_the_operator_no_webhook_is_taken(own):
    from twin.serving.errors import ApiError

    async def story():
        bare = writer(ScriptedBackend(), own.model_copy(update={"webhook_secret": None}))
        with pytest.raises(ApiError, match="has not set a secret"):
            await bare.submit(me().id, asked(webhook="https://a.example/"), 30)

    asyncio.run(story())


def test_where_answers_are_not_kept_none_is_written_in_the_background(own):
    from twin.serving.errors import ApiError

    async def story():
        with pytest.raises(ApiError, match="keeps no answers"):
            await writer(ScriptedBackend(), own).submit(me().id, asked(), 0)

    asyncio.run(story())


def test_a_document_that_is_forgotten_takes_the_answer_with_it(official, settings):
    begun = official.responses.create(**LATER, input="hostile")
    assert ended(official, begun.id).status == "completed"
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).forget({"x"}) >= 1
        stored = warehouse.collection("background_answers").find_one(
            {"_id": begun.id.removeprefix("resp_")}
        )
    assert "hostile" not in json.dumps(stored, default=str)
    with pytest.raises(openai.NotFoundError):
        official.responses.retrieve(begun.id)
