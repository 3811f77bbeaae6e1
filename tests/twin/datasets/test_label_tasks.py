"""Tasks of Label Studio: what people see, and what their annotations say."""

import xml.etree.ElementTree as ET

import pytest

from tests.label_studio_server import annotation, task
from tests.twin.datasets.sets import FOLLOW_UP, sample
from twin.datasets.label_tasks import FROM_MEMORY, SAMPLES, read_tasks, task_of
from twin.domain.errors import BadDataError
from twin.domain.verdict import Decision, Opinion, digest_of

DATA = task_of("ann", "v1", FOLLOW_UP)


def read(*tasks):
    return read_tasks(list(tasks), "ann", "the export")


def opinions(*annotations):
    (verdict,) = read(task(DATA, *annotations)).verdicts
    return verdict.opinions


def test_a_task_shows_the_sample_and_says_whose_it_is():
    assert {
        "recipe": "ann",
        "version": "v1",
        "sample": "b",
        "seen": digest_of(FOLLOW_UP),
        "document": "d-train",
        "split": "train",
        "question": "user: One?\n\nassistant: Yes.\n\nWhat of b?",
        "passages": "Pods\nA pod.",
        "answer": "Answer b.",
        "origin": "Pods <https://a.example/b>",
    } == DATA
    assert task_of("ann", "v1", sample("a"))["passages"] == FROM_MEMORY


def test_the_page_shows_and_asks_what_is_read():
    page = ET.fromstring(SAMPLES.config())
    shown = {tag.get("value") for tag in page.iter() if (tag.get("value") or "").startswith("$")}
    assert {value.removeprefix("$") for value in shown} <= DATA.keys()
    asked = {tag.get("name"): tag for tag in page.iter() if tag.get("toName")}
    assert set(asked) == {"verdict", "reason", "edited", "note"}
    assert {each.get("value") for each in asked["verdict"]} == {each.value for each in Decision}


def test_no_field_has_a_name_that_label_studio_takes_for_something_else():
    """Its page showed the whole task in place of a field called source."""
    assert "source" not in DATA


def test_verdicts_with_reason_note_and_answer():
    assert opinions(annotation(verdict="keep", note="Fine.")) == (
        Opinion(person="1", decision=Decision.KEEP, note="Fine."),
    )
    assert opinions(annotation(verdict="reject", reason="personal data", note="A name.")) == (
        Opinion(person="1", decision=Decision.REJECT, reason="personal data", note="A name."),
    )
    # What is filled in for another verdict is left in its field and means nothing.
    assert opinions(annotation(verdict="edit", edited=" Six. ", reason="other")) == (
        Opinion(person="1", decision=Decision.EDIT, answer="Six."),
    )


def test_an_edit_that_changes_nothing_keeps_the_sample():
    (opinion,) = opinions(annotation(verdict="edit", edited="Answer b.\n"))
    assert opinion.decision is Decision.KEEP


def test_each_person_counts_once_with_the_newest_opinion():
    second = annotation({"id": 2, "email": "bob@b.example"}, "2026-11-30T02:00:00Z", verdict="keep")
    newest = annotation(1, "2026-11-30T03:00:00Z", verdict="reject", reason="other")
    oldest = annotation(1, "2026-11-30T01:00:00Z", verdict="keep")
    found = opinions(second, newest, oldest)
    assert [(each.person, each.decision) for each in found] == [
        ("2", Decision.KEEP),
        ("1", Decision.REJECT),
    ]


def test_what_says_nothing_is_passed_over_and_counted():
    skipped = {**annotation(verdict="keep"), "was_cancelled": True}
    labelled = read(
        task(DATA, skipped, annotation(note="Hm."), annotation(verdict="edit", edited=" ")),
        task({**DATA, "sample": "c"}),
    )
    assert labelled.verdicts == []
    assert labelled.asked == {("b", DATA["seen"]), ("c", DATA["seen"])}
    assert labelled.passed_over == {
        "skipped by its labeller": 1,
        "without a verdict": 1,
        "an edit without an answer": 1,
    }


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ({"id": 1}, r"the export is no export of Label Studio: .* JSON \(not JSON_MIN\)"),
        ([{"sample": "a", "verdict": "keep"}], "not JSON_MIN"),
        (
            [task({"text": "I like it", "label": "positive"})],
            "no project of `twin datasets label export`: task .* has the fields label, text",
        ),
        ([task({**DATA, "recipe": "bob"})], "samples of recipe bob, not ann: give --recipe bob"),
        ([task(DATA), task({"text": "Added by hand"})], "has the fields text, but not recipe"),
    ],
)
def test_the_export_of_another_project_is_refused(tasks, words):
    with pytest.raises(BadDataError, match=words):
        read_tasks(tasks, "ann", "the export")
