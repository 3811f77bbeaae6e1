"""Files of written questions: YAML, JSON Lines, an export of Label Studio, and bad ones of each."""

import json

import pytest
import yaml

from twin.datasets.written_file import read_written
from twin.domain.errors import BadDataError
from twin.domain.written import QuestionKind

GOOD = {
    "kind": "fact",
    "question": "On which port?",
    "answer": "On port 8000.",
    "document": "endpoint",
    "quote": "on port 8000",
    "facts": ["8000"],
}
OTHER = {"kind": "unanswerable", "question": "What does it cost?", "document": "endpoint"}


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def task(data=None, result=(), number=7, **more):
    annotations = [{"result": list(result)}]
    return {"id": number, "data": data or {}, "annotations": annotations, **more}


def text(name, *texts):
    return {"from_name": name, "type": "textarea", "value": {"text": list(texts)}}


def choice(name, value):
    return {"from_name": name, "type": "choices", "value": {"choices": [value]}}


LABELLED = (
    choice("kind", "fact"),
    text("answer", "On port 8000."),
    text("quote", "on port 8000"),
    text("facts", "8000", "re:on"),
)


def test_yaml_and_json_lines_hold_the_same_questions(tmp_path):
    support = {k: v for k, v in GOOD.items() if k not in {"document", "quote"}}
    support["support"] = [{"document": "endpoint", "quote": "on port 8000"}]
    listed = read_written(written(tmp_path, "a.yaml", [GOOD, OTHER]))
    lines = "\n\n".join(json.dumps(entry) for entry in (support, OTHER))
    assert read_written(written(tmp_path, "a.jsonl", lines)) == listed
    assert [question.kind for question in listed] == ["fact", "unanswerable"]
    assert listed[0].support[0].quote == "on port 8000"
    assert listed[1].document == "endpoint"


def test_an_export_of_label_studio_is_read_by_the_names_of_its_page(tmp_path):
    data = {"question": "On which port?", "document": "endpoint", "annotator_hint": "short"}
    cancelled = task(data, LABELLED, 1)
    cancelled["annotations"].append({"was_cancelled": True, "result": [text("answer", "Skip.")]})
    unlabelled = {"id": 2, "data": {"question": "Why?"}, "annotations": []}
    refusal = task({"question": "What does it cost?", "document": "endpoint"}, number=3)
    refusal["annotations"][0]["result"] = [choice("kind", "unanswerable"), text("answer", "")]
    content = json.dumps([cancelled, unlabelled, refusal])
    read = read_written(written(tmp_path, "export.json", content))
    assert [question.kind for question in read] == [QuestionKind.FACT, QuestionKind.UNANSWERABLE]
    assert read[0].answer == "On port 8000."
    assert read[0].facts == ("8000", "re:on")
    assert (read[0].support[0].document, read[0].support[0].quote) == ("endpoint", "on port 8000")


def test_the_last_annotation_counts(tmp_path):
    redone = task({"question": "On which port?", "document": "endpoint"}, LABELLED)
    redone["annotations"].append(
        {"result": [*LABELLED, text("answer", "Port 8000, on the bridge.")]}
    )
    [read] = read_written(written(tmp_path, "e.json", json.dumps([redone])))
    assert read.answer == "Port 8000, on the bridge."


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.yaml", "", "has to be a list"),
        ("a.yaml", "questions: 3", "has to be a list"),
        ("a.yaml", "[]", "holds no question"),
        ("a.yaml", "- just text", "line 1: not a question: give it the fields kind, question"),
        ("a.yaml", "- [", "not YAML"),
        ("a.jsonl", "{", "not JSON"),
        ("a.jsonl", "", "holds no question"),
        ("a.jsonl", "[1]", "line 1: not a question"),
        ("a.json", "{}", "no export of Label Studio: export the project as JSON"),
        ("a.json", "[]", "no project of questions: its fields are none"),
        (
            "a.json",
            json.dumps([task({"image": "x.png"}, [choice("label", "cat")])]),
            "no project of questions: its fields are image, label, but question and kind",
        ),
        ("a.json", json.dumps([task({"question": "Q?"}, LABELLED[1:])]), "no project of questions"),
        (
            "a.json",
            json.dumps([task({"question": "Q?"}, [choice("kind", "fact")])]),
            "task 7: the answer is missing",
        ),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, name, content, told):
    with pytest.raises(BadDataError, match=told) as refused:
        read_written(written(tmp_path, name, content))
    assert str(tmp_path / name) in str(refused.value)


def test_a_file_that_is_not_there_is_named_with_its_key(tmp_path):
    with pytest.raises(BadDataError, match=r"datasets.written: .*none.yaml can't be read"):
        read_written(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"- question: caf\xe9")
    with pytest.raises(BadDataError, match="can't be read"):
        read_written(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "riddle"}, "kind 'riddle': use one of fact, how-to"),
        ({"anwser": "x"}, "unknown field 'anwser': allowed are kind, question, answer"),
        ({"question": None}, "question"),
        ({"facts": ["9000"]}, "does not contain its own fact '9000'"),
        ({"document": ""}, "support.0.document"),
        ({"quote": ""}, "support.0.quote"),
    ],
)
def test_a_faulty_entry_is_named_by_line_with_what_to_do(tmp_path, changes, told):
    lines = "\n".join(json.dumps(entry) for entry in (OTHER, {**GOOD, **changes}))
    with pytest.raises(BadDataError, match=told) as refused:
        read_written(written(tmp_path, "a.jsonl", lines))
    assert "a.jsonl: line 2: " in str(refused.value)


def test_the_line_of_an_entry_in_yaml_is_its_first(tmp_path):
    text = "# Questions.\n- kind: unanswerable\n  question: Q?\n  document: d\n\n- kind: fact\n"
    with pytest.raises(BadDataError, match=r"a.yaml: line 6: 'question' is missing"):
        read_written(written(tmp_path, "a.yaml", text))


def test_a_missing_field_and_a_question_asked_twice_are_told(tmp_path):
    without = {k: v for k, v in GOOD.items() if k != "question"}
    with pytest.raises(BadDataError, match="line 1: 'question' is missing"):
        read_written(written(tmp_path, "a.yaml", [without]))
    twice = [GOOD, {**GOOD, "question": "on  which PORT?"}]
    with pytest.raises(BadDataError, match="line 2: the question of line 1 once more"):
        read_written(written(tmp_path, "a.jsonl", "\n".join(json.dumps(entry) for entry in twice)))
    # After other turns the same words ask for something else.
    history = [{"question": "Which doors?", "answer": "One."}]
    again = {**GOOD, "kind": "follow-up", "history": history}
    assert len(read_written(written(tmp_path, "b.yaml", [GOOD, again]))) == 2


def test_five_faults_are_named_and_the_rest_counted(tmp_path):
    bad = [{**GOOD, "question": f"Q{n}?", "kind": "x"} for n in range(8)]
    with pytest.raises(BadDataError) as refused:
        read_written(written(tmp_path, "a.yaml", bad))
    assert str(refused.value).count("kind 'x'") == 5
    assert str(refused.value).endswith("and 3 more")
