"""Blind comparison over HTTP: real routes, keys, store and drafter; a script is the model."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.drafts import verifier
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.drafting import DraftingBackend
from twin.datasets.feedback import candidate_pairs
from twin.domain.sample import Split
from twin.serving.access import Keys
from twin.serving.answer_book import AnswerBook
from twin.serving.feedback_export import export_feedback
from twin.settings import get_settings
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import open_warehouse

HEADERS = {"Authorization": f"Bearer {KEY}"}
PATH = "/v1/drafts/comparisons"
ASKED = {
    "topic": "Why every job runs in a pod, and what it costs",
    "length": "short",
    "max_tokens": 9,
    "arms": [{"model": "twin-tiny-v1", "seed": 4}, {"model": "twin-tiny-v2", "temperature": 0.7}],
}


@pytest.fixture(scope="module")
def settings(warehouse_uri):
    own = {"mongo_uri": SecretStr(warehouse_uri), "mongo_database": f"blind_{servers.free_port()}"}
    return get_settings().model_copy(update=own)


@pytest.fixture(scope="module")
def backend():
    return DraftingBackend(verifier())


@pytest.fixture(scope="module")
def client(backend, settings):
    with (
        served(backend, book=AnswerBook(settings)) as url,
        httpx.Client(base_url=url, headers=HEADERS, timeout=30) as client,
    ):
        yield client


def compared(client, **more) -> dict:
    return client.post(PATH, json={**ASKED, **more}).raise_for_status().json()


def vote(client, comparison, preferred) -> httpx.Response:
    return client.post(f"{PATH}/{comparison['id']}/feedback", json={"preferred": preferred})


def feedback_on(client, arm) -> dict:
    return client.get(f"/v1/drafts/{arm['draft_id']}").json()["feedback"]


def test_two_drafts_are_shown_and_nothing_tells_who_wrote_them(client, backend):
    made = compared(client)
    assert [each["label"] for each in made["drafts"]] == ["A", "B"]
    assert all(each["answer"] and each["draft"]["sections"] for each in made["drafts"])
    said = json.dumps(made)
    for secret in ("twin-tiny", "model_version", "temperature", "trace_id", '"seed"', "tokens"):
        assert secret not in said
    asked = {target.version: query for target, query in backend.asked[-2:]}
    assert (asked["1"].seed, asked["1"].temperature, asked["1"].max_new_tokens) == (4, None, 9)
    assert (asked["2"].seed, asked["2"].temperature, asked["2"].max_new_tokens) == (None, 0.7, 9)


def test_the_vote_says_what_wrote_which_and_is_feedback_on_both(client):
    made = compared(client)
    decided = vote(client, made, "B").raise_for_status().json()
    won, lost = decided["arms"]["B"], decided["arms"]["A"]
    assert decided["preferred"] == "B"
    assert {won["model_version"], lost["model_version"]} == {"1", "2"}
    assert {won["temperature"], lost["temperature"]} == {None, 0.7}
    for label, arm in decided["arms"].items():
        kept = client.get(f"/v1/drafts/{arm['draft_id']}").json()["answer"]
        shown = next(each for each in made["drafts"] if each["label"] == label)
        assert kept["answer"] == shown["answer"]
        assert kept["model_version"] == arm["model_version"]
    assert feedback_on(client, won)["thumb"] == "up"
    assert feedback_on(client, lost)["thumb"] == "down"


def test_the_first_vote_stands_and_may_be_sent_again(client):
    made = compared(client)
    first = vote(client, made, "A").json()
    assert vote(client, made, "A").json() == first
    other = vote(client, made, "B")
    assert other.status_code == 400
    assert other.json()["error"]["code"] == "already_decided"
    assert feedback_on(client, first["arms"]["A"])["thumb"] == "up"


def test_a_tie_is_half_a_score_for_both(client):
    decided = vote(client, compared(client), "tie").json()
    for arm in decided["arms"].values():
        assert (feedback_on(client, arm)["thumb"], feedback_on(client, arm)["score"]) == (None, 0.5)


def test_which_is_a_is_drawn(client):
    firsts = set()
    for _ in range(16):  # all the same once in 32,768
        decided = vote(client, compared(client), "tie").json()
        firsts.add(decided["arms"]["A"]["model_version"])
    assert firsts == {"1", "2"}


def test_votes_reach_the_export_and_become_a_candidate_pair(client, settings, tmp_path, backend):
    backend.writing.texts["What it costs"] = "Costs are small, which a long job never notices."
    made = compared(client, arms=[{"seed": 1}, {"seed": 2}])
    decided = vote(client, made, "A").json()
    lines = tmp_path / "feedback.jsonl"
    export_feedback(settings, "twin-tiny", lines)
    exported = {json.loads(line)["id"] for line in lines.read_text().splitlines()}
    ids = {arm["draft_id"] for arm in decided["arms"].values()}
    assert ids <= exported
    with open_warehouse(settings) as warehouse:
        now = datetime.now(UTC)
        judged = [
            kept
            for kept in AnswerRecords(warehouse).judged("twin-tiny", now)
            if kept.answer.id in ids
        ]
    # The script writes both alike, of which no pair is made.
    other = judged[0].answer.model_copy(update={"answer": "Quite another text."})
    judged[0] = judged[0].model_copy(update={"answer": other})
    splits = {source.document_id: Split.TRAIN for source in other.sources}
    [pair] = candidate_pairs(judged, splits, lambda text: text, []).pairs
    assert pair.chosen_answer_id == decided["arms"]["A"]["draft_id"]
    assert pair.pair.instruction.startswith("Write a short post about this: ")


def test_another_key_votes_on_nothing_of_this_one(client, backend, settings):
    made = compared(client)
    with served(backend, book=AnswerBook(settings), keys=Keys([SecretStr("other")])) as url:
        others = httpx.Client(base_url=url, headers={"Authorization": "Bearer other"}, timeout=30)
        refused = vote(others, made, "A")
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "comparison_not_found"
    assert vote(client, made, "A").is_success


def test_a_vote_on_drafts_that_were_forgotten_is_a_404(client, settings):
    made = compared(client)
    documents = {s["document_id"] for each in made["drafts"] for s in each["sources"]}
    vote(client, compared(client), "tie")  # by then those before it are written
    with open_warehouse(settings) as warehouse:
        assert AnswerRecords(warehouse).forget(documents) >= 2
    assert vote(client, made, "A").status_code == 404


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"arms": [{}, {}]}, "both are the same"),
        ({"arms": [{"seed": 1}]}, "arms: there must be 2, not 1"),
        ({"arms": [{"seed": 1}, {"seed": 2}, {"seed": 3}]}, "arms: there must be 2, not 3"),
        ({"topic": " "}, "must not be blank"),
        ({"notes": "n" * 5_000}, "notes has 5,000 characters"),
        ({"arms": [{"temperature": 3}, {}]}, "must be at most 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(client, more, says):
    refused = client.post(PATH, json={**ASKED, **more})
    assert refused.status_code == 400
    assert says in refused.json()["error"]["message"]


def test_where_one_fails_the_other_is_ended(client, backend):
    backend.breaks, before = 0, backend.left
    refused = client.post(PATH, json=ASKED)
    backend.breaks = None
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "model_unavailable"
    assert backend.left == before + 2


def test_nothing_is_compared_where_no_vote_could_be_kept(backend):
    route = backend.table.models["twin-tiny"].model_copy(update={"answers_kept_days": 0})
    table = backend.table.model_copy(update={"models": {"twin-tiny": route}})
    forgetful = DraftingBackend(backend.known, table=table)
    with served(forgetful, book=AnswerBook(get_settings())) as url:
        refused = httpx.post(f"{url}{PATH}", json=ASKED, headers=HEADERS)
        assert "keeps no answers" in refused.json()["error"]["message"]
    with served(forgetful) as url:
        assert httpx.post(f"{url}{PATH}", json=ASKED, headers=HEADERS).status_code == 404
    assert forgetful.asked == []
