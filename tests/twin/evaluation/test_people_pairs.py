"""Pairs for people: written for Label Studio, read back from its export or as filled in by hand."""

import itertools
import json
from xml.etree import ElementTree

import pytest

from twin.domain.errors import BadDataError
from twin.evaluation.ask_people import Asked, tasks_of
from twin.evaluation.people_pairs import (
    labelling_page,
    read_pairs,
    read_tasks,
    task_of,
    write_tasks,
)
from twin.rag.judge import Comparison, Winner

COMPARISONS = [
    Comparison(f"What of {number}?", ("Two.", "Passages."), f"Mine {number}.", f"Theirs {number}.")
    for number in range(20)
]


def tasks():
    return [task_of(each, f"document {number}") for number, each in enumerate(COMPARISONS)]


def annotated(task, *choices):
    place = {"mine": task["data"]["candidate"], "tie": "tie"}
    theirs = {"one": "two", "two": "one"}[task["data"]["candidate"]]
    results = [
        {"was_cancelled": False, "result": [
            {"from_name": "better", "type": "choices",
             "value": {"choices": [place.get(choice, theirs)]}}]}
        for choice in choices
    ]  # fmt: skip
    return {"id": 7, **task, "annotations": results, "predictions": []}


def read(tmp_path, content):
    path = tmp_path / "pairs.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_pairs(path)


def test_what_people_say_comes_back_with_the_candidates_answer_first(tmp_path):
    made = tasks()
    assert {task["data"]["candidate"] for task in made} == {"one", "two"}, "drawn for each"
    said = [("mine",), ("theirs",), ("tie",), ("mine", "theirs"), ("theirs", "theirs", "mine")]
    export = [annotated(task, *choices) for task, choices in zip(made[:5], said, strict=True)]
    skipped = annotated(made[5], "mine")
    skipped["annotations"][0]["was_cancelled"] = True
    found = read(tmp_path, [*export, skipped, made[6]])
    assert [pair.people for pair in found] == [
        Winner.FIRST, Winner.SECOND, Winner.TIE, Winner.TIE, Winner.SECOND,
    ]  # fmt: skip
    assert [pair.comparison for pair in found] == COMPARISONS[:5]
    assert [pair.group for pair in found] == [f"document {number}" for number in range(5)]


def test_a_verdict_may_be_written_by_hand(tmp_path):
    write_tasks(tmp_path / "pairs.json", tasks()[:2])
    by_hand = json.loads((tmp_path / "pairs.json").read_text())
    by_hand[0]["better"] = by_hand[0]["data"]["candidate"]
    by_hand.append({"data": {"question": "Q?", "one": "A", "two": "B"}, "better": "two"})
    first, last = read(tmp_path, by_hand)
    assert (first.people, first.comparison) == (Winner.FIRST, COMPARISONS[0])
    assert (last.people, last.comparison) == (Winner.SECOND, Comparison("Q?", (), "A", "B"))
    assert last.group == "pair 2"


def test_pairs_come_document_by_document_and_say_how_many_there_are(tmp_path):
    drawn = [
        Asked(each, f"document {number % 3}", "base" if number % 2 else "champion")
        for number, each in enumerate(COMPARISONS)
    ]
    data = [task["data"] for task in tasks_of(drawn)]
    blocks = [(one["document"], one["opponent"]) for one in data]
    assert len(list(itertools.groupby(blocks))) == len(set(blocks)) == 6
    assert len(list(itertools.groupby(document for document, _ in blocks))) == 3
    assert all(one["pairs"] == blocks.count((one["document"], one["opponent"])) for one in data)
    assert sorted(one["question"] for one in data) == sorted(each.question for each in COMPARISONS)
    write_tasks(tmp_path / "pairs.json", tasks_of(drawn))
    assert [each.data.model_dump() for each in read_tasks(tmp_path / "pairs.json", "FILE")] == [
        one | {"shown": tuple(one["shown"])} for one in data
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("no JSON", "it must be tasks of twin evaluation pairs"),
        ([{"data": {"question": "Q?"}}], "0.data.one: Field required"),
        ([{"data": {"question": "Q?", "one": "A", "two": "B"}, "better": "A"}], "0.better"),
        ([], "nobody has judged a pair"),
    ],
)
def test_another_file_is_refused_by_what_is_wrong_with_it(tmp_path, content, said):
    with pytest.raises(BadDataError, match=said):
        read(tmp_path, content)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadDataError, match=r"pairs.json is not there .*twin evaluation pairs"):
        read_pairs(tmp_path / "pairs.json")


def test_the_page_shows_what_a_task_has():
    page = ElementTree.fromstring(labelling_page())
    shown = {each.get("value").removeprefix("$") for each in page.iter("Text")}
    assert shown == {"question", "passages", "one", "two"} <= set(tasks()[0]["data"])
    assert [each.get("value") for each in page.iter("Choice")] == ["one", "two", "tie"]
