"""What an hourly look costs at 100,000 answers a day (`make bench-monitoring`).

What grows with traffic is bounded: of each window six hundred answers are read, and routers keep
four thousand each. Feedback is read whole: of a fiftieth of two weeks' answers, by three thousand
callers. The warehouse holds a day of answers, so that what is sampled is found among many.
"""

import time
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tests import servers
from tests.conftest import ROOT
from twin.domain.feedback import Feedback
from twin.domain.observation import Observation
from twin.domain.seen_answer import SeenAnswer
from twin.models.embedder import load_embedder
from twin.monitoring.drift import drift
from twin.monitoring.live import live
from twin.monitoring.opinion import opinion
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.answer_records import ANSWERS, AnswerRecords
from twin.stores.seen_answers import SeenAnswers
from twin.stores.warehouse import open_warehouse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST_CPU_SECONDS = 60
A_DAY = 100_000
STORED = 20_000  # of a day: the embedded server takes minutes to be filled with all
CALLERS = 3_000
NOW = datetime.now(UTC)
DRAWING = np.random.default_rng(7)


def record(number: int, at: datetime) -> dict:
    """An answer as the warehouse has it, with passages of a usual size."""
    source = {"title": "On pods", "document_id": "d", "chunk_id": "c", "text": "word " * 300}
    return {
        "_id": uuid.uuid4().hex,
        "caller": f"c{DRAWING.integers(CALLERS)}",
        "created": at,
        "given": None,
        "feedback": None,
        "history": [],
        "documents": ["d"],
        "answer": {
            "question": f"How does part {number} of the system run a job, and why?",
            "answer": "word " * int(DRAWING.integers(20, 200)),
            "grounded": True,
            "refused": False,
            "sentences": [{"supported": True}],
            "model": "twin-handbook",
            "model_version": "1",
            "prompt_tokens": 700,
            "completion_tokens": 90,
            "sources": [source] * 3,
        },
    }


def test_an_hourly_look_takes_less_than_a_minute_of_a_processor(tmp_path):
    recipe = load_recipe("handbook", ROOT / "include" / "recipes")
    section = recipe.monitoring
    embedder = load_embedder(recipe.features.embedder, get_settings())
    with servers.warehouse_server(tmp_path / "data") as (uri, _, _):
        settings = get_settings().model_copy(
            update={"mongo_uri": type(get_settings().mongo_uri)(uri), "mongo_database": "bench"}
        )
        with open_warehouse(settings) as warehouse:
            AnswerRecords(warehouse).prepare()
            answers = SeenAnswers(warehouse)
            answers.prepare()
            for start in range(0, STORED, 500):
                ages = [timedelta(days=2 * (start + place) / STORED) for place in range(500)]
                some = [record(start + place, NOW - age) for place, age in enumerate(ages)]
                warehouse.collection(ANSWERS).insert_many(some)
            begun = time.process_time()
            yesterday = NOW - timedelta(days=1)
            before = answers.sampled(
                "twin-handbook", NOW - timedelta(days=15), yesterday, section.drift.sampled
            )
            after = answers.sampled("twin-handbook", yesterday, NOW, section.drift.sampled)
            read = time.process_time() - begun
        judged = [
            SeenAnswer(
                id=str(number), caller=f"c{DRAWING.integers(CALLERS)}", opening="", created=NOW,
                version="1", question="", characters=1, grounded=True, refused=False,
                prompt_tokens=1, completion_tokens=1,
                feedback=Feedback(thumb="up" if DRAWING.random() < 0.8 else "down"),
            )
            for number in range(A_DAY * section.feedback_days // 50)
        ]  # fmt: skip
        observed = [
            Observation(
                number=number, time=NOW, version="1", unit=f"u{DRAWING.integers(CALLERS)}",
                first_seconds=float(DRAWING.exponential(2)),
            )
            for number in range(A_DAY // 24 + 1)
        ]  # fmt: skip
        begun = time.process_time()
        drift(before, after, embedder.encode_questions, section.drift)
        drifted = time.process_time() - begun
        live(observed, {}, section.live)
        opinion(judged, 0.5, section.feedback_callers)
        others = time.process_time() - begun - drifted
    total = read + drifted + others
    print(
        f"\n{len(before)} and {len(after)} answers read {read:.1f} s, drift {drifted:.1f} s, "
        f"{len(observed):,} observations and {len(judged):,} judgements {others:.1f} s: "
        f"{total:.1f} s of a processor"
    )
    assert len(after) > 500
    assert total < MOST_CPU_SECONDS
