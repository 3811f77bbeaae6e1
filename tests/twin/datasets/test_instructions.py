"""Instructions out of headings: grammatical, varied, and nothing of the answer in them."""

import re

import pytest

from tests.bench.retrieval.questions import BLOG, blog, handbook
from twin.datasets.instructions import TEMPLATES, gives_away, has_templates, instructions
from twin.features.markdown import blocks_of

#: Every sentence that may stand around a question, and every one around something quoted.
SENTENCES = {
    "",
    "I have a question about “…”.",
    "Please answer the way you would in an article.",
    "You wrote “…”.",
    "A reader of “…” wants to know:",
    "Say it in your own words.",
    "Please mention “…”, too.",
    "Somebody who has heard of “…” asks:",
    "What do you write about “…”?",
    "Explain “…” to me.",
    "What would you say to someone who asks about “…”?",
    "What should I know about “…”?",
    "Write a passage on “…”.",
    "Describe “…” as you would to a colleague.",
    "What is your view of “…”?",
    "In “…”, what do you say about “…”?",
    "Write about “…”, and mention “…”.",
    "What do “…” and “…” have to do with each other?",
}


_MARKS = re.compile(r"(?<!\w)[*_`#]+|[*_`#]+(?!\w)")


def asked(heading, phrases=("pod templates",), title="On running jobs", language=None):
    headings = (heading,) if heading else ()
    return list(instructions(title, headings, list(phrases), "7:chunk", language))


def headings_of(documents):
    """Title and heading of every section; without one, the title alone."""
    for document in documents:
        yield document.title, ""
        for block in blocks_of(document.content):
            if block.kind == "heading" and block.heading:
                yield document.title, block.heading


def ungrammatical(title, heading):
    """Instructions that are more than known sentences around a whole question or a quotation."""
    question = _MARKS.sub("", heading or title)
    question = " ".join(question.split())
    for text in asked(heading, ["error bars", "says so"], title):
        rest = text
        if question.endswith("?"):
            assert text.count(question) == 1, text
            rest = text.replace(question, "").strip()
        if re.sub("“[^“”]*”", "“…”", rest) not in SENTENCES:
            yield text


def test_every_heading_of_the_handbook_is_asked_for_in_sound_sentences():
    found = list(headings_of(handbook()))
    assert len(found) > 120
    assert not [text for pair in found for text in ungrammatical(*pair)]
    title = "How an answer leads back to a chunk"
    assert not any(
        text.lower().startswith("in your own words, how") for text in asked("", (), title)
    )


@pytest.mark.skipif(not BLOG.is_dir(), reason="no copy of the blog")
def test_every_heading_of_a_blog_is_asked_for_in_sound_sentences():
    found = list(headings_of(blog()))
    assert len(found) > 800
    assert not [text for pair in found for text in ungrammatical(*pair)]


@pytest.mark.parametrize(
    "heading",
    ["Why are there two replicas?", "How chunks are cut", "Denoising Autoencoder", "Why We Think"],
)
def test_each_kind_of_heading_is_asked_for_in_at_least_eight_ways(heading):
    found = asked(heading)
    assert len(found) >= 8
    assert len(set(found)) == len(found)
    for text in found:
        assert text[0].isupper()
        assert text[-1] in ".?"
        assert "{" not in text
        assert heading in text


def test_a_question_stays_the_question():
    found = asked("Why are there two replicas?")
    assert "Why are there two replicas?" in found
    assert "You wrote “On running jobs”. Why are there two replicas?" in found


def test_what_is_no_question_is_quoted_as_it_stands():
    assert "Explain “Denoising Autoencoder” to me." in asked("Denoising Autoencoder")
    inner = "Explain “The \u2018router\u2019 and \u2018it\u2019” to me."
    assert inner in asked("The “router” and “it”")
    assert "What is your view of “Why We Think”?" in asked("Why We Think")


def test_the_title_stands_in_where_there_is_no_heading_and_is_said_once():
    found = asked("")
    assert "What is your view of “On running jobs”?" in found
    assert all(text.count("On running jobs") == 1 for text in found)
    assert any(text.startswith("In “On running jobs”, ") for text in asked("The router"))


def test_marks_and_numbers_of_headings_are_left_out():
    found = asked("2.1 The `router` and its *weights* of snake_case")
    assert "Explain “The router and its weights of snake_case” to me." in found


def test_key_phrases_widen_the_choice():
    assert any("“pod templates”" in text for text in asked("The router"))
    assert len(asked("The router", ["a b", "c d"])) > len(asked("The router", ["a b"]))
    assert not any("{phrase}" in text or "“”" in text for text in asked("The router", []))


def test_a_language_without_templates_is_not_asked_in_english():
    assert not asked("Der Router", language="de")
    assert not has_templates("de")
    assert has_templates(None)
    assert asked("The router", language="en") == asked("The router")
    assert set(TEMPLATES) == {"en"}


def test_the_order_is_drawn_from_the_seed():
    ways = [next(instructions("T", ("The router",), [], f"13:{n}")) for n in range(40)]
    assert len(set(ways)) >= 6
    again = [next(instructions("T", ("The router",), [], f"13:{n}")) for n in range(40)]
    assert ways == again


def test_giving_away_is_six_words_in_a_row():
    answer = "I keep one pod for each job because rooms should not be shared."
    assert gives_away("Is it true that I keep one pod for each job?", answer)
    assert not gives_away("Why one pod for each job?", answer)
    assert not gives_away("Why?", "Short.")


def test_nobody_can_break_out_of_a_template():
    found = asked("The {phrase} of {0}")
    assert found
    assert all(re.search(r"\{phrase\} of \{0\}", text) for text in found)
