"""`twin datasets label export-pairs` and `import-pairs`: to a server, and verdicts back."""

import json
import xml.etree.ElementTree as ET

import pytest

from tests.label_studio_server import annotation, task
from tests.twin.datasets.sets import FIRST, HISTORY, candidate, pair, publish
from tests.twin.datasets.test_label import (  # noqa: F401 - fixtures
    People,
    label,
    recipe,
    title,
    token,
    url,
)
from twin.datasets.label_pairs import FEEDBACK, MODEL
from twin.datasets.label_tasks import FROM_MEMORY, PAIRS, SAMPLES, task_of, task_of_pair
from twin.domain.verdict import Decision, digest_of_pair
from twin.settings import Settings, get_settings
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.verdicts import Verdicts

MADE = [pair("a", context=("Pods\nA pod.",)), pair("c", history=HISTORY)]
CALLERS = [candidate("f1"), candidate("f2", "d-train", "d2", fault="it refuses")]
DATA = task_of_pair("ann", "v1", MADE[0], "https://a.example/a")


@pytest.fixture
def sets(recipe):  # noqa: F811
    made = publish(get_settings(), "v1", FIRST, MADE)
    FeedbackPairs(open_files(get_settings()), "ann").replace(CALLERS)
    return made


def verdicts():
    return {
        each.sample: each for each in Verdicts(open_files(Settings()), "ann", on_pairs=True).read()
    }


def test_a_task_shows_the_pair_and_says_whose_it_is():
    assert {
        "recipe": "ann",
        "version": "v1",
        "sample": "p-a",
        "seen": digest_of_pair(MADE[0]),
        "document": "d-train",
        "split": "train",
        "question": "What of a?",
        "passages": "Pods\nA pod.",
        "chosen": "Answer a.",
        "rejected": "Bad a.",
        "origin": "document d-train <https://a.example/a>",
        "doubt": "No gate speaks against it.",
    } == DATA
    of_caller = task_of_pair("ann", "v1", CALLERS[1].pair, "u/d-train", CALLERS[1].fault)
    assert of_caller["origin"] == "feedback on answer a1, document d-train <u/d-train>"
    assert of_caller["doubt"] == "A gate says: it refuses"
    assert of_caller["passages"] == FROM_MEMORY
    turns = task_of_pair("ann", "v1", MADE[1])["question"]
    assert turns == "user: One?\n\nassistant: Yes.\n\nWhat of c?"


@pytest.mark.parametrize("change", ["instruction", "chosen", "rejected", "history"])
def test_a_verdict_is_on_the_question_and_both_texts(change):
    other = MADE[0].model_copy(update={change: HISTORY if change == "history" else "Other."})
    assert digest_of_pair(other) != digest_of_pair(MADE[0])
    assert digest_of_pair(MADE[0].model_copy(update={"revision": "r9"})) == DATA["seen"]


def test_the_page_shows_and_asks_what_is_read():
    page = ET.fromstring(PAIRS.config())
    shown = {tag.get("value") for tag in page.iter() if (tag.get("value") or "").startswith("$")}
    assert {value.removeprefix("$") for value in shown} <= DATA.keys()
    assert {"$chosen", "$rejected", "$passages", "$doubt"} <= shown
    asked = {tag.get("name"): tag for tag in page.iter() if tag.get("toName")}
    assert set(asked) == {"verdict", "reason", "edited", "note"}
    assert {tag.get("toName") for tag in asked.values()} == {"chosen"}
    assert {each.get("value") for each in asked["verdict"]} == {each.value for each in Decision}
    assert PAIRS.is_of(PAIRS.config())
    assert SAMPLES.is_of(SAMPLES.config())
    assert not PAIRS.is_of(SAMPLES.config())
    assert not SAMPLES.is_of(PAIRS.config())


def test_there_and_back(recipe, sets, url, token, title):  # noqa: F811
    code, told = label("export-pairs", recipe, "--project", title)
    assert code == 0, told
    assert told[1] == "4 tasks added, 0 were there, of version v1"
    people = People(url, token, told[0])
    tasks = people.tasks()
    assert tasks["p-a"]["data"] == DATA
    assert tasks["f2"]["data"]["doubt"] == "A gate says: it refuses"
    people.say("p-a", verdict="keep")
    people.say("f1", verdict="edit", edited="Ask me at ann@a.example.")
    people.say("p-c", verdict="reject", reason="rejected text is as good", note="No.")
    code, told = label("import-pairs", recipe, "--project", title)
    assert code == 0, told
    assert told == [
        "4 tasks, 3 with a verdict: 1 keep, 1 reject, 1 edit",
        "agreement: no pair was judged by two people",
        "`twin training pairs --recipe ann` heeds them",
    ]
    found = verdicts()
    assert {name: each.decision for name, each in found.items()} == {
        "p-a": Decision.KEEP, "f1": Decision.EDIT, "p-c": Decision.REJECT,
    }  # fmt: skip
    assert found["p-c"].reason == "rejected text is as good"
    assert found["f1"].answer == "Ask me at [EMAIL_ADDRESS]."
    assert found["p-a"].seen == digest_of_pair(MADE[0])
    assert label("import-pairs", recipe, "--project", title)[0] == 99
    # What people have edited is not asked again.
    edited = candidate("f1", pair={"chosen": "Ask me at [EMAIL_ADDRESS]."})
    FeedbackPairs(open_files(get_settings()), "ann").replace([edited])
    _, told = label("export-pairs", recipe, "--project", title)
    assert told[1] == "0 tasks added, 2 were there, of version v1"


def test_candidates_come_first_and_kinds_are_told_apart(recipe, sets, url, token, title):  # noqa: F811
    _, told = label("export-pairs", recipe, "--project", title, "--count", "2")
    assert People(url, token, told[0]).tasks().keys() == {"f1", "f2"}
    _, told = label("export-pairs", recipe, "--project", title, "--kind", MODEL)
    assert told[1] == "2 tasks added, 0 were there, of version v1"
    _, told = label("export-pairs", recipe, "--project", title, "--kind", FEEDBACK)
    assert told[1] == "0 tasks added, 2 were there, of version v1"
    code, told = label("export-pairs", recipe, "--project", title, "--text", "nowhere")
    assert code == 65
    assert "has no such pair: make some by `twin training pairs` or" in told[-1]


def test_two_people_may_disagree(recipe, sets, tmp_path):  # noqa: F811
    tasks = [task(task_of_pair("ann", "v1", each)) for each in MADE]
    for each, other in zip(tasks, ("keep", "reject"), strict=True):
        each["annotations"] = [annotation(1, verdict="keep"), annotation(2, verdict=other)]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(tasks))
    code, told = label("import-pairs", recipe, str(file))
    assert code == 0, told
    assert told[0] == "2 tasks, 2 with a verdict: 1 keep, 1 that people disagree on"
    assert told[1].startswith("agreement of 1 and 2: 1 of 2 alike")


def test_samples_and_pairs_are_not_taken_for_each_other(recipe, sets, tmp_path, title):  # noqa: F811
    assert label("export", recipe, "--project", title)[0] == 0
    code, told = label("export-pairs", recipe, "--project", title)
    assert code == 65
    assert "has another labelling page" in told[-1]
    file = tmp_path / "export.json"
    file.write_text(json.dumps([task(task_of("ann", "v1", FIRST[0]))]))
    code, told = label("import-pairs", recipe, str(file))
    assert code == 65
    assert "has samples, not pairs" in told[-1]
    file.write_text(json.dumps([task(DATA)]))
    code, told = label("import", recipe, str(file))
    assert code == 65
    assert "has pairs, not samples" in told[-1]
