"""What the person who approves is shown: enough to decide, and nothing that texts could add."""

from markdown_it import MarkdownIt

from tests.html_page import Page
from tests.twin.evaluation.test_report_page import report_of
from twin.evaluation.approval_text import MOST_CHARACTERS, SHOWN_ANSWERS, evidence
from twin.evaluation.checks import Verdict
from twin.evaluation.report import Figure, SideBySide
from twin.evaluation.resampling import Estimate

EVIL = (
    "![x](https://evil.example/x.png) [here](https://evil.example) <img src=x> https://evil.example"
)
REPORT_URL = "http://127.0.0.1:5100/#/experiments/1/runs/2/artifacts/report/report.html"


def page_of(text: str) -> Page:
    return Page(MarkdownIt("commonmark").enable("table").render(text))


def asked(number: int, **answers: str) -> SideBySide:
    return SideBySide(
        document="d",
        instruction=f"What of pod {number}?",
        title="On pods",
        url="https://example.org/pods",
        author=f"A pod states what it needs, {number}.",
        answers={"candidate": f"Pods come {number}.", "base": f"Pods {number}", **answers},
    )


def interval(value: float) -> Estimate:
    return Estimate(value=value, low=value - 1, high=value + 1)


def test_it_shows_verdict_reasons_intervals_answers_and_the_way_to_the_report():
    report = report_of(
        verdict=Verdict.PROMOTE,
        reasons=("perplexity falls by 8.0%",),
        figures=(
            Figure(
                name="perplexity",
                label="Perplexity",
                better="lower",
                values={
                    role: interval(20.0 + place)
                    for place, role in enumerate(("candidate", "base", "champion"))
                },
                gains={
                    "base": Estimate(value=0.3, low=0.2, high=0.4),
                    "champion": Estimate(value=0.08, low=0.05, high=0.11),
                },
            ),
            Figure(
                name="answer_words",
                label="Words an answer",
                better="neither",
                values={"candidate": interval(9)},
            ),
        ),
        side_by_side=tuple(asked(number, champion=f"Pods go {number}.") for number in range(5)),
    )
    page = page_of(evidence(report))
    assert "waits for a person's approval: the gate would promote it" in page.words
    assert "perplexity falls by 8.0%" in page.words
    assert "perplexity 20 [19, 21] 22 [21, 23] +8.0% [+5.0%, +11.0%]" in page.words
    assert "measure candidate champion gain over champion" in page.words
    assert "recall@5 0.900 [0.850, 0.950]" in page.words
    assert "Words an answer" not in page.words
    assert all(check.text in page.words for check in report.checks)
    assert page.values("a", "href") == [REPORT_URL]
    for number in range(5):
        for text in (f"Pods come {number}.", f"Pods go {number}.", f"what it needs, {number}."):
            assert (text in page.words) == (number < SHOWN_ANSWERS)
    assert "Pods 0" not in page.words, "the base, where there is a champion"
    assert "Approve makes version 7 the champion; before: version 6" in page.words
    assert "Reject changes no champion" in page.words


def test_of_a_first_version_the_base_is_shown():
    report = report_of(
        verdict=Verdict.HOLD,
        lineage={"champion": "none"},
        side_by_side=(asked(0),),
        figures=(
            Figure(
                name="rouge_l",
                label="ROUGE-L",
                better="higher",
                values={"candidate": interval(2), "base": interval(3)},
                gains={"base": interval(-1)},
            ),
        ),
    )
    text = page_of(evidence(report)).words
    assert "measure candidate base gain over base" in text
    assert "ROUGE-L 2.000 [1.000, 3.000] 3.000 [2.000, 4.000] -1.000 [-2.000, +0.000]" in text
    assert "base : Pods 0" in text
    assert "the gate holds it for want of proof" in text
    assert "before: there is none yet" in text


def test_texts_of_models_and_documents_make_no_links_or_images():
    report = report_of(
        side_by_side=(
            SideBySide(
                document="d",
                instruction=EVIL,
                title=EVIL,
                url="x",
                author=EVIL,
                answers={"candidate": EVIL},
            ),
        )
    )
    page = page_of(evidence(report))
    assert page.values("a", "href") == [REPORT_URL]
    assert not [tag for tag, _ in page.tags if tag in {"img", "script"}]
    assert page.words.count(EVIL) == 3, "as it is written"


def test_long_and_empty_answers():
    long = "word " * 1_000
    report = report_of(side_by_side=(asked(0, candidate=long, base="  \n"),))
    page = page_of(evidence(report))
    assert "base : (nothing)" in page.words
    assert page.words.count("word") == MOST_CHARACTERS // 5
    assert "word …" in page.words


def test_a_report_of_no_run_has_no_link():
    assert page_of(evidence(report_of(mlflow_run=""))).values("a", "href") == []
