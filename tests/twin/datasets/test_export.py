"""Samples in other trainers' forms: as their documentation has them, nothing lost, nothing half."""

import json

import pytest

from tests.twin.datasets.sets import FIRST, FOLLOW_UP, pair, publish, sample
from twin.datasets.audit_rows import read_rows
from twin.datasets.export import Form, export
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.rag.prompt import build_messages
from twin.recipes.prompt import PromptSection
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSets

ASKED = build_messages("Ann", FOLLOW_UP.instruction, FOLLOW_UP.context, FOLLOW_UP.history)
PAIR = pair("b", context=FOLLOW_UP.context, history=FOLLOW_UP.history)


@pytest.fixture
def sets(settings):
    return published(settings, FIRST)


def published(settings, samples):
    return publish(settings, "v1", samples, [PAIR]), PairSets(open_files(settings), "ann")


def rows(sets, tmp_path, form, name="instruct/train.jsonl"):
    export(*sets, "v1", form, tmp_path / "out")
    return [json.loads(line) for line in (tmp_path / "out" / name).read_text().splitlines()]


def test_a_file_for_each_split_that_has_samples(sets, tmp_path):
    written = export(*sets, "v1", Form.OPENAI, tmp_path / "deep" / "out")
    assert written == {
        "instruct/train.jsonl": 3,
        "instruct/test.jsonl": 1,
        "preferences/train.jsonl": 1,
    }
    deep = tmp_path / "deep"
    files = {str(path.relative_to(deep)) for path in deep.rglob("*") if path.is_file()}
    assert files == {f"out/{name}" for name in written}, "no scratch is left"


def test_prompts_are_written_by_the_template_that_is_given(sets, tmp_path):
    prompt = PromptSection(template="{{ author }}? {{ passages }} {{ question }}")
    export(*sets, "v1", Form.COMPLETION, tmp_path / "own", prompt=prompt)
    lines = (tmp_path / "own" / "instruct" / "train.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["prompt"].count("Ann? ") == 1 for line in lines)
    pairs = json.loads((tmp_path / "own" / "preferences" / "train.jsonl").read_text())
    assert "Ann? " in pairs["prompt"]


def test_openai(sets, tmp_path):
    row = rows(sets, tmp_path, Form.OPENAI)[1]
    assert row == {"messages": [*ASKED, {"role": "assistant", "content": "Answer b."}]}
    [both] = [
        json.loads(line)
        for line in (tmp_path / "out/preferences/train.jsonl").read_text().splitlines()
    ]
    assert both == {
        "input": {"messages": ASKED},
        "preferred_output": [{"role": "assistant", "content": "Answer b."}],
        "non_preferred_output": [{"role": "assistant", "content": "Bad b."}],
    }


def test_sharegpt(sets, tmp_path):
    row = rows(sets, tmp_path, Form.SHAREGPT)[1]
    assert row["id"] == "b"
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert row["conversations"][-2:] == [
        {"from": "human", "value": ASKED[-1]["content"]},
        {"from": "gpt", "value": "Answer b."},
    ]
    [both] = [json.loads((tmp_path / "out/preferences/train.jsonl").read_text())]
    assert (both["chosen"]["value"], both["rejected"]["value"]) == ("Answer b.", "Bad b.")
    assert both["conversations"][-1]["from"] == "human"


def test_alpaca(sets, tmp_path):
    row = rows(sets, tmp_path, Form.ALPACA)[1]
    assert row == {
        "id": "b",
        "instruction": ASKED[-1]["content"],
        "input": "",
        "history": [["One?", "Yes."]],
        "output": "Answer b.",
    }


def test_trl(sets, tmp_path):
    row = rows(sets, tmp_path, Form.TRL)[1]
    assert row == {
        "id": "b",
        "prompt": ASKED,
        "completion": [{"role": "assistant", "content": "Answer b."}],
    }
    [both] = [json.loads((tmp_path / "out/preferences/train.jsonl").read_text())]
    assert (both["prompt"], both["chosen"][0]["content"], both["rejected"][0]["content"]) == (
        ASKED,
        "Answer b.",
        "Bad b.",
    )


def test_completion_is_plain_strings(sets, tmp_path):
    alone, in_turn = rows(sets, tmp_path, Form.COMPLETION)[:2]
    (asked,) = build_messages("Ann", FIRST[0].instruction, ())
    assert alone == {"id": "a", "prompt": asked["content"], "completion": "Answer a."}
    assert in_turn["prompt"] == (
        f"User: One?\n\nAssistant: Yes.\n\nUser: {ASKED[-1]['content']}\n\nAssistant:"
    )
    [both] = [json.loads((tmp_path / "out/preferences/train.jsonl").read_text())]
    assert (both["prompt"], both["chosen"], both["rejected"]) == (
        in_turn["prompt"], "Answer b.", "Bad b.",
    )  # fmt: skip


def test_text_is_each_passage_once_and_nothing_that_was_written_for_training(settings, tmp_path):
    again = sample("a2", answer="Answer a.")
    sets = published(settings, [*FIRST, again])
    assert [row["text"] for row in rows(sets, tmp_path, Form.TEXT)] == ["Answer a.", "Answer c."]
    assert not (tmp_path / "out" / "preferences").exists()


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.TEXT])
def test_the_audit_reads_every_form(sets, tmp_path, form):
    export(*sets, "v1", form, tmp_path / "out")
    read = read_rows(tmp_path / "out")
    assert {row.answer for row in read} >= {"Answer a.", "Answer b.", "Answer e."}
    assert {row.split for row in read} == {Split.TRAIN, Split.TEST}
    assert [row.rejected for row in read if row.rejected is not None] == ["Bad b."]


def test_a_folder_that_exists_is_left_as_it_is(sets, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(BadDataError, match="exists already"):
        export(*sets, "v1", Form.TRL, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_to_write_is_said(settings, tmp_path):
    sets = publish(settings, "v1", [FOLLOW_UP]), PairSets(open_files(settings), "ann")
    with pytest.raises(BadDataError, match="nothing for the form text"):
        export(*sets, "v1", Form.TEXT, tmp_path / "out")
    assert list(tmp_path.glob("*out*")) == []
