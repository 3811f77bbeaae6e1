"""The page for the author, and the job that makes it."""

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from tests.twin import twins
from tests.twin.answers import answer
from tests.twin.datasets import sets
from tests.twin.monitoring.seen import NOW
from twin.domain.errors import NothingToDo
from twin.domain.feedback import KeptAnswer
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.domain.written import WrittenQuestion
from twin.job import Job
from twin.monitoring.failing_questions import QuestionGroup
from twin.monitoring.questions_report import as_markdown, as_page, as_proposals
from twin.monitoring.run_questions import report_questions
from twin.stores.answer_records import AnswerRecords
from twin.stores.files import open_files
from twin.stores.question_reports import remove_reports, write_report
from twin.stores.warehouse import open_warehouse

EVIL = "<script>alert(1)</script> [x](http://evil.example)"
UNWRITTEN = QuestionGroup(
    question=EVIL, examples=("How far\nis it?",), questions=4, callers=3, refused=1, disliked=0,
    nearest="On pods",
)  # fmt: skip
WRITTEN = QuestionGroup(
    question="Why a pod?", examples=(), questions=3, callers=2, refused=0, disliked=1
)


def test_what_callers_write_stays_text_on_the_page():
    page = as_page([UNWRITTEN, WRITTEN], "Ann", 30, NOW)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.index("have not written it") < page.index("How far") < page.index("Why a pod?")
    assert "Nothing that several readers have asked." in as_page([], "Ann", 30, NOW)


def test_what_callers_write_stays_text_in_markdown():
    text = as_markdown([UNWRITTEN, WRITTEN], "Ann", 30, NOW)
    assert "\\<script\\>" in text and "\\[x\\]" in text
    assert "  - How far is it?" in text
    assert "(3 readers, 4 questions; nearest: On pods)" in text


def test_proposals_are_written_questions_once_they_are_completed():
    unwritten, written = yaml.safe_load(as_proposals([UNWRITTEN, WRITTEN]))
    assert WrittenQuestion.model_validate(unwritten).question == EVIL
    quote = {"document": "On pods", "quote": "a pod"}
    del written["document"], written["quote"]
    done = {**written, "answer": "A pod.", "facts": ["pod"], "support": [quote]}
    assert WrittenQuestion.model_validate(done).kind == "fact"


ASKED = {
    "moon": ["How far away is the moon?", "What is the distance to the moon?", "How far is the moon"
             " from the earth, ask ann@example.org?", "Is the moon far away from us?"],
    "fish": ["Which wine goes with fish?", "What wine should I drink with fish?",
             "Which white wine goes with a fish?", "Does red wine go with fish?"],
}  # fmt: skip


@pytest.fixture
def job(stores_settings, tmp_path):
    recipe = twins.write_recipe(tmp_path / "recipes")

    def make():
        result = JobResult(job="monitoring questions", recipe="tiny", run_id="r")
        return Job(recipe, stores_settings, "r", result)

    return make


def test_the_report_is_made_of_what_is_kept_and_goes_when_something_is_forgotten(job, capsys):
    with pytest.raises(NothingToDo, match="0 answers of 30 days have failed"):
        report_questions(job())
    now = datetime.now(UTC)
    with open_warehouse(job().settings) as warehouse:
        records = AnswerRecords(warehouse)
        for topic, questions in ASKED.items():
            for number, question in enumerate(questions):
                made = answer(f"{topic}{number}", refused=True)
                made = made.model_copy(update={"question": question})
                kept = KeptAnswer(answer=made, created=now, expires=now + timedelta(days=9))
                records.add([(f"c{number}", kept)])
    done = job()
    report_questions(done)
    assert (done.counts.read, done.counts.written) == (8, 2)
    said = capsys.readouterr().err
    assert "2 groups hold 8 of 8 failed questions: " in said
    assert said.rstrip().endswith("monitoring/questions/tiny/questions.html")
    files = open_files(done.settings)
    text = files.read_text("monitoring/questions/tiny/questions.md")
    assert "ann@example.org" not in text
    assert "moon" in text and "wine" in text
    for name in ("questions.html", "proposed.yaml"):
        found = files.read_text(f"monitoring/questions/tiny/{name}")
        assert "wine" in found and "ann@example.org" not in found
    assert remove_reports(files) == 1
    assert not files.exists("monitoring/questions/tiny/questions.md")
    assert remove_reports(files) == 0


def test_a_page_of_which_nothing_is_left_to_say_goes(job):
    files = open_files(job().settings)
    write_report(files, "tiny", {"questions.md": "of last week"})
    with pytest.raises(NothingToDo):
        report_questions(job())
    assert not files.exists("monitoring/questions/tiny/questions.md")


def test_drawn_canaries_are_no_questions_of_readers(job):
    settings = job().settings
    question = "Which wine goes with fish?"
    known = sets.sample("w", Split.TEST, instruction=question, facts=("white",))
    sets.publish(settings, "v1", [known], recipe="tiny").make_latest("v1")
    now = datetime.now(UTC)
    with open_warehouse(settings) as warehouse:
        for number in range(4):
            made = answer(f"w{number}", refused=True).model_copy(update={"question": question})
            kept = KeptAnswer(answer=made, created=now, expires=now + timedelta(days=9))
            AnswerRecords(warehouse).add([(f"c{number}", kept)])
    with pytest.raises(NothingToDo, match="0 answers of 30 days have failed"):
        report_questions(job())
