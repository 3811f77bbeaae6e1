"""Two versions compared: on the questions they share only, by any name a person has for them."""

import json

import pytest
from rich.console import Console

from tests.html_page import Page
from twin.domain.errors import BadDataError
from twin.evaluation.ask_people import comparisons_of
from twin.evaluation.comparison import VersionComparison, compare
from twin.evaluation.comparison_text import conclusions, render_comparison, terminal
from twin.evaluation.contenders import find_contender
from twin.evaluation.evaluate import evaluate
from twin.evaluation.measures import AUTHORSHIP
from twin.evaluation.report import Figure, SideBySide
from twin.evaluation.resampling import Estimate
from twin.recipes import StyleSection
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSets

EVIL = "</div><script>alert(1)</script>[red]{{ compared }}\x1b[2J"


def interval(low, high):
    return Estimate(value=(low + high) / 2, low=low, high=high)


def figure(name, label, gain=None, better="higher"):
    values = {"version 6": interval(0.4, 0.6), "version 7": interval(0.5, 0.7)}
    gains = {"version 6": gain} if gain else {}
    return Figure(name=name, label=label, better=better, values=values, gains=gains)


def comparison(**fields):
    asked = SideBySide(
        document="d",
        instruction="What of pods?",
        title="On pods",
        url="https://example.org/pods",
        author="A pod states what it needs.",
        answers={"version 6": "Pods come.", "version 7": "Pods go."},
    )
    return VersionComparison(
        **{
            "first": "version 6",
            "second": "version 7",
            "shared": 12,
            "only_first": 3,
            "only_second": 0,
            "groups": 9,
            "figures": (
                figure("perplexity", "Perplexity", interval(0.02, 0.1), "lower"),
                figure("rouge_l", "ROUGE-L", interval(-0.2, -0.1)),
                figure("semantic_similarity", "Semantic similarity", interval(-0.1, 0.1)),
                figure("answer_words", "Words an answer", better="neither"),
            ),
            "answers": (asked,),
            **fields,
        }
    )


def on_terminal(compared):
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(terminal(compared))
    return " ".join(console.export_text().split())


def test_it_says_where_versions_can_be_told_apart_and_on_what_basis():
    compared = comparison()
    assert conclusions(compared) == [
        "version 7 is better than version 6 in perplexity",
        "version 7 is worse than version 6 in ROUGE-L",
        "not told apart: semantic similarity",
    ]
    text, page = on_terminal(compared), Page(render_comparison(compared))
    for shown in (text, page.words):
        assert "version 7 is worse than version 6 in ROUGE-L" in shown
        assert "12 questions about 9 group(s) of documents, answered by both" in shown
        assert "left out: 3 of version 6 alone" in shown
        assert "+6.0%" in shown
        assert "[+2.0%, +10.0%]" in shown
        assert "Pods come." in shown
        assert "A pod states what it needs." in shown
    assert page.values("a", "href") == ["https://example.org/pods"]


def test_texts_stay_texts_on_the_page_and_on_the_terminal():
    asked = SideBySide(
        document="d",
        instruction=EVIL,
        title=EVIL,
        url="javascript:x",
        author=EVIL,
        answers={"version 6": EVIL},
    )
    compared = comparison(answers=(asked,))
    html = render_comparison(compared)
    assert not {tag for tag, _ in Page(html).tags} & {"script", "iframe", "img", "link"}
    assert html.count("{{ compared }}") == 4
    assert Page(html).values("a", "href") == []
    text = on_terminal(compared)
    assert "[red]" in text
    assert "\x1b" not in text


@pytest.fixture
def measured(world):
    """A world with two versions, each measured; the first is champion."""
    for which in ("trained", "trained more"):
        world.package(which)
        job = world.job(require_approval=which == "trained more")
        evaluate(job)
    world.run = job.result.ids["mlflow_run"]
    return world


def compared_by(world, first, second):
    files = open_files(world.settings)
    one, other = (
        find_contender(word, world.recipe.model_name, world.settings) for word in (first, second)
    )
    return compare(one, other, world.recipe, world.settings, SampleSets(files, world.recipe.name))


def test_two_versions_by_number_alias_run_and_path(measured, tmp_path):
    files, model = open_files(measured.settings), measured.recipe.model_name
    by_number = compared_by(measured, "1", "2")
    perplexity = by_number.figures[0]
    report = measured.report("2").figures[0]
    assert perplexity.gains["version 1"] == report.gains["champion"]
    assert perplexity.values["version 2"] == report.values["candidate"]
    assert (by_number.shared, by_number.groups, len(by_number.answers)) == (8, 8, 8)
    assert set(by_number.answers[0].answers) == {"version 1", "version 2"}
    assert compared_by(measured, "champion", "candidate") == by_number
    assert compared_by(measured, "1", measured.run) == by_number
    path = files.fetch(f"reports/{model}/2/report.json", tmp_path)
    assert compared_by(measured, "1", str(path)) == by_number
    assert compared_by(measured, "1", str(path.parent)) == by_number
    with pytest.raises(BadDataError, match=r"version 2 of .* is compared with itself"):
        compared_by(measured, "2", "candidate")
    with pytest.raises(BadDataError, match="'winner' names no version: give a number, candidate"):
        compared_by(measured, "winner", "2")
    with pytest.raises(BadDataError, match="version 9 has no report"):
        compared_by(measured, "9", "2")

    contender = find_contender("candidate", model, measured.settings)
    asked = comparisons_of(contender, SampleSets(files, measured.recipe.name))
    by_question = {shown.instruction: shown for shown in measured.report("2").side_by_side}
    assert {each.group for each in asked} <= {row.group for row in contender.sheet.rows}
    for each in asked:
        shown = by_question[each.comparison.question]
        assert each.comparison.first == shown.answers["candidate"]
        assert each.comparison.second == shown.answers[each.opponent]
        assert each.comparison.first != each.comparison.second
    assert {each.opponent for each in asked} == {"base", "champion"}
    assert asked == comparisons_of(contender, SampleSets(files, measured.recipe.name))
    assert len(asked) >= 8

    # The hand is measured where the recipe names texts by others, as in an evaluation.
    plain, style = measured.recipe, StyleSection()
    evaluation = plain.evaluation.model_copy(update={"style": style})
    measured.recipe = plain.model_copy(update={"evaluation": evaluation})
    hand = {each.name: each for each in compared_by(measured, "1", "2").figures}[AUTHORSHIP]
    assert hand.gains.keys() == {"version 1"}
    assert hand.values["author"].value > hand.values["version 2"].value
    assert AUTHORSHIP not in {each.name for each in by_number.figures}
    measured.recipe = plain

    # From here on the second version was asked other questions.
    name = f"reports/{model}/2/answers.json"
    sheet = json.loads(files.read_text(name))
    for row in sheet["rows"][:5]:
        row["asked"] = "another question"
    files.write_json(name, sheet)
    partly = compared_by(measured, "1", "2")
    assert (partly.shared, partly.only_first, partly.only_second) == (3, 5, 5)
    sheet["rows"] = sheet["rows"][:5]
    files.write_json(name, sheet)
    with pytest.raises(BadDataError, match="have no question in common") as error:
        compared_by(measured, "1", "2")
    assert error.value.exit_code == 65
    files.remove(name)
    with pytest.raises(BadDataError, match="of a time when its answers were not kept"):
        compared_by(measured, "1", "2")
