"""`twin serving feedback export`, from a real warehouse."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.twin.answers import answer
from twin.domain.errors import BadConfigurationError
from twin.domain.feedback import Feedback, KeptAnswer
from twin.serving.feedback_export import export_feedback
from twin.stores.answer_records import AnswerRecords
from twin.stores.warehouse import open_warehouse


@pytest.fixture
def judged(stores_settings):
    now = datetime.now(UTC)
    with open_warehouse(stores_settings) as warehouse:
        records = AnswerRecords(warehouse)
        for name in ("a1", "a2"):
            kept = KeptAnswer(
                answer=answer(name, text="Ein Pod.", documents=("pods", "jobs")),
                created=now,
                expires=now + timedelta(days=1),
            )
            records.add([("ann", kept)])
        records.judge("a2", "ann", Feedback(thumb="down", correction="Ein Pod für jeden."), now)
    return stores_settings


def test_a_judged_answer_is_a_line_with_what_a_pair_needs(judged, tmp_path):
    file = tmp_path / "feedback.jsonl"
    file.write_text("old")
    assert export_feedback(judged, "twin-tiny", file) == 1
    [line] = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert (line["question"], line["answer"]) == ("Why?", "Ein Pod.")
    assert (line["thumb"], line["correction"]) == ("down", "Ein Pod für jeden.")
    assert line["chunks"] == ["pods-0", "jobs-0"]


def test_a_file_that_can_not_be_written_says_so(judged, tmp_path):
    with pytest.raises(BadConfigurationError, match="can't be written"):
        export_feedback(judged, "twin-tiny", tmp_path / "none" / "feedback.jsonl")
