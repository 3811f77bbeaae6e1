"""Contradictions by a judge: a script stands for the judge, the embedder is real."""

import json

import pytest

from tests.twin.drafts import recipe, verifier
from twin.domain.errors import BadDataError
from twin.models.language_model import Generation
from twin.rag.contradiction_judge import MOST_ASKED, JudgedConflicts, open_conflicts
from twin.rag.contradictions import RuleConflicts
from twin.recipes import Recipe
from twin.settings import Settings

ALWAYS = "Every job always runs in a pod of its own."
RARELY = "A job rarely runs in a pod of its own."
OTHER = "The crawler honours what a site reserves."


class ScriptedJudge:
    """Finds that "always" contradicts "rarely"; what it replies else, ``reply`` says."""

    id = "judge"

    def __init__(self, reply=None):
        self.reply = reply
        self.asked = []

    def generate_batch(self, conversations, params):
        self.asked += [json.loads(messages[-1]["content"]) for messages in conversations]
        self.params = params
        return [Generation(self._reply(messages), "stop", 1, 1) for messages in conversations]

    def _reply(self, messages):
        text = messages[-1]["content"]
        return self.reply or json.dumps({"contradict": "always" in text and "rarely" in text})


@pytest.fixture(scope="module")
def known():
    return verifier()


def test_a_judge_sees_opposites_that_rules_do_not(known):
    judge = ScriptedJudge()
    pairs = [(ALWAYS, RARELY), (ALWAYS, OTHER), (ALWAYS, ALWAYS)]
    assert JudgedConflicts(judge, known).between(pairs) == ["judged", None, None]
    assert RuleConflicts().between(pairs) == [None] * 3
    assert {"first": ALWAYS, "second": OTHER} not in judge.asked
    assert len(judge.asked) == 2
    assert judge.params.json_schema
    assert judge.params.temperature == 0


def test_only_the_likest_pairs_are_asked_about(known):
    judge = ScriptedJudge()
    pairs = [(ALWAYS, f"{ALWAYS[:-1]} number {n}.") for n in range(MOST_ASKED)]
    pairs += [(ALWAYS, RARELY), (ALWAYS, ALWAYS)]
    JudgedConflicts(judge, known).between(pairs)
    assert len(judge.asked) == MOST_ASKED
    assert {"first": ALWAYS, "second": ALWAYS} in judge.asked


def test_nothing_alike_asks_nothing(known):
    judge = ScriptedJudge()
    assert JudgedConflicts(judge, known).between([(ALWAYS, OTHER)]) == [None]
    assert judge.asked == []
    assert JudgedConflicts(judge, known).between([]) == []


@pytest.mark.parametrize("reply", ["junk", '{"contradict": "yes"}', "{}"])
def test_a_judge_that_cannot_be_read_is_an_error(known, reply):
    with pytest.raises(BadDataError, match="no reply of the judge"):
        JudgedConflicts(ScriptedJudge(reply), known).between([(ALWAYS, RARELY)])


def test_the_recipe_says_who_looks_for_contradictions(known):
    assert isinstance(open_conflicts(recipe(), known, Settings()), RuleConflicts)
    judge = {"base_url": "http://127.0.0.1:1/v1", "model": "judge"}
    wanted = recipe().model_dump(mode="json") | {"judge": judge}
    wanted["serving"] = {"drafts": {"contradictions": "judge"}}
    judged = Recipe.model_validate(wanted)
    assert isinstance(open_conflicts(judged, known, Settings()), JudgedConflicts)
    with pytest.raises(ValueError, match="needs one: name it in judge"):
        recipe(contradictions="judge")
