"""Ragas' measures by a judge beside those that are counted, over a real HTTP endpoint."""

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.openai_server import openai_server, refuses, says
from tests.twin.evaluation.test_grounding import PODS, REFUSAL, ROLLBACK, TAR, sample
from tests.twin.evaluation.test_judging import job_of
from twin.domain.sample import WITHHELD
from twin.evaluation.held_out import hold_out
from twin.evaluation.judged_grounding import judge_grounding, rank_correlation
from twin.evaluation.measures import Yardstick
from twin.evaluation.report_sections import judged_section
from twin.evaluation.resampling import estimate
from twin.evaluation.style import author_style
from twin.evaluation.transcripts import Transcript
from twin.models.embedder import load_embedder
from twin.rag.support import SupportVerifier
from twin.recipes import FeaturesSection
from twin.settings import Settings
from twin.stores.files import open_files
from twin.text.personal_data import PersonalDataDetector

GROUNDED = 10


@pytest.fixture(scope="module")
def by(index_root):
    embedder = load_embedder(FeaturesSection().embedder, Settings(home=index_root.parent))
    return lambda held_out: Yardstick(
        held_out=held_out,
        style=author_style([PODS, ROLLBACK, TAR]),
        embedder=embedder,
        verifier=SupportVerifier(embedder),
        refusal=REFUSAL,
        trained="",
        detector=PersonalDataDetector(names=(), author_name="Ada"),
    )


@pytest.fixture
def held_out():
    """Ten questions with passages, one from memory, and one that must be refused."""
    samples = [
        *(sample(n, context=(ROLLBACK, PODS) if n % 2 else (PODS, TAR)) for n in range(GROUNDED)),
        sample(10, context=()),
        sample(11, kind=WITHHELD),
    ]
    groups = {each.document_id: each.document_id for each in samples}
    return hold_out(samples, groups, "Ada", max_samples=99, seed=1)


def answers(held_out, say):
    """What a model says to each sample, by its number."""
    said = tuple(say(int(each.id[1:])) for each in held_out.samples)
    return Transcript(answers=said, scored=((-1.0, 1),) * len(said))


def ragas(handler):
    """A judge that goes by words: what is a passage is supported, and PODS is useful."""
    asked = json.loads(handler.body["messages"][1]["content"])
    if set(asked) == {"answer"}:
        content = {"questions": ["What is a pod?"] * 3, "noncommittal": asked["answer"] == "Hm."}
    elif "useful" in handler.body["messages"][0]["content"]:
        content = {"useful": [text == PODS for text in asked["passages"]]}
    else:
        text = asked.get("answer") or asked["reference"]
        content = {"claims": [{"claim": text, "supported": text in asked["passages"]}]}
    says([json.dumps(content)])(handler)


def ask(settings, held_out, by, said, *served):
    with openai_server(*served) as endpoint:
        job = job_of(settings, endpoint.url)
        found = judge_grounding(job, held_out, said, by(held_out), open_files(settings))
    return found, endpoint.bodies


def test_both_kinds_stand_side_by_side_with_their_correlation(settings, held_out, by):
    """The candidate quotes a passage every second time, and else talks of tar; one refuses."""
    said = {
        "candidate": answers(
            held_out, lambda n: REFUSAL if n == 9 else PODS if n < 5 else ROLLBACK
        ),
        "base": answers(held_out, lambda n: TAR),
    }
    found, bodies = ask(settings, held_out, by, said, ragas)
    assert found.doubt == ""
    measures = {(each.name, each.role): each for each in found.measures}
    assert list(measures) == [
        ("context_precision", "passages"),
        ("context_recall", "passages"),
        ("faithfulness", "candidate"),
        ("answer_relevance", "candidate"),
        ("faithfulness", "base"),
        ("answer_relevance", "base"),
    ]
    precision = measures["context_precision", "passages"]
    assert precision.judged.value == precision.counted.value == pytest.approx(0.75)
    assert precision.agreement.value == pytest.approx(1.0)
    assert precision.judged.groups == GROUNDED
    recall = measures["context_recall", "passages"]
    assert recall.judged.value == recall.counted.value == 1.0
    assert math.isnan(recall.agreement.value), "where nothing varies nothing agrees"
    faithful = measures["faithfulness", "candidate"]
    assert (faithful.asked, faithful.unread) == (9, 0), "a refusal says nothing"
    # Five quote pods, which is shown each time; of the others two are shown the rollback.
    assert faithful.judged.value == pytest.approx(7 / 9)
    assert faithful.counted.value == pytest.approx(7 / 9)
    assert faithful.agreement.value == pytest.approx(1.0)
    relevance = measures["answer_relevance", "candidate"]
    assert relevance.judged.value == pytest.approx(1.0, abs=0.01)
    assert 0 < relevance.counted.value < 0.99
    assert len(bodies) == len({json.dumps(body["messages"]) for body in bodies})
    asked = [json.loads(body["messages"][1]["content"]) for body in bodies]
    assert all(REFUSAL not in str(each.values()) for each in asked)
    again, bodies = ask(settings, held_out, by, said, refuses(503))
    assert (again.flat(), bodies) == (found.flat(), [])
    assert found.flat()["candidate.judged_faithfulness"] == pytest.approx(7 / 9)
    lines = "\n".join(judged_section(found))
    assert "| faithfulness | candidate | 0.778 [" in lines
    assert "| 0 of 9 |" in lines


def test_evading_is_not_relevant(settings, held_out, by):
    said = {"candidate": answers(held_out, lambda n: "Hm.")}
    found, _ = ask(settings, held_out, by, said, ragas)
    relevance = next(each for each in found.measures if each.name == "answer_relevance")
    assert (relevance.judged.value, relevance.asked) == (0.0, GROUNDED)


def test_replies_that_cannot_be_read_are_counted_and_left_out(settings, held_out, by):
    def mostly(handler):
        asked = json.loads(handler.body["messages"][1]["content"])
        (says(["So so."]) if asked.get("answer") == TAR else ragas)(handler)

    said = {"candidate": answers(held_out, lambda n: TAR if n < 4 else PODS)}
    found, bodies = ask(settings, held_out, by, said, mostly)
    faithful = next(each for each in found.measures if each.name == "faithfulness")
    assert (faithful.asked, faithful.unread) == (GROUNDED, 4)
    assert faithful.judged.value == faithful.counted.value == 1.0
    assert faithful.judged.groups == 6
    assert found.doubt == ""
    tar = [
        body for body in bodies if "tar" in body["messages"][1]["content"].split('"passages"')[0]
    ]
    assert {body["temperature"] for body in tar} == {0, 0.7}


@pytest.mark.parametrize(
    ("served", "doubt"),
    [
        (refuses(503), "the judge told nothing: "),
        (refuses(401), "the judge told nothing: "),
        (says(["I like it."]), "gave no reply that can be read"),
    ],
    ids=["down", "refused", "junk"],
)
def test_a_judge_that_is_no_help_is_told_of(settings, held_out, by, served, doubt):
    said = {"candidate": answers(held_out, lambda n: PODS)}
    found, _ = ask(settings, held_out, by, said, served)
    assert doubt in found.doubt
    assert found.flat() == {}
    assert doubt in "\n".join(judged_section(found))


def test_without_a_judge_or_passages_nobody_is_asked(settings, held_out, by):
    said = {"candidate": answers(held_out, lambda n: PODS)}
    job = job_of(settings, "http://127.0.0.1:1")
    job.recipe = job.recipe.model_copy(update={"judge": None})
    assert judge_grounding(job, held_out, said, by(held_out), open_files(settings)) is None
    bare = [sample(1, context=()), sample(2, context=())]
    memory = hold_out(bare, {f"d{n}": f"d{n}" for n in (1, 2)}, "Ada", max_samples=9, seed=1)
    job = job_of(settings, "http://127.0.0.1:1")
    files = open_files(settings)
    assert judge_grounding(job, memory, {"candidate": said["candidate"]}, by(memory), files) is None


def test_the_rank_correlation_is_spearmans_of_what_counts():
    draw = np.random.default_rng(3)
    one, other = draw.normal(size=12).round(1), draw.normal(size=12).round(1)
    counted = np.arange(12) != 5
    found = estimate(rank_correlation(one, other, counted), [str(n) for n in range(12)])
    expected = spearmanr(one[counted], other[counted]).statistic
    assert found.value == pytest.approx(expected)
    assert -1 <= found.low < found.value < found.high <= 1
    assert found.groups == 11
