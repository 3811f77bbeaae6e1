"""Scores of texts: made once, kept in batches, resumed."""

import math

import pytest

from twin.evaluation import scores
from twin.evaluation.scores import BATCH, FOLDER, score_texts
from twin.models.language_model import Message, load_language_model
from twin.settings import Settings
from twin.stores.files import open_files

ASK = [Message(role="user", content="What of pods?")]
TEXTS = [(ASK, f"Every job runs in pod {number}.") for number in range(BATCH + 2)]


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path, threads=1)


def scored(settings, folder, texts, told=None, digest="a" * 64):
    told = [] if told is None else told
    return score_texts(
        digest, lambda: folder, texts, settings=settings, files=open_files(settings),
        advance=told.append,
    )  # fmt: skip


def test_each_text_is_scored_after_its_own_conversation(settings, weights):
    other = [Message(role="user", content="And of rollbacks?")]
    texts = [TEXTS[0], (other, TEXTS[0][1]), TEXTS[1]]
    model = load_language_model(weights["base"], settings)
    expected = model.answer_log_likelihood([ask for ask, _ in texts], [text for _, text in texts])
    found = scored(settings, weights["base"], texts)
    assert [tokens for _, tokens in found] == [tokens for _, tokens in expected]
    assert [each for each, _ in found] == pytest.approx([each for each, _ in expected], rel=1e-3)
    assert len(set(found)) == 3


def test_a_killed_one_goes_on_and_nothing_is_scored_twice(settings, weights, tmp_path):
    told = []
    first = scored(settings, weights["base"], TEXTS[:BATCH], told)
    assert told == [0, BATCH]
    told.clear()
    both = scored(settings, weights["base"], [*TEXTS, TEXTS[0]], told)
    assert told == [BATCH + 1, 2], "the last text stands there twice"
    assert both[:BATCH] == first
    assert both[-1] == both[0]
    nowhere = tmp_path / "no weights"
    assert scored(settings, nowhere, TEXTS[::-1]) == both[:-1][::-1]


def test_another_model_has_scores_of_its_own(settings, weights):
    mine = scored(settings, weights["base"], TEXTS[:1])
    assert scored(settings, weights["trained"], TEXTS[:1], digest="b" * 64) != mine


def test_unreadable_scores_are_made_again(settings, weights):
    first = scored(settings, weights["base"], TEXTS[:2])
    files = open_files(settings)
    (name,) = files.names(f"{FOLDER}/{'a' * 32}")
    files.write_text(f"{FOLDER}/{'a' * 32}/{name}", '{"scores": {"x"')
    assert scored(settings, weights["base"], TEXTS[:2]) == first


def test_scores_that_are_no_numbers_survive(tmp_path):
    kept = scores.KeptScores(scores={"k": (math.nan, 3), "l": (-math.inf, 2)})
    read = scores.KeptScores.model_validate_json(kept.model_dump_json())
    assert math.isnan(read.scores["k"][0])
    assert read.scores["l"] == (-math.inf, 2)
