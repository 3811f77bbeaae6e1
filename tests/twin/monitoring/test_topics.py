"""Topics of passages: how many there are, in which order, and their words."""

import numpy as np
import pytest

from twin.monitoring.topics import CHOICES, FEWEST, PASSAGES_A_TOPIC, cluster, telling_words


def bundles(*sizes, spread=0.05, dimension=16):
    """Unit vectors around so many axes."""
    drawing = np.random.default_rng(1)
    rows = [
        np.eye(dimension)[axis] + drawing.normal(0, spread, dimension)
        for axis, size in enumerate(sizes)
        for _ in range(size)
    ]
    found = np.asarray(rows, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_as_many_topics_as_there_are_bundles_the_largest_first():
    labels = cluster(bundles(10, 30, 20, 15))
    assert labels.tolist() == [3] * 10 + [0] * 30 + [1] * 20 + [2] * 15
    assert (cluster(bundles(10, 30, 20, 15)) == labels).all()


def test_of_equal_topics_the_one_that_begins_earlier_is_first():
    assert cluster(bundles(10, 10, 10)).tolist() == [0] * 10 + [1] * 10 + [2] * 10


def test_a_recipe_may_say_how_many():
    assert set(cluster(bundles(10, 30, 20), 2)) == {0, 1}
    assert set(cluster(bundles(2, 1), 7)) == {0, 1, 2}, "no more than there are passages"


def test_a_topic_has_passages_enough():
    labels = cluster(bundles(*[2] * 10))
    assert labels.max() + 1 <= 20 // PASSAGES_A_TOPIC
    assert FEWEST // PASSAGES_A_TOPIC in CHOICES


def test_more_passages_than_topics_are_made_of_join_the_nearest(monkeypatch):
    vectors = bundles(40, 30, 20)
    whole = cluster(vectors)
    monkeypatch.setattr("twin.monitoring.topics.LEARNT", 30)
    monkeypatch.setattr("twin.monitoring.topics.COMPARED", 25)
    assert (cluster(vectors) == whole).all()


TEXTS = [
    "The bread needs flour and salt in the oven.", "Flour makes bread, the oven bakes it.",
    "The ship has a sail and the wind is with it.", "A sail takes the wind: the ship moves.",
    "`bread_sail()` at https://x.example/oven of the [ship](https://x.example/wind) 42 42 q q",
    "The moon once.",
]  # fmt: skip
LABELS = np.array([0, 0, 1, 1, 1, 2])


def test_words_of_a_topic_are_held_by_its_own_passages():
    bread, ship, moon = telling_words(TEXTS, LABELS, 3, ["en"])
    assert set(bread) == {"bread", "flour", "oven"}
    assert ship[0] == "ship" and set(ship) == {"ship", "sail", "wind"}
    assert moon == (), "no word of it is in two passages"
    assert telling_words(TEXTS, LABELS, 1, ["en"])[1] == ("ship",)


def test_words_are_of_the_texts_and_not_of_code_addresses_and_numbers():
    twice = [TEXTS[4]] * 2
    assert telling_words(twice, np.array([0, 0]), 9) == [("ship",)]


@pytest.mark.parametrize(
    ("language", "text", "kept"),
    [
        ("de", "Die Katze und der Hund sind hier", {"katze", "hund"}),
        ("zh", "猫和狗和花园", {"猫", "狗", "花园"}),
        ("xx", "katten hunden", {"katten", "hunden"}),
    ],
)
def test_function_words_of_the_passages_languages_are_left_out(language, text, kept):
    [found] = telling_words([text, text], np.array([0, 0]), 9, [language])
    assert set(found) == kept


def test_a_topic_without_a_word_has_none():
    assert telling_words(["!", "?"], np.array([0, 1]), 3) == [(), ()]
