"""What is written of a topic beside what readers ask for."""

from datetime import UTC, datetime

import numpy as np
import pytest

from tests.twin.monitoring.seen import answer
from twin.domain.chunk import Chunk
from twin.monitoring.coverage import Asked, Passages, cover, months_between, nearest_topics
from twin.recipes.monitoring import TopicsSection

SECTION = TopicsSection(least_callers=2)


def chunk(name, month, tokens=10):
    return Chunk(
        id=f"{name}-{month}-{tokens}", document_id=name, revision="r", author_id="ann", ordinal=0,
        url=f"https://ann.example/{name}", title=f"On {name}", text=name, token_count=tokens,
        chunker="c", published=datetime(2026, month, 3, tzinfo=UTC) if month else None,
    )  # fmt: skip


def passages():
    """Bread in January and March, sails in January and without a date."""
    chunks = [
        chunk("rolls", 1, 10), chunk("bread", 3, 40), chunk("sails", 1, 30), chunk("masts", 0, 20),
    ]  # fmt: skip
    vectors = np.asarray([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=np.float32)
    return Passages(chunks, vectors, np.array([0, 0, 1, 1]))


def covered(asked=(), topics=(), section=SECTION):
    return cover(passages(), [("bread",), ("sails",)], list(asked), list(topics), section)


def test_shares_are_of_tokens_and_by_month():
    found = covered()
    bread, sails = found.topics
    assert found.months == ("2026-01", "2026-02", "2026-03")
    assert (bread.written, sails.written) == (0.5, 0.5)
    assert bread.months == (0.25, None, 1.0)
    assert sails.months == (0.75, None, 0.0)
    assert (found.undated, bread.passages) == (1, 2)
    assert bread.documents[0] == ("On bread", "https://ann.example/bread")
    assert len(bread.documents) == 2


def test_months_go_on_over_the_end_of_a_year():
    dates = [datetime(2026, 2, 1, tzinfo=UTC), datetime(2025, 11, 30, tzinfo=UTC)]
    assert months_between(dates) == ("2025-11", "2025-12", "2026-01", "2026-02")
    assert months_between([]) == ()


def test_a_reader_counts_once_however_much_it_asks():
    asked = [answer("loud", question=f"{n}") for n in range(98)]
    asked += [answer("ann", question="a"), answer("bob", question="b")]
    found = covered(asked, [0] * 98 + [1, 1])
    bread, sails = found.topics
    assert bread.asked is None, "one caller alone is not shown"
    assert sails.asked.callers == 2
    assert sails.asked.share == pytest.approx(2 / 3)
    assert (found.questions, found.callers, found.elsewhere) == (100, 3, 0)
    alone = covered(asked, [0] * 98 + [1, 1], SECTION.model_copy(update={"least_callers": 1}))
    assert alone.topics[0].asked.share == pytest.approx(1 / 3)
    three = covered(asked, [0] * 98 + [1, 1], SECTION.model_copy(update={"least_callers": 3}))
    assert three.topics[1].asked is None


def test_refusals_are_of_the_topics_own_questions():
    asked = [
        answer("ann", question="a", refused=True),
        answer("ann", question="b"),
        answer("bob", question="c", refused=True),
        answer("bob", question="d", refused=True),
    ]
    found = covered(asked, [1, 1, 1, -1])
    assert found.topics[1].asked.refused == pytest.approx(0.75)
    assert found.elsewhere == pytest.approx(0.25)


def test_asked_for_more_is_said_where_chance_does_not_explain_it():
    many = [answer(f"c{n}") for n in range(200)]
    bread, sails = covered(many, [0] * 190 + [1] * 10).topics
    assert (bread.standing, sails.standing) == ("asked more", "written more")
    few = [answer(f"c{n}") for n in range(5)]
    assert {each.standing for each in covered(few, [0, 0, 0, 0, 1]).topics} == {"open"}


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [
        (0.5, 0.9, "open"), (0.51, 0.9, "asked more"),
        (0.1, 0.5, "open"), (0.1, 0.49, "written more"),
    ],
)  # fmt: skip
def test_an_interval_that_touches_what_is_written_says_nothing(low, high, standing):
    bread = covered().topics[0]
    asked = Asked(callers=9, share=0.5, low=low, high=high, refused=0)
    assert bread.model_copy(update={"asked": asked}).standing == standing


def test_a_question_is_of_its_nearest_passages_topic_or_of_none():
    near, edge = [0.8, 0.6], [0.6, 0.8]
    assert nearest_topics([near, edge], passages(), 0.8) == [0, 1]
    assert nearest_topics([near], passages(), 0.81) == [-1]
    assert nearest_topics([], passages(), 0.5) == []
