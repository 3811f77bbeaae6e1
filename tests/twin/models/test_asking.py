"""Asking: each question paid for once, a lost reply costs no other, and the budget is kept."""

import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from tests.openai_server import hangs_up, openai_server, refuses, says, usage
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.asking import GIVE_UP, MOST_BEGUN, Asker, Form, Loss, Question
from twin.models.engines.remote import RemoteModel
from twin.models.language_model import Generation
from twin.models.spending import Spending
from twin.recipes.engines import TeacherEndpointSection
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies

FORM = Form(version="1", max_tokens=50, schema='{"type": "object"}', temperature=0.3)


def question(text, form=FORM):
    return Question(({"role": "user", "content": text},), form, lambda said: "yes" in said, text)


def ask(texts, *answers, folder, spending=None, concurrency=1, advance=lambda _: None, **section):
    with openai_server(*answers) as endpoint:
        place = TeacherEndpointSection(
            base_url=endpoint.url, model="a-model", concurrency=concurrency,
            **{"retries": 0, **section},
        )  # fmt: skip
        kept = KeptReplies(FileStore(str(folder)), "replies")
        with closing(RemoteModel(place)) as model:
            found = Asker(model, kept, spending).ask([question(text) for text in texts], advance)
    return found, endpoint.bodies


def asked(bodies):
    return [body["messages"][0]["content"] for body in bodies]


def echoes(handler):
    says([f"yes: {handler.body['messages'][0]['content']}"])(handler)


def test_replies_come_in_order_and_are_asked_for_once(tmp_path):
    done = []
    texts = ["a", "b", "a", "c"]
    found, bodies = ask(texts, echoes, folder=tmp_path, concurrency=3, advance=done.append)
    assert [reply.text for reply in found] == [f"yes: {text}" for text in texts]
    assert Counter(asked(bodies)) == {"a": 1, "b": 1, "c": 1}
    assert sum(done) == 3
    again, bodies = ask([*texts, "d"], echoes, folder=tmp_path)
    assert [reply.text for reply in again] == [*(r.text for r in found), "yes: d"]
    assert asked(bodies) == ["d"]


def test_the_form_is_what_is_asked_for(tmp_path):
    _, bodies = ask(["a"], says(["no"]), echoes, folder=tmp_path)
    first, second = bodies
    assert (first["max_tokens"], first["temperature"], first["seed"]) == (50, 0.3, 0)
    assert first["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert second["temperature"] == 0.7, "at 0.3 it might say the same again"
    assert second["seed"] == 1


@pytest.mark.parametrize(
    "form",
    [
        Form("2", 50, FORM.schema, 0.3),
        Form("1", 51, FORM.schema, 0.3),
        Form("1", 50, None, 0.3),
        Form("1", 50, FORM.schema, 0.4),
    ],
)
def test_another_form_asks_anew(tmp_path, form):
    ask(["a"], echoes, folder=tmp_path)
    kept = KeptReplies(FileStore(str(tmp_path)), "replies")
    with openai_server(echoes) as endpoint:
        section = TeacherEndpointSection(base_url=endpoint.url, model="a-model")
        with closing(RemoteModel(section)) as model:
            Asker(model, kept).ask([question("a", form)])
        other = section.model_copy(update={"model": "another"})
        with closing(RemoteModel(other)) as model:
            Asker(model, kept).ask([question("a")])
    assert len(endpoint.bodies) == 2


def test_what_cannot_be_read_twice_is_lost_and_not_asked_a_third_time(tmp_path):
    def answer(handler):
        says(["no" if handler.body["messages"][0]["content"] == "b" else "yes"])(handler)

    found, bodies = ask(["a", "b", "c"], answer, folder=tmp_path)
    assert [reply.loss for reply in found] == [None, Loss.UNREADABLE, None]
    assert found[1].reason == "no"
    assert asked(bodies) == ["a", "b", "c", "b"]
    found, bodies = ask(["a", "b", "c"], answer, folder=tmp_path)
    assert (found[1].loss, bodies) == (Loss.UNREADABLE, [])


def test_what_the_endpoint_refuses_is_lost_and_not_asked_again(tmp_path):
    found, bodies = ask(["a", "b"], refuses(400, "content policy"), echoes, folder=tmp_path)
    assert [reply.loss for reply in found] == [Loss.REFUSED, None]
    assert "content policy" in found[0].reason
    assert len(bodies) == 2
    found, bodies = ask(["a"], echoes, folder=tmp_path)
    assert (found[0].loss, bodies) == (Loss.REFUSED, [])


def test_what_is_not_answered_is_asked_once_more(tmp_path):
    found, _ = ask(["a", "b"], hangs_up, echoes, folder=tmp_path)
    assert [reply.text for reply in found] == ["yes: a", "yes: b"]
    for spending in (None, Spending("v", 10_000)):
        answers = (refuses(503), echoes, refuses(503))
        folder = tmp_path / str(spending is None)
        found, bodies = ask(["a", "b"], *answers, folder=folder, spending=spending)
        assert [reply.loss for reply in found] == [Loss.SILENT, None]
        assert "503" in found[0].reason
        assert asked(bodies) == ["a", "b", "a"]
        found, _ = ask(["a", "b"], echoes, folder=folder, spending=spending)
        assert [reply.text for reply in found] == ["yes: a", "yes: b"], "the next run asks again"


def test_a_model_that_answers_nothing_is_try_again(tmp_path):
    with pytest.raises(TryAgainError, match=r"a-model answers nothing: .*503"):
        ask(["a"], refuses(503), folder=tmp_path)
    texts = [str(number) for number in range(GIVE_UP + 5)]
    with pytest.raises(TryAgainError, match="503"):
        ask(texts, echoes, refuses(503), folder=tmp_path)
    _, bodies = ask(texts, echoes, folder=tmp_path)
    assert len(bodies) == len(texts) - 1, "what came before is kept"


def test_a_refused_key_ends_it_at_once(tmp_path):
    with pytest.raises(BadConfigurationError, match="TWIN_TEACHER_API_KEY"):
        ask(["a", "b"], refuses(401), folder=tmp_path)


def spends(prompt, answer):
    return says(["yes"], used=usage(prompt, answer))


def test_the_budget_ends_the_asking_before_it_is_passed(tmp_path):
    spending = Spending("v", 200)
    texts = [f"question {number}" for number in range(9)]  # 4 tokens at most, and 50
    found, bodies = ask(texts, spends(4, 40), folder=tmp_path, spending=spending, concurrency=4)
    assert len(bodies) == 4, "three of 44 leave 68, which is room for one of 54, and then 24"
    assert [reply.loss for reply in found] == [None] * 4 + [Loss.UNPAID] * 5
    assert (spending.tokens, spending.held_tokens, spending.ended) == (176, 0, True)


def test_a_budget_that_is_enough_does_not_end(tmp_path):
    spending = Spending("v", 200)
    found, _ = ask(["a", "b"], spends(4, 4), folder=tmp_path, spending=spending)
    assert not any(reply.loss for reply in found)
    assert (spending.tokens, spending.ended) == (16, False)


def test_another_payer_has_known_replies_for_nothing(tmp_path):
    ask(["a"], spends(4, 40), folder=tmp_path, spending=Spending("v1", 1_000))
    spending = Spending("v2", 100)
    spending.count(KeptReplies(FileStore(str(tmp_path)), "replies"))
    found, bodies = ask(["a", "b"], spends(4, 40), folder=tmp_path, spending=spending)
    assert (len(bodies), spending.tokens) == (1, 44)
    assert not any(reply.loss for reply in found)


def test_a_call_without_an_answer_counts_as_answered_at_full_length(tmp_path):
    spending = Spending("v", 1_000)
    ask(["a", "b"], hangs_up, spends(1, 10), folder=tmp_path, spending=spending)
    assert spending.tokens == 22
    assert spending.held_tokens == 51, "one token of prompt, and fifty"
    again = Spending("v", 1_000)
    again.count(KeptReplies(FileStore(str(tmp_path)), "replies"))
    assert again.tokens == 73


def test_what_never_answers_is_given_up(tmp_path):
    def poison(handler):
        bad = handler.body["messages"][0]["content"] == "poison"
        (hangs_up if bad else echoes)(handler)

    bodies = []
    for run in range(MOST_BEGUN):
        found, more = ask(["poison", f"other {run}"], poison, folder=tmp_path,
                          spending=Spending("v", 10_000))  # fmt: skip
        assert [reply.loss for reply in found] == [Loss.SILENT, None]
        bodies += more
    assert asked(bodies).count("poison") == MOST_BEGUN


class Local:
    """A model that is loaded here: answers one by one, or not."""

    id = "local"
    context_tokens = 100

    def count_tokens(self, text):
        return len(text.split())

    def generate(self, messages, params):
        text = messages[0]["content"]
        if text == "too long":
            raise BadDataError("the prompt has 200 tokens")
        return Generation(f"yes: {text}", "stop", 2, 3)


def test_a_model_that_is_loaded_here_is_asked_one_by_one(tmp_path):
    spending = Spending("v", 1_000)
    kept = KeptReplies(FileStore(str(tmp_path)), "replies")
    found = Asker(Local(), kept, spending).ask([question("too long"), question("b")])
    assert [(reply.text, reply.loss) for reply in found] == [("", Loss.REFUSED), ("yes: b", None)]
    assert (spending.tokens, spending.held_tokens) == (5, 0)


SCRIPT = """
import sys
from contextlib import closing
from twin.models.asking import Asker, Form, Question
from twin.models.engines.remote import RemoteModel
from twin.models.spending import Spending
from twin.recipes.engines import TeacherEndpointSection
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies

url, folder, count, budget = sys.argv[1:]
form = Form("1", 50)
kept = KeptReplies(FileStore(folder), "replies")
spending = Spending("v", int(budget))
spending.count(kept)
section = TeacherEndpointSection(base_url=url, model="m", concurrency=3, retries=0)
questions = [
    Question(({"role": "user", "content": f"q{n}"},), form, lambda text: "yes" in text)
    for n in range(int(count))
]
with closing(RemoteModel(section)) as model:
    found = Asker(model, kept, spending).ask(questions)
print(sum(reply.loss is None for reply in found), spending.tokens + spending.held_tokens)
"""


def test_kills_cost_only_what_was_on_its_way(tmp_path):
    """Processes that are killed and started again. Buys: nothing is paid for twice."""
    answered: Counter[str] = Counter()
    victims: list[subprocess.Popen[str]] = []
    kills = [5, 9, 14]

    def answer(handler):
        text = handler.body["messages"][0]["content"]
        if kills and sum(answered.values()) >= kills[0] and victims[-1].poll() is None:
            kills.pop(0)
            os.kill(victims[-1].pid, signal.SIGKILL)
            return
        spends(4, 40)(handler)
        answered[text] += 1

    with openai_server(answer) as endpoint:
        command = [sys.executable, "-c", SCRIPT, endpoint.url, str(tmp_path), "25", "100000"]
        for _ in range(3):
            victims.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            assert victims[-1].wait() == -signal.SIGKILL
            victims[-1].stdout.close()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        again = subprocess.run(command, capture_output=True, text=True, check=True)
    readable, spent = map(int, done.stdout.split())
    assert readable == 25
    assert set(answered) == {f"q{number}" for number in range(25)}
    twice = sum(answered.values()) - 25
    assert 0 <= twice <= 3 * 2, "the others of three at once, at three kills"
    begun = len(endpoint.bodies)
    assert again.stdout == done.stdout
    kept = KeptReplies(FileStore(str(tmp_path)), "replies")
    lost = sum(reply.begun for reply in kept)
    assert begun - 25 <= lost <= begun - 25 + 3 * 3, "a kill may come before the request goes out"
    assert spent == 44 * 25 + 51 * lost >= 44 * sum(answered.values())
