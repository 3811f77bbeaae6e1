"""`twin datasets make` with a teacher: a real HTTP server that writes by rule, or fails."""

import json
from collections import Counter

import pytest

from tests import tiny_model
from tests.openai_server import openai_server, says
from tests.teacher_server import ANSWER_TOKENS, PROMPT_TOKENS, Teacher, data_of, good
from tests.twin import corpora
from tests.twin.converted import share_converted
from twin.datasets.make import make_samples
from twin.datasets.read_version import read_rejected, read_samples
from twin.datasets.teacher import TRIED
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.domain.sample import Maker, Split, TeacherKind
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.kept_replies import KeptReplies
from twin.stores.sample_sets import SampleSets, replies_of

KINDS = {"instruction": 1.0, "question": 1.0, "rewrite": 1.0}


class World:
    """A recipe with a teacher over an index with the real embedder."""

    def __init__(self, settings, recipes):
        self.settings = settings.model_copy(update={"recipes": recipes})
        self.files = open_files(self.settings)
        self.sets = SampleSets(self.files, "ann")

    def make(self, url, judge=None, gates=None, **teacher):
        section = {"kinds": KINDS, **teacher}
        if "local" not in section:
            section["endpoint"] = {
                "base_url": url, "model": "a-teacher", "retries": 1, "concurrency": 4,
                "timeout_seconds": 1,
            }  # fmt: skip
        sections = {"judge": {"base_url": judge, "model": "a-judge"}} if judge else {}
        datasets = {**corpora.SMALL, "teacher": section, "gates": {"relevance": 0, **(gates or {})}}
        recipe = corpora.write_recipe(self.settings.recipes, "none", datasets=datasets, **sections)
        result = JobResult(job="datasets make", recipe="ann", run_id="r1")
        make_samples(Job(recipe, self.settings, "r1", result))
        return result

    def samples(self, split=Split.TRAIN):
        return self.sets.instruct(self.sets.latest().version, split)

    def kept(self):
        return KeptReplies(self.files, replies_of("ann", "teacher"))


@pytest.fixture(scope="module")
def index_home(tmp_path_factory):
    """Settings of a home with the index of eight articles; files are each test's own."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(
        home=home, recipes=home / "recipes", mlflow_tracking_uri="http://127.0.0.1:1"
    )
    share_converted(settings)
    publish(settings, corpora.corpus(8, 3))
    return settings


def publish(settings, chunks):
    recipe = corpora.write_recipe(settings.recipes, "none")
    embedder = load_embedder(recipe.features.embedder, settings)
    by_document: dict[str, list] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document_id, []).append(chunk)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        writer.upsert([
            IndexedDocument(id_, own[0].revision, own, embedder.encode([c.text for c in own]))
            for id_, own in by_document.items()
        ])  # fmt: skip
        writer.publish()


@pytest.fixture
def world(index_home, tmp_path):
    files = index_home.model_copy(update={"files_uri": str(tmp_path / "files")})
    return World(files, tmp_path / "recipes")


def counted(outcomes):
    """Outcomes of all kinds together."""
    counts: Counter[str] = Counter()
    for name, count in outcomes.items():
        counts[name.partition(": ")[2]] += count
    return counts


def test_the_authors_words_stay_the_authors(world):
    teacher = Teacher()
    with openai_server(teacher.answer) as endpoint:
        result = world.make(endpoint.url)
        asked = len(endpoint.bodies)
        with pytest.raises(NothingToDo):
            world.make(endpoint.url)
        assert len(endpoint.bodies) == asked
    manifest = world.sets.latest()
    chunks = {chunk.id: chunk for chunk in corpora.corpus(8, 3)}
    taught = [each for each in world.samples() if each.maker is Maker.TEACHER]
    kinds = Counter(each.kind for each in taught)
    assert set(kinds) == set(TeacherKind)
    assert manifest.teacher.samples == kinds
    for sample in taught:
        passage = chunks[sample.chunk_id]
        assert (sample.document_id, sample.chunk_ids) == (passage.document_id, (passage.id,))
        assert (sample.answer in passage.text) or sample.kind == TeacherKind.QUESTION
        assert (sample.answer == passage.text) is (sample.kind != TeacherKind.QUESTION)
        if sample.kind == TeacherKind.REWRITE:
            assert "indeed" in sample.instruction
            assert not sample.context
        if sample.kind == TeacherKind.QUESTION:
            assert any(passage.text in shown for shown in sample.context)
        for shown in sample.context:
            [home] = {c.document_id for c in chunks.values() if c.text in shown}
            assert manifest.documents[home] is Split.TRAIN
    for split in (Split.TEST, Split.VALIDATION):
        assert not [each for each in world.samples(split) if each.maker is Maker.TEACHER]
    trained = {
        chunk.text
        for chunk in chunks.values()
        if manifest.documents.get(chunk.document_id) is Split.TRAIN
    }
    assert {data_of(body)["passage"] for body in endpoint.bodies} <= trained
    assert (
        sum(manifest.teacher.outcomes.values())
        == asked
        == 3 * len({data_of(body)["passage"] for body in endpoint.bodies})
    )
    assert manifest.teacher.tokens == asked * (PROMPT_TOKENS + ANSWER_TOKENS)
    assert not manifest.teacher.budget_ended
    assert result.detail["teacher"] == manifest.teacher.model_dump()
    assert len({each.id for each in world.samples()}) == len(world.samples())


def test_the_card_says_who_wrote_what(world):
    def writes(task, data):
        reply = good(task, data)
        if task == "pairs":
            reply["pairs"].append({"question": "What does the passage say?", "answer": "Much."})
        return reply

    prices = {"prompt": 1.0, "answer": 10.0}
    with openai_server(Teacher(writes).answer) as endpoint:
        result = world.make(endpoint.url, prices=prices)
    manifest = world.sets.latest()
    folder = world.sets.folder(manifest.version)
    card = world.files.read_text(f"{folder}/README.md")
    page = world.files.read_text(f"{folder}/card.html")
    teacher, asked = manifest.teacher, len(endpoint.bodies)
    assert teacher.money == pytest.approx(asked * (100 * 1.0 + 50 * 10.0) / 1e6)
    assert (
        f"The model a-teacher wrote the instruction of {teacher.samples['instruction']}, " in card
    )
    assert "No other model" not in card
    assert f"- question: answered: {teacher.outcomes['question: answered']}" in card
    assert f"{teacher.tokens:,} tokens, {teacher.money:g} by the recipe's prices" in card
    reason = "speaks of the passage that the reader does not see"
    assert f"- {reason}: {manifest.rejected[reason]}" in card
    assert "<h2>Teacher</h2>" in page and reason in page
    assert "a budget" not in card.lower()
    rejected = world.sets.rejected(manifest.version)
    assert Counter(row["reason"] for row in rejected) == manifest.rejected
    assert result.detail["rejected"] == manifest.rejected
    [row] = [row for row in rejected if row["reason"] == reason][:1]
    assert (row["instruction"], row["answer"]) == ("What does the passage say?", "Much.")
    assert row["maker"] == "teacher" and row["document_id"]
    shown = read_rejected_free(world)
    assert "What does the passage say?" not in shown


def read_rejected_free(world):
    return "\n".join(
        f"{each.instruction}\n{each.answer}" for split in Split for each in world.samples(split)
    )


def test_every_task_of_a_faulty_teacher_is_accounted_for(world):
    faults = {"429": 0.1, "500": 0.1, "cut": 0.1, "no choices": 0.05, "hangs up": 0.05,
              "junk": 0.2, "excuse": 0.1}  # fmt: skip
    teacher = Teacher(faults=faults)
    with openai_server(teacher.answer) as endpoint:
        world.make(endpoint.url)
    manifest = world.sets.latest()
    counts = counted(manifest.teacher.outcomes)
    assert set(counts) >= {"answered", "a reply that cannot be read"}
    assert set(counts) <= {
        "answered", "a reply that cannot be read", "refused by the teacher", "no answer"
    }  # fmt: skip
    passages = {data_of(body)["passage"] for body in endpoint.bodies}
    assert sum(counts.values()) == 3 * len(passages)
    assert max(teacher.answered.values()) == 1, "no answer is paid for twice"
    spent = sum(reply.prompt_tokens + reply.answer_tokens for reply in world.kept())
    lost = sum(reply.begun * (reply.prompt_bound + reply.answer_bound) for reply in world.kept())
    assert manifest.teacher.tokens == spent + lost
    card = world.files.read_text(f"{world.sets.folder(manifest.version)}/README.md")
    for outcome, count in manifest.teacher.outcomes.items():
        assert f"- {outcome}: {count}" in card


def test_a_teacher_that_always_refuses_is_asked_a_few_times_and_nothing_is_published(world):
    with (
        openai_server(says(["I\u2019m sorry, I can\u2019t help with that."])) as endpoint,
        pytest.raises(BadDataError) as caught,
    ):
        world.make(endpoint.url)
    told = str(caught.value)
    assert "the teacher a-teacher brought no sample (" in told
    assert "instruction: refused by the teacher: 7" in told, told
    assert len(endpoint.bodies) == 2 * TRIED
    assert world.sets.find_latest() is None
    assert world.sets.versions() == []


def test_a_teacher_of_another_language_brings_nothing(world):
    german = "Was schreibst du über den Wärter des Leuchtturms, der die Lampe jeden Abend anzündet?"

    def writes(task, data):
        return {"instructions": [f"{german} {n}" for n in range(3)]}

    with (
        openai_server(Teacher(writes).answer) as endpoint,
        pytest.raises(BadDataError, match="in another language than the passage: "),
    ):
        world.make(endpoint.url, kinds={"question": 0.0, "rewrite": 0.0})
    assert world.sets.find_latest() is None


def test_the_budget_ends_the_teaching_and_says_so(world):
    budget = {"tokens": 5_000}
    with openai_server(Teacher().answer) as endpoint:
        world.make(endpoint.url, budget=budget, max_tokens=500)
    manifest = world.sets.latest()
    counts = counted(manifest.teacher.outcomes)
    assert counts["answered"] == len(endpoint.bodies) > TRIED
    assert counts["not asked: the budget is spent"] > 0
    assert manifest.teacher.budget_ended
    assert 3_500 < manifest.teacher.tokens <= 5_000
    card = world.files.read_text(f"{world.sets.folder(manifest.version)}/README.md")
    assert "The budget ended before all was asked." in card
    with openai_server(Teacher().answer) as endpoint:
        world.make(endpoint.url, max_tokens=500)
    assert world.sets.latest().version != manifest.version
    again = counted(world.sets.latest().teacher.outcomes)
    assert again["answered"] == counts.total()
    assert len(endpoint.bodies) == counts.total() - counts["answered"], "what is known is free"


def test_a_budget_for_nothing_is_refused(world):
    with (
        openai_server(Teacher().answer) as endpoint,
        pytest.raises(
            BadDataError, match=r"not asked: the budget is spent: .*raise datasets.teach"
        ),
    ):
        world.make(endpoint.url, budget={"tokens": 100})
    assert endpoint.bodies == []


def test_a_teacher_that_is_loaded_here_is_bound_by_no_schema(world, tmp_path):
    folder = tiny_model.build(tmp_path / "tiny")
    with pytest.raises(BadDataError, match=r"brought no sample \(.*cannot be read"):
        world.make("", local=str(folder), max_tokens=4, kinds={"instruction": 0.3, "question": 0})


def test_the_judges_marks_leave_out_what_is_poor(world):
    def marks(handler):
        answer = json.loads(handler.body["messages"][-1]["content"])["answer"]
        low = 2 if "pod" in answer.casefold() else 3
        says([json.dumps({"reason": "So.", "relevance": 5, "quality": low})])(handler)

    with openai_server(Teacher().answer) as endpoint, openai_server(marks) as judge:
        world.make(endpoint.url, judge=judge.url, gates={"quality": 3})
    manifest = world.sets.latest()
    samples = [each for split in Split for each in world.samples(split)]
    assert samples
    assert not [each for each in samples if "pod" in each.answer.casefold()]
    poor = [row for row in world.sets.rejected(manifest.version) if "judge" in row["reason"]]
    assert manifest.rejected["the judge's marks are too low"] == len(poor) > 0
    assert {row["detail"] for row in poor} == {"relevance 5, quality 2: So."}
    assert {row["maker"] for row in poor} == {"passage", "teacher"}


def test_samples_of_a_teacher_can_be_shown_and_those_left_out(world, monkeypatch):
    def writes(task, data):
        reply = good(task, data)
        if task == "instructions":
            reply["instructions"][0] = "What does the passage say?"
        return reply

    with openai_server(Teacher(writes).answer) as endpoint:
        world.make(endpoint.url)
    monkeypatch.setattr("twin.datasets.read_version.get_settings", lambda: world.settings)
    shown = read_samples("ann", "latest", tuple(Split), "rewrite", None, 0, 1)
    assert "teacher, rewrite" in shown[0]
    first, second = read_rejected("ann", "latest", "THE READER DOES NOT SEE", 1, 2)
    assert first.startswith("speaks of the passage that the reader does not see\n\n## What does ")
    assert second != first
    with pytest.raises(BadDataError, match="no such sample was left out"):
        read_rejected("ann", "latest", "the moon", 0, 2)
