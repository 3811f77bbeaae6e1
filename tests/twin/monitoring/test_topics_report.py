"""The page of topics, and the job that makes it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin import twins
from tests.twin.answers import answer
from tests.twin.monitoring.seen import NOW
from tests.twin.monitoring.test_coverage import covered
from twin.domain.errors import NothingToDo
from twin.domain.feedback import KeptAnswer
from twin.domain.result import JobResult
from twin.job import Job
from twin.monitoring.coverage import Asked, Coverage
from twin.monitoring.run_topics import report_topics
from twin.monitoring.topics_report import as_markdown, as_page
from twin.stores.answer_records import AnswerRecords
from twin.stores.files import open_files
from twin.stores.question_reports import (
    QUESTIONS,
    TOPICS,
    remove_report,
    remove_reports,
    write_report,
)
from twin.stores.warehouse import open_warehouse


def test_the_page_has_a_bar_for_each_month_with_text():
    page = as_page(covered(), "Ann", 30, NOW)
    bread, sails = page.split("<strong")[1:3]
    assert bread.count("<rect") == 2 and sails.count("<rect") == 1
    assert 'x="0.0%" width="26.667%" y="41.5" height="13.5"' in bread, "a quarter of the highest"
    assert 'x="66.667%" width="26.667%" y="1.0" height="54.0"' in bread
    assert "2026-03: 100 %" in bread
    assert '<a href="https://ann.example/bread">On bread</a>' in bread
    assert "1 passages have no date" in page
    assert "asked for more" not in page


def test_titles_and_words_stay_text_and_other_addresses_are_no_links():
    found = covered()
    evil = found.topics[0].model_copy(
        update={"words": ("<b>",), "documents": (("<i>x", "javascript:alert(1)"),)}
    )
    page = as_page(found.model_copy(update={"topics": (evil,)}), "Ann", 30, NOW)
    assert "<b>" not in page and "<i>" not in page and "javascript" not in page


def test_what_is_asked_stands_beside_it():
    found = covered()
    asked = Asked(callers=7, share=0.9, low=0.8, high=0.95, refused=0.25)
    bread = found.topics[0].model_copy(update={"asked": asked})
    found = found.model_copy(update={"topics": (bread, found.topics[1])})
    page = as_page(found, "Ann", 30, NOW)
    assert "90 % asked" in page and "[80, 95]" in page and "7 readers, 25 % refused" in page
    assert "asked for more than is written" in page
    text = as_markdown(found, "Ann", 30, NOW)
    assert (
        "| bread | 50% | 90% [80%, 95%] | 25% | 2026-03 | asked for more than is written |" in text
    )
    assert "| sails | 50% |  |  | 2026-01 |  |" in text


def test_texts_without_a_date_have_no_months():
    found = covered()
    topics = tuple(each.model_copy(update={"months": ()}) for each in found.topics)
    bare = found.model_copy(update={"months": (), "topics": topics})
    assert "<rect" not in as_page(bare, "Ann", 30, NOW)
    assert "| bread | 50% |  |  |  |  |" in as_markdown(bare, "Ann", 30, NOW)


BAKING = ("bread", "rolls", "cake", "dough", "yeast", "ovens", "flour", "pies", "crust", "pastry")
SAILING = ("sails", "masts", "keels", "anchors", "ropes", "rudders", "decks", "hulls", "oars",
           "harbours")  # fmt: skip


@pytest.fixture
def make(stores_settings, tmp_path):
    recipe = twins.write_recipe(tmp_path / "recipes")

    def make():
        result = JobResult(job="monitoring topics", recipe="tiny", run_id="r")
        return Job(recipe, stores_settings, "r", result)

    return make


def test_the_report_is_made_of_index_and_answers_and_is_the_same_again(make, capsys):
    settings = make().settings
    texts = {name: f"Baking {name}: a baker bakes with flour in the oven." for name in BAKING}
    texts |= {name: f"Sailing {name}: a sailor sails a ship with the wind." for name in SAILING}
    recipe = make().recipe
    twins.index_texts(recipe, settings, dict(list(texts.items())[:19]))
    files = open_files(settings)
    write_report(files, "tiny", {"topics.md": "of last week"}, TOPICS)
    with pytest.raises(NothingToDo, match="19 passages, topics need 20"):
        report_topics(make())
    assert not files.exists("monitoring/topics/tiny/topics.md")
    twins.index_texts(recipe, settings, texts)
    now = datetime.now(UTC)
    with open_warehouse(settings) as warehouse:
        for number in range(4):
            made = answer(f"a{number}").model_copy(
                update={"question": "How does a sailor sail a ship?" if number else "probe?"}
            )
            kept = KeptAnswer(answer=made, created=now, expires=now + timedelta(days=9))
            AnswerRecords(warehouse).add([(f"c{number}", kept)])
    done = make()
    report_topics(done)
    assert done.counts.read == 20 and done.counts.written >= 2
    assert capsys.readouterr().err.rstrip().endswith("monitoring/topics/tiny/topics.html")
    text = files.read_text("monitoring/topics/tiny/topics.json")
    found = Coverage.model_validate_json(text)
    of = {name: topic for topic in found.topics for name in topic.words}
    assert of["baker"] != of["sailor"]
    assert of["sailor"].asked.callers == 3 and of["baker"].asked is None
    assert found.questions == 4
    report_topics(make())
    assert files.read_text("monitoring/topics/tiny/topics.json") == text
    assert "sailor" in files.read_text("monitoring/topics/tiny/topics.html")
    assert remove_reports(files) == 1
    assert not files.exists("monitoring/topics/tiny/topics.json")


def test_a_recipes_reports_go_one_by_one_or_together(stores_settings):
    files = open_files(stores_settings)

    def write():
        for folder in (QUESTIONS, TOPICS):
            write_report(files, "tiny", {"page.md": folder}, folder)
        write_report(files, "other", {"page.md": "its own"}, TOPICS)

    write()
    remove_report(files, "tiny", TOPICS)
    assert files.exists(f"{QUESTIONS}/tiny/page.md") and not files.exists(f"{TOPICS}/tiny/page.md")
    write()
    remove_report(files, "tiny")
    assert not files.names(QUESTIONS) and files.names(TOPICS) == ["other"]
    write()
    assert remove_reports(files) == 3 and not files.names(TOPICS)
