"""The report as a page: what it says, where intervals lie, and that texts stay texts."""

import base64
import re
from datetime import UTC, datetime

import pytest

from tests.html_page import Page
from tests.twin.evaluation import planted
from twin.evaluation.bars import gain_bar, rate_bar, share_bar, value_bars
from twin.evaluation.contamination import Proof, TrainingSet
from twin.evaluation.figures_text import number
from twin.evaluation.gate import BASE, CHAMPION
from twin.evaluation.report import (
    Decision,
    DocumentGroup,
    EvaluationReport,
    Figure,
    Retrieval,
    SideBySide,
    TitledDocument,
)
from twin.evaluation.report_page import render_report
from twin.evaluation.resampling import Estimate

EVIL = '</div><script src="https://evil.example/x.js">alert("1")</script>{{ report }}'
PODS = DocumentGroup(documents=(TitledDocument(document="d-pods", title="On pods"),), samples=4)
PNG = b"\x89PNG\r\n\x1a\n"


def report_of(kind=EvaluationReport, **fields) -> EvaluationReport:
    """What a gate makes of a candidate that is planted to be better."""
    test_set = planted.TestSet(10, 1)
    candidate, champion = test_set.version(-0.08), test_set.version(0.0)
    judged = test_set.judge(candidate, champion, None, 1)
    gains = {
        role: test_set.gains(candidate, other)
        for role, other in ((BASE, test_set.base), (CHAMPION, champion))
    }
    figure = Figure(
        name="perplexity",
        label="Perplexity",
        better="lower",
        values={"candidate": Estimate(value=20, low=18, high=22)},
        gains={role: each["perplexity"] for role, each in gains.items()},
    )
    shown = SideBySide(
        document="d-pods",
        instruction="What of pods?",
        title="On pods",
        url="https://example.org/pods",
        author="A pod states what it needs.",
        answers={"candidate": "Pods come and go.", "base": ""},
    )
    searched = TrainingSet(role="candidate", version="7", dataset_version="d1", documents=12)
    return kind(
        **{
            "created": datetime(2026, 11, 30, tzinfo=UTC),
            "model": "twin-handbook",
            "version": "7",
            "verdict": judged.verdict,
            "decision": Decision.AWAITING_APPROVAL,
            "promoted": False,
            "reasons": judged.reasons,
            "samples": 40,
            "documents": 10,
            "groups": (PODS,) * 10,
            "power": judged.power,
            "proof": Proof(sets=(searched,), documents=10, left_out={}),
            "new_documents": 1,
            "figures": (figure,),
            "retrieval": Retrieval(
                k=5, questions=40, recall=planted.ENOUGH, reciprocal_rank=planted.ENOUGH
            ),
            "checks": judged.checks,
            "side_by_side": (shown,),
            "lineage": {"champion": "6"},
            "mlflow_run": "http://127.0.0.1:5100/#/experiments/1/runs/2",
            **fields,
        }
    )


def test_it_says_what_was_decided_why_and_what_the_set_can_show():
    report = report_of(plots=("passages.png", "gains.png"))
    plots = {"passages.png": PNG, "gains.png": b"drawn as bars"}
    seen = Page(render_report(report, plots))
    assert "twin-handbook version 7 Waits for a person's approval" in seen.words
    assert report.reasons[0] in seen.words
    assert "none of the 10 test documents is in the training set of candidate 7" in seen.words
    assert "in perplexity" in seen.words
    assert "over the base Perplexity" in seen.words
    assert "over the champion Perplexity" in seen.words
    assert "20 [18, 22]" in seen.words
    assert "recall@5 0.900 [0.850, 0.950]" in seen.words
    assert "What of pods? from On pods author A pod states what it needs." in seen.words
    assert "candidate Pods come and go. base (nothing)" in seen.words
    assert all(check.text in seen.words for check in report.checks)
    assert seen.values("a", "href") == [report.mlflow_run, "https://example.org/pods"]
    (image,) = seen.values("img", "src")
    assert base64.b64decode(image.partition(",")[2]) == PNG


def test_texts_stay_texts_and_nothing_is_fetched():
    evil = SideBySide(
        document="d-pods",
        instruction=EVIL,
        title=EVIL,
        url="javascript:alert(1)",
        author=EVIL,
        answers={"candidate": EVIL, "base": EVIL},
    )
    report = report_of(
        side_by_side=(evil,),
        reasons=(EVIL,),
        lineage={EVIL: EVIL},
        groups=(DocumentGroup(documents=(TitledDocument(document="d", title=EVIL),), samples=1),),
        mlflow_run="javascript:alert(2)",
    )
    html = render_report(report, {})
    seen = Page(html)
    assert seen.text.count("{{ report }}") == html.count("{{ report }}") == 9
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object", "img"}
    assert not [attrs for _, attrs in seen.tags if any(name.startswith("on") for name in attrs)]
    assert seen.values("a", "href") == []
    (policy,) = re.findall(r'content="(default-src [^"]*)"', html)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class LaterReport(EvaluationReport):
    """A report of a time when more is measured."""

    tone_of_voice: dict[str, object]


def test_a_block_that_the_page_does_not_know_is_shown_as_it_is():
    auc = Estimate(value=0.97, low=0.9, high=1.0)
    block = {"auc": auc, "others": ["a", "b"], "points": [{"x": 1}] * 99, "note": EVIL}
    seen = Page(render_report(report_of(LaterReport, tone_of_voice=block), {}))
    assert (
        "Tone of voice auc 0.970 [0.900, 1.000] others a; b points 99, see report.json note"
        in seen.words
    )
    assert EVIL in seen.text


def test_a_gain_lies_on_its_own_scale_with_no_difference_in_the_middle():
    gained = gain_bar("x", Estimate(value=0.1, low=0.05, high=0.2), number, limit=-0.2)
    assert (gained.zero, gained.limit, gained.high) == (50, 4, 96)
    assert gained.low == pytest.approx(50 + 46 / 4)
    assert gained.tone == "good"
    assert gain_bar("x", Estimate(value=-0.1, low=-0.2, high=-0.05), number).tone == "bad"
    assert gain_bar("x", Estimate(value=0.1, low=-0.1, high=0.2), number).tone == "open"
    rate = rate_bar("x", Estimate(value=0.75, low=0.55, high=1.0), number)
    assert (rate.zero, rate.value, rate.high, rate.tone) == (50, 73, 96, "good")


def test_values_share_one_scale_and_what_has_no_ends_has_no_bar():
    endless = Estimate(value=2.0, low=float("-inf"), high=float("inf"), groups=1)
    odd = Estimate(value=float("nan"), low=float("nan"), high=float("nan"))
    first, second, third = value_bars(
        {"a": Estimate(value=1.0, low=0.0, high=4.0), "b": endless, "c": odd}, number
    )
    assert (first.low, first.high, second.value) == (4, 96, 50)
    assert (second.low, second.high, second.text) == (None, None, "2.000 [no interval]")
    assert (third.value, third.low) == (None, None)
    whole = share_bar("x", Estimate(value=0.5, low=0.0, high=1.0), number)
    assert (whole.low, whole.value, whole.high) == (4, 50, 96)
