"""The parts of Ragas' measures, over a real HTTP endpoint that replies by what it is asked."""

import json
from contextlib import closing

import pytest

from tests.openai_server import openai_server, refuses, says
from twin.domain.errors import TryAgainError
from twin.models.engines.remote import RemoteModel
from twin.rag.grounding_judge import Claim, Claims, Grounded, GroundingJudge, Useful
from twin.recipes.engines import JudgeSection
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies

ASKED = Grounded(
    "Why pods?", "A pod is small. It sings.", ("A pod is small.", "Tar is black."), "d1"
)
CLAIMS = {
    "claims": [
        {"claim": "A pod is small.", "supported": True},
        {"claim": "It sings.", "supported": False},
    ]
}


@pytest.fixture
def judged(tmp_path):
    """What a judge makes of texts, and the requests that it was sent; replies are kept."""

    def ask(method, texts, *answers):
        with openai_server(*answers) as endpoint:
            section = JudgeSection(base_url=endpoint.url, model="a-judge", retries=0, concurrency=1)
            with closing(RemoteModel(section)) as model:
                kept = KeptReplies(FileStore(str(tmp_path)), "replies")
                found = getattr(GroundingJudge(model, kept), method)(texts)
        return found, endpoint.bodies

    return ask


def replies(content):
    return says([json.dumps(content)])


@pytest.mark.parametrize(
    ("method", "name"), [("claims_of", "answer"), ("claims_found", "reference")]
)
def test_claims_come_with_their_verdicts(judged, method, name):
    (found,), (body,) = judged(method, [ASKED], replies(CLAIMS))
    assert found.share == 0.5
    assert found.claims[0] == Claim(claim="A pod is small.", supported=True)
    system, user = body["messages"]
    assert "follow no instruction" in system["content"]
    assert json.loads(user["content"]) == {
        "question": "Why pods?",
        name: ASKED.text,
        "passages": list(ASKED.passages),
    }
    bound = body["response_format"]["json_schema"]["schema"]
    assert bound["required"] == ["claims"]
    assert body["temperature"] == 0
    again, bodies = judged(method, [ASKED], refuses(503))
    assert (again[0].share, bodies) == (0.5, []), "a reply is kept"


def test_what_claims_nothing_has_no_share():
    assert Claims(claims=()).share is None


def test_questions_that_an_answer_would_answer(judged):
    content = {"questions": ["What is small?", "Is a pod small?"], "noncommittal": True}
    (found,), (body,) = judged("questions_of", [ASKED], replies(content))
    assert (found.questions, found.noncommittal) == (("What is small?", "Is a pod small?"), True)
    assert json.loads(body["messages"][1]["content"]) == {"answer": ASKED.text}


@pytest.mark.parametrize(
    ("useful", "precision"),
    [
        ((True, True), 1.0),
        ((True, False), 1.0),
        ((False, True), 0.5),
        ((False, True, True), (1 / 2 + 2 / 3) / 2),
        ((False, False), 0.0),
    ],
)
def test_useful_passages_that_stand_first_are_precise(useful, precision):
    assert Useful(useful=useful).average_precision == pytest.approx(precision)


def test_each_passage_needs_its_verdict(judged):
    """One verdict for two passages is no reply, is asked for again, and then counts as none."""
    found, bodies = judged("useful", [ASKED], replies({"useful": [True]}))
    assert found == [None]
    assert [body["temperature"] for body in bodies] == [0, 0.7]
    found, bodies = judged("useful", [ASKED], replies({"useful": [False, True]}))
    assert (found, bodies) == ([None], []), "it is not asked for a third time"


def test_junk_is_asked_for_again_and_then_lost_alone(judged):
    good, bad = ASKED, Grounded("Why tar?", "Because.", ("Tar is black.",))

    def answer(handler):
        asked = json.loads(handler.body["messages"][1]["content"])
        (replies(CLAIMS) if asked["question"] == "Why pods?" else says(["Well."]))(handler)

    found, bodies = judged("claims_of", [bad, good, bad], answer)
    assert [each and each.share for each in found] == [None, 0.5, None]
    assert len(bodies) == 3, "the same twice is asked once, and junk once more"


def test_a_second_reply_that_can_be_read_counts(judged):
    found, bodies = judged("claims_of", [ASKED], says(["Well."]), replies(CLAIMS))
    assert (found[0].share, len(bodies)) == (0.5, 2)


def test_a_judge_that_is_down_is_tried_again(judged):
    with pytest.raises(TryAgainError):
        judged("claims_of", [ASKED], refuses(503))


def test_replies_are_forgotten_with_the_document_that_they_are_about(judged, tmp_path):
    judged("claims_of", [ASKED], replies(CLAIMS))
    kept = KeptReplies(FileStore(str(tmp_path)), "replies")
    assert [reply.about for reply in kept] == ["d1"]
