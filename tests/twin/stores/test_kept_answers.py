"""Answers of evaluations, kept one by one."""

import pytest

from tests.twin.answers import passage
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.kept_answers import FOLDER, KeptAnswer, KeptAnswers


def answer(key="k1", about=("d1",)):
    return KeptAnswer(
        key=key, text="Pods.", finish_reason="stop", prompt_tokens=7, answer_tokens=3,
        first_word_seconds=0.5, seconds=1.5, together=8, sources=(passage("d1"),), about=about,
    )  # fmt: skip


@pytest.fixture
def files(tmp_path):
    return open_files(Settings(home=tmp_path))


def test_an_answer_is_found_by_its_key(files):
    kept = KeptAnswers(files)
    assert kept.find("k1") is None
    kept.keep(answer())
    kept.keep(answer("k2", ("d2",)))
    assert KeptAnswers(files).find("k1") == answer()
    assert kept.written == 2


def test_one_that_cannot_be_read_is_as_good_as_none(files):
    KeptAnswers(files).keep(answer())
    files.write_text(f"{FOLDER}/k1.json", '{"key": "k1", "te')
    assert KeptAnswers(files).find("k1") is None


def test_answers_go_with_the_documents_that_they_were_written_from(files):
    kept = KeptAnswers(files)
    for key, about in (("k1", ("d1", "d2")), ("k2", ("d2", "d3")), ("k3", ("d3",))):
        kept.keep(answer(key, about))
    files.write_text(f"{FOLDER}/broken.json", "{")
    assert kept.forget({"d1", "d9"}) == 2
    assert [kept.find(key) is None for key in ("k1", "k2", "k3")] == [True, False, False]
    assert not files.exists(f"{FOLDER}/broken.json")
    assert kept.forget({"d1"}) == 0
