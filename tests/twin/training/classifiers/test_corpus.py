"""Labelled texts: what is read, what is refused, and how they are split."""

import json

import pytest

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.recipes import TextClassifierSection
from twin.training.classifiers.corpus import (
    LabelledText,
    corpus_digest,
    read_corpus,
    split_corpus,
)


def section(**values):
    return TextClassifierSection.model_validate({"name": "topic", "corpus": "x.jsonl", **values})


def texts(groups, labels=("a", "b"), each=2, split=None):
    return [
        LabelledText(f"{label} {number} of {group}", label, f"g{group}", split)
        for group in range(groups)
        for label in labels
        for number in range(each)
    ]


def test_lines_of_json_and_of_csv_say_the_same(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "one, two", "label": "x", "group": 7, "split": "test"}\n\n'
        '{"text": "three", "label": 1}\n'
    )
    (tmp_path / "a.csv").write_text('text,label,group,split\n"one, two",x,7,test\nthree,1,,\n')
    made = read_corpus(tmp_path / "a.jsonl")
    assert made == read_corpus(tmp_path / "a.csv")
    assert made[0] == LabelledText("one, two", "x", "7", Split.TEST)
    assert (made[1].label, made[1].split) == ("1", None)


def test_equal_texts_without_a_group_are_of_one(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [("The  moon", "x"), ("the moon", "y"), ("the sun", "x")]
    path.write_text("\n".join(json.dumps({"text": t, "label": label}) for t, label in rows))
    first, second, third = read_corpus(path)
    assert first.group == second.group != third.group


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 2: no JSON"), ("[1]", "line 2: no object"),
     ('{"text": " ", "label": "x"}', "no text"),
     ('{"text": "t"}', "label is None"), ('{"text": "t", "label": 0.5}', r"label is 0\.5"),
     ('{"text": "t", "label": "x", "split": "dev"}', "split is 'dev'.*train, validation, test"),
     ('{"text": "t", "label": "x"}', r"with 1 label\(s\)")],
)  # fmt: skip
def test_what_is_no_corpus_is_named(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "t", "label": "x"}\n' + line)
    with pytest.raises(BadDataError, match=message):
        read_corpus(path)


def test_a_file_that_is_missing_or_no_text_is_said(tmp_path):
    with pytest.raises(BadDataError, match=r"is no file \(paths in a recipe are relative"):
        read_corpus(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"text,label\n\xff\xfe,x")
    with pytest.raises(BadDataError, match="can't be read"):
        read_corpus(tmp_path / "a.csv")


def test_no_group_parts_and_every_text_is_in_one_split():
    corpus = texts(20)
    made = split_corpus(corpus, section(), seed=1)
    groups = {split: {each.group for each in made[split]} for split in Split}
    assert sum(map(len, groups.values())) == 20
    assert sum(map(len, made.values())) == len(corpus)
    assert [len(groups[split]) for split in Split] == [12, 4, 4]
    assert all(each.split is split for split in Split for each in made[split])
    assert split_corpus(corpus, section(), seed=1) == made
    assert split_corpus(corpus, section(), seed=2) != made
    small = split_corpus(corpus, section(test_share=0.1), seed=1)
    assert len({each.group for each in small[Split.TEST]}) == 2


def test_what_the_corpus_calls_test_is_the_test_and_validation_is_drawn_of_the_rest():
    corpus = [*texts(10, split=Split.TRAIN), LabelledText("a", "a", "t", Split.TEST),
              LabelledText("b", "b", "u", Split.TEST)]  # fmt: skip
    made = split_corpus(corpus, section(), seed=1)
    assert [each.text for each in made[Split.TEST]] == ["a", "b"]
    assert len({each.group for each in made[Split.VALIDATION]}) == 2
    assert not {e.group for e in made[Split.VALIDATION]} & {e.group for e in made[Split.TRAIN]}


def test_a_group_in_two_splits_too_few_groups_and_a_lonely_label_are_refused():
    parted = [LabelledText("a", "a", "g", Split.TRAIN), LabelledText("b", "b", "g", Split.TEST)]
    with pytest.raises(BadDataError, match="group 'g' of the corpus is in two splits"):
        split_corpus(parted, section(), seed=1)
    with pytest.raises(BadDataError, match="3 groups to draw a split from: 4 are the least"):
        split_corpus(texts(3), section(), seed=1)
    lonely = [*texts(20), LabelledText("c", "c", "g0")]
    with pytest.raises(BadDataError, match="label 'c' has no text in the split"):
        split_corpus(lonely, section(), seed=1)


@pytest.mark.parametrize("split", [Split.TEST, Split.VALIDATION])
def test_a_corpus_that_leaves_nothing_to_train_on_is_refused(split):
    with pytest.raises(BadDataError, match="no text of the corpus is left to train on"):
        split_corpus(texts(20, split=split), section(), seed=1)


def test_the_digest_knows_texts_labels_groups_and_splits_and_no_order():
    made = split_corpus(texts(8), section(), seed=1)
    digest = corpus_digest(made)
    turned = {split: list(reversed(made[split])) for split in reversed(Split)}
    assert corpus_digest(turned) == digest
    first = made[Split.TRAIN][0]
    for change in ({"text": "x"}, {"label": "x"}, {"group": "x"}):
        changed = LabelledText(**{"text": first.text, "label": first.label, "group": first.group,
                                  **change})  # fmt: skip
        assert corpus_digest({**made, Split.TRAIN: [changed, *made[Split.TRAIN][1:]]}) != digest
    moved = {**made, Split.TRAIN: made[Split.TEST], Split.TEST: made[Split.TRAIN]}
    assert corpus_digest(moved) != digest
