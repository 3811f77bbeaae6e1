from datetime import UTC, datetime

import pytest

from twin.rag.self_query import understand


def moment(year, month=1, day=1):
    return datetime(year, month, day, tzinfo=UTC)


@pytest.mark.parametrize(
    ("question", "start", "end", "text"),
    [
        ("posts from 2023 about attention", moment(2023), moment(2024), "attention"),
        ("articles in March 2024 about pods", moment(2024, 3), moment(2024, 4), "pods"),
        ("What changed since March 2024?", moment(2024, 3), None, "What changed ?"),
        ("what did you write in 2022 on agents", moment(2022), moment(2023), None),
        ("2021 posts about diffusion", moment(2021), moment(2022), "diffusion"),
        ("exploration, before 2020", None, moment(2020), "exploration"),
        ("agents after 2023", moment(2024), None, "agents"),
        ("agents up to June 2023", None, moment(2023, 7), "agents"),
        ("agents between 2019 and 2021", moment(2019), moment(2022), "agents"),
        ("agents since 2024-02-05", moment(2024, 2, 5), None, "agents"),
        ("posts from March 2024 or later about pods", moment(2024, 3), None, "pods"),
        ("texts from Dec 2023 about tools", moment(2023, 12), moment(2024), "tools"),
    ],
)
def test_dates_are_read(question, start, end, text):
    understood = understand(question)
    assert understood.filter.published_from == start
    assert understood.filter.published_before == end
    if text:
        assert understood.text == text


@pytest.mark.parametrize(
    "question",
    [
        "What does exit code 75 mean?",
        "Why does port 2023 matter?",
        "Who won the World Cup in 1998?",
        "How does the 2017 transformer attend?",
        "Why pods?",
        "the of",
        "since when do you sail?",
        "What happened before the war?",
        "How do I log in to LinkedIn?",
        "Is GitHub down?",
        "Who is Ann Lee?",
        "",
    ],
)
def test_what_is_no_filter_is_left_alone(question):
    understood = understand(question, {"Ann Lee": "ann"})
    assert (understood.text, understood.filter) == (question, None)


@pytest.mark.parametrize(
    ("question", "field", "values", "text"),
    [
        ("German posts about harbours", "language", ("de",), "harbours"),
        ("repositories about parsing", "kind", ("code",), "parsing"),
        ("show me all your essays about boats", "kind", ("article",), "boats"),
        ("posts by Ann Lee about boats", "author_id", ("ann",), "boats"),
        ("blog posts from Ann Lee about boats", "author_id", ("ann",), "boats"),
        ("What has Ann Lee written about boats?", "author_id", ("ann",), "boats?"),
        ("What did you write in German about boats?", "language", ("de",), None),
        ("what did Ann Lee write in 2022 on boats", "author_id", ("ann",), "boats"),
        ("LinkedIn posts about boats", "platform", ("linkedin",), "boats"),
        ("GitHub repositories about parsing", "platform", ("github",), "parsing"),
        ("What did you write on Medium about boats?", "platform", ("medium",), None),
        ("articles from your Substack about boats", "platform", ("substack",), "boats"),
    ],
)
def test_fields_are_read(question, field, values, text):
    understood = understand(question, {"Ann Lee": "ann"})
    assert understood.filter.equal[field] == values
    if text:
        assert understood.text == text


def test_an_author_who_is_not_known_is_a_word_like_any_other():
    assert understand("words by Bob", {"Ann": "ann"}).filter is None


def test_date_and_platform_are_joined():
    understood = understand("What did you post on LinkedIn since March 2024 about boats?")
    assert understood.filter.equal == {"platform": ("linkedin",)}
    assert understood.filter.published_from == moment(2024, 3)
    assert "boats" in understood.text
    assert "LinkedIn" not in understood.text


def test_filters_are_joined():
    understood = understand("French articles since 2021 about harbours")
    assert understood.filter.equal == {"language": ("fr",), "kind": ("article",)}
    assert understood.filter.published_from == moment(2021)
    assert understood.text == "harbours"


def test_where_nothing_but_filters_was_asked_the_whole_question_is_searched_for():
    assert understand("posts from 2023").text in {"posts from 2023", "posts"}
    assert understand("since 2023").text == "since 2023"


def test_days_and_months_that_no_calendar_has():
    assert understand("x y since 2024-02-31").filter.published_from == moment(2024, 2)
    assert understand("x y since 2024-13").filter.published_from == moment(2024)


def test_a_span_that_ends_before_it_begins_is_no_filter():
    assert understand("agents between 2024 and 2020").filter is None
