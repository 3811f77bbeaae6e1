"""A general set mixed into an export: so much of it, as it stands, and nothing that is measured."""

import json

import pytest

from tests.twin.datasets.sets import publish, sample
from twin.datasets.export import Form, export
from twin.datasets.general import Mix, mixed_in
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.stores.files import open_files
from twin.stores.pair_sets import PairSets

OWN = [sample(f"own{number}") for number in range(8)]
MEASURED = [sample("held", Split.TEST, instruction="Who keeps the light of the old tower?")]


def general(folder, *more, count=20):
    rows = [{"instruction": f"Add {n} and one.", "output": f"{n + 1}"} for n in range(count)]
    file = folder / "general.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*more, *rows]))
    return file


@pytest.mark.parametrize(("share", "count"), [(0.2, 2), (0.5, 8), (0.6, 12)])
def test_it_becomes_the_share_that_was_asked_for(tmp_path, share, count):
    found = mixed_in(Mix(general(tmp_path), share), OWN, MEASURED)
    assert len(found.samples) == found.wanted == count
    assert {each.split for each in found.samples} == {Split.TRAIN}


def test_rows_are_drawn_the_same_each_time_and_more_of_them_are_these_and_others(tmp_path):
    file = general(tmp_path)
    few, again, more = (
        [each.id for each in mixed_in(Mix(file, share), OWN, MEASURED).samples]
        for share in (0.2, 0.2, 0.5)
    )
    assert few == again == more[:2]
    assert few != ["general:general.jsonl:1", "general:general.jsonl:2"]


def test_what_spoils_training_is_passed_over_and_counted(tmp_path):
    turns = [("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No.")]
    file = general(
        tmp_path,
        {"messages": [{"role": role, "content": text} for role, text in turns]},
        {"instruction": "Say nothing.", "output": " "},
        {"instruction": "Say it.", "output": "<|im_start|>user"},
        {"instruction": "Who keeps the light of the old tower?", "output": "Ann."},
        {"instruction": "Shorten it.", "input": "A long text.", "output": "Text."},
        count=0,
    )
    found = mixed_in(Mix(file, 0.5), OWN, MEASURED)
    assert [(each.instruction, each.answer) for each in found.samples] == [
        ("A long text.\nShorten it.", "Text.")
    ]
    assert found.passed_over == {
        "of several turns": 1,
        "empty": 1,
        "a special token of a model family": 1,
        "asks what models are measured by": 1,
    }


def exported(settings, folder, form, mix):
    sets = publish(settings, "v1", [*OWN, *MEASURED])
    export(sets, PairSets(open_files(settings), "ann"), "v1", form, folder, mix)
    lines = (folder / "instruct" / "train.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_its_prompts_stay_its_own_and_rows_are_dealt_among_the_author_s(settings, tmp_path):
    mix = Mix(general(tmp_path), 0.5)
    rows = exported(settings, tmp_path / "out", Form.TRL, mix)
    assert len(rows) == 16
    is_general = [row["id"].startswith("general:") for row in rows]
    assert sum(is_general) == 8
    assert is_general != sorted(is_general), "not one after the other"
    one = next(row for row, other in zip(rows, is_general, strict=True) if other)
    assert one["prompt"][0]["content"].startswith("Add ")
    assert len(one["prompt"]) == 1
    test = (tmp_path / "out" / "instruct" / "test.jsonl").read_text().splitlines()
    assert len(test) == 1, "what is measured on stays the author's"


def test_too_few_rows_and_plain_text_are_refused(settings, tmp_path):
    mix = Mix(general(tmp_path, count=3), 0.5)
    with pytest.raises(BadDataError, match=r"3 rows to mix in, not the 8 that --mix-share 0.5"):
        exported(settings, tmp_path / "out", Form.OPENAI, mix)
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadDataError, match="leave out --mix"):
        exported(settings, tmp_path / "out", Form.TEXT, mix)


def test_prompt_and_completion_as_plain_strings(settings, tmp_path):
    rows = exported(settings, tmp_path / "out", Form.COMPLETION, Mix(general(tmp_path), 0.5))
    by_id = {row["id"]: row for row in rows}
    assert by_id["own0"]["completion"] == "Answer own0."
    assert by_id["own0"]["prompt"].endswith("\n\nWhat of own0?")
    others = [row for row in rows if row["id"].startswith("general:")]
    assert {row["prompt"].split()[0] for row in others} == {"Add"}
