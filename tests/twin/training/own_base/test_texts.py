"""Texts of a folder or of samples: what is learned, what is held out, what is refused."""

import pytest

from tests.twin.datasets.sets import sample
from twin.domain.errors import BadDataError
from twin.domain.sample import Maker, Split
from twin.training.own_base.texts import texts_of_folder, texts_of_samples


def fill(folder, count):
    (folder / "deep").mkdir(parents=True)
    for number in range(count):
        (folder / "deep" / f"{number}.md").write_text(f"text {number}")
    return folder


def test_a_share_of_the_files_is_held_out_the_same_each_time(tmp_path):
    folder = fill(tmp_path / "texts", 20)
    (folder / "notes.pdf").write_bytes(b"\xff")
    (folder / "empty.txt").write_text(" \n")
    made = texts_of_folder(folder, 0.2, seed=3)
    assert (len(made.learned), len(made.held_out)) == (16, 4)
    assert not set(made.learned) & set(made.held_out)
    assert texts_of_folder(folder, 0.2, seed=3) == made
    assert texts_of_folder(folder, 0.2, seed=4).held_out != made.held_out
    digest = made.digest
    (folder / "deep" / "0.md").write_text("another text")
    assert texts_of_folder(folder, 0.2, seed=3).digest != digest


def test_of_a_single_text_the_end_is_held_out(tmp_path):
    (tmp_path / "book.txt").write_text("a" * 80 + "b" * 20)
    made = texts_of_folder(tmp_path, 0.2, seed=3)
    assert (made.learned, made.held_out) == (("a" * 80,), ("b" * 20,))


def test_what_is_no_folder_of_texts_is_said(tmp_path):
    with pytest.raises(BadDataError, match="is no folder"):
        texts_of_folder(tmp_path / "none", 0.1, seed=1)
    with pytest.raises(BadDataError, match=r"holds no text: files ending with \.md or \.txt"):
        texts_of_folder(tmp_path, 0.1, seed=1)
    (tmp_path / "a.txt").write_bytes(b"\xff")
    with pytest.raises(BadDataError, match=r"a\.txt can't be read"):
        texts_of_folder(tmp_path, 0.1, seed=1)


class Sets:
    """A sample set of which each split has these samples."""

    version = "v1"

    def __init__(self, samples):
        self._samples = samples

    def latest(self):
        return self

    def instruct(self, version, split):
        return self._samples.get(split, [])


def test_of_samples_the_passages_are_taken_once_and_the_test_split_is_left():
    made = texts_of_samples(Sets({
        Split.TRAIN: [sample("a", answer="One."), sample("b", answer="One."),
                      sample("c", answer="By hand.", maker=Maker.WRITTEN)],
        Split.VALIDATION: [sample("d", answer="Two.")],
        Split.TEST: [sample("e", answer="Three.")],
    }))  # fmt: skip
    assert (made.learned, made.held_out) == (("One.",), ("Two.",))
    with pytest.raises(BadDataError, match="the validation split of samples v1 has no passage"):
        texts_of_samples(Sets({Split.TRAIN: [sample("a", answer="One.")]}))
    with pytest.raises(BadDataError, match="the training split of samples v1 has no passage"):
        texts_of_samples(Sets({}))
