"""Evaluation's answers are serving's: the same chain, the same words, kept one by one."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.twin import twins
from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.evaluation.held_out import HeldOut
from twin.evaluation.served_answers import (
    Completion,
    Contestant,
    Question,
    answers_of,
    questions_of,
)
from twin.evaluation.site import PATIENCE_SECONDS, open_site, runnable, slots_of
from twin.models.embedder import load_embedder
from twin.models.engines.open_engine import EngineSite, open_engine
from twin.rag.chain import Lineage, load_chain
from twin.rag.prompt import build_messages
from twin.rag.query import Query
from twin.recipes import Recipe, ServingSection
from twin.settings import Settings
from twin.stores.chosen_decoding import TAG, ChosenDecoding, decoding_of
from twin.stores.files import open_files
from twin.stores.kept_answers import KeptAnswers

ASKED = ("What does every job run in?", "What is a revision?", "When is the alias moved back?")
LINEAGE = Lineage("twin-tiny", "1")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """Settings and recipe of a twin with an index, and the folder of its weights."""
    home = tmp_path_factory.mktemp("served")
    settings = Settings(home=home / "home", recipes=home / "recipes", threads=1)
    recipe = twins.write_recipe(settings.recipes, max_prompt_tokens=1_000)
    twins.index_texts(recipe, settings)
    twins.publish_weights(settings, home / "weights")
    return settings, recipe, home / "weights"


@pytest.fixture
def files(tmp_path):
    return open_files(Settings(home=tmp_path))


def site_of(twin, files, recipe=None):
    settings, whole, _ = twin
    embedder = load_embedder(whole.features.embedder, settings)
    return open_site(recipe or whole, settings, KeptAnswers(files), lambda: embedder)


def contestant(twin, digest="a"):
    return Contestant(digest, lambda: twin[2], LINEAGE)


def gone():
    raise AssertionError("the model was loaded")


def question(asked=ASKED[0], *, from_memory=False, **query):
    return Question(Query(question=asked, **query), from_memory, "document", "s1")


def many():
    return [question(f"{asked} {number}", seed=13) for number in range(60) for asked in ASKED]


def changed(recipe, section, **fields):
    made = getattr(recipe, section).model_copy(update=fields)
    return recipe.model_copy(update={section: made})


def served(twin, recipe, queries):
    """What serving answers: the chain over the recipe's engine, as a version's replica has it."""
    settings, _, weights = twin

    async def answers():
        engine = open_engine(weights, recipe.serving, EngineSite(1, settings.home / "engines"))
        chain = load_chain(recipe, engine, weights, settings, LINEAGE)
        try:
            return [await chain.answer(query) for query in queries]
        finally:
            chain.close()
            await engine.close()

    return asyncio.run(answers())


@pytest.mark.parametrize(
    "engine", ["transformers", pytest.param("llama.cpp", marks=pytest.mark.nightly)]
)
def test_an_evaluation_answers_as_the_endpoint_does(twin, files, engine):
    """llama.cpp too. Buys: its slots; the path to an engine is the same for both."""
    recipe = changed(twin[1], "serving", engine=engine, answers_at_once=2)
    tasks = [question(asked, seed=13) for asked in ASKED]
    site = site_of(twin, files, recipe)
    mine = answers_of(contestant(twin), tasks, site, lambda _: None)
    theirs = served(twin, recipe, [task.query for task in tasks])
    assert [each.text for each in mine] == [each.answer for each in theirs]
    assert [each.sources for each in mine] == [each.sources for each in theirs]
    counts = [(each.prompt_tokens, each.answer_tokens) for each in mine]
    assert counts == [(each.prompt_tokens, each.completion_tokens) for each in theirs]
    assert [each.finish_reason for each in mine] == [each.finish_reason for each in theirs]
    assert len({each.text for each in mine}) == len(ASKED)
    assert all(0 < each.first_word_seconds <= each.seconds for each in mine)
    assert {each.together for each in mine} == {slots_of(recipe.serving)}
    assert site.engine == {"llama.cpp": "llama.cpp q8_0"}.get(engine, engine)


def test_the_threshold_of_serving_refuses_here_too(twin, files):
    recipe = changed(twin[1], "retrieval", min_score=0.99)
    (answer,) = answers_of(contestant(twin), [question()], site_of(twin, files, recipe), print)
    assert answer.text == recipe.retrieval.dont_know
    assert (answer.sources, answer.answer_tokens) == ((), 0)


def test_from_memory_nothing_is_shown_and_nothing_refused(twin, files):
    recipe = changed(twin[1], "retrieval", min_score=0.99)
    site = site_of(twin, files, recipe)
    memory, shown = answers_of(
        contestant(twin), [question(from_memory=True), question()], site, lambda _: None
    )
    assert memory.sources == ()
    assert memory.text not in ("", shown.text)
    assert memory.about == ("document",)


def test_an_answer_is_kept_with_the_documents_it_was_written_from(twin, files):
    (answer,) = answers_of(contestant(twin), [question()], site_of(twin, files), lambda _: None)
    assert set(answer.about) == {"document", *(each.document_id for each in answer.sources)}
    assert len(answer.sources) == twin[1].serving.passages == 2


def test_what_is_kept_is_not_written_again(twin, files):
    site, told = site_of(twin, files), []
    tasks = [question(asked) for asked in (*ASKED, ASKED[0])]
    first = answers_of(contestant(twin), tasks, site, told.append)
    assert sum(told) == len(tasks)
    assert site.kept.written == len(ASKED)
    unable = replace(contestant(twin), weights=gone)
    assert answers_of(unable, tasks, site_of(twin, files), lambda _: None) == first


def test_a_version_is_measured_by_the_decoding_that_it_is_served_by(twin, files):
    recipe = twin[1]
    chosen = ChosenDecoding(
        settings={"temperature": 0.5, "top_k": 3}, instead_of=decoding_of(recipe.serving)
    )
    tagged = replace(contestant(twin), tags={TAG: chosen.model_dump_json()})
    site = site_of(twin, files).of_version("1", tagged.tags)
    assert (site.recipe.serving.temperature, site.recipe.serving.top_k) == (0.5, 3)
    assert site.recipe.serving.answer_timeout_seconds == PATIENCE_SECONDS
    answers_of(contestant(twin), [question()], site_of(twin, files), lambda _: None)
    with pytest.raises(AssertionError, match="the model was loaded"):
        answers_of(replace(tagged, weights=gone), [question()], site_of(twin, files), print)


def test_a_killed_evaluation_goes_on_where_it_was(twin, files):
    """What was kept before the kill stays; only the rest is written."""
    tasks = [question(asked) for asked in ASKED]
    answers_of(contestant(twin), tasks[:2], site_of(twin, files), lambda _: None)
    site, told = site_of(twin, files), []
    answers_of(contestant(twin), tasks, site, told.append)
    assert told == [2, 1]
    assert site.kept.written == 1


@pytest.mark.nightly
def test_a_process_that_is_killed_loses_no_answer_that_was_there(twin, files, tmp_path, root):
    """A process, killed. Buys: that answers are whole files from the moment they are there."""
    settings, _, weights = twin
    script = f"""
import sys
from pathlib import Path
from tests.twin.evaluation.test_served_answers import contestant, many, site_of
from twin.recipes import load_recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.evaluation.served_answers import answers_of
home, recipes = Path({str(settings.home)!r}), Path({str(settings.recipes)!r})
settings = Settings(home=home, recipes=recipes, threads=1)
twin = (settings, load_recipe("tiny", settings.recipes), Path({str(weights)!r}))
site = site_of(twin, open_files(Settings(home=Path({str(tmp_path)!r}))))
answers_of(contestant(twin), many(), site, lambda _: None)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    kept = tmp_path / "files" / "evaluation" / "answers"
    until = time.monotonic() + 120
    while time.monotonic() < until and len(list(kept.glob("*.json"))) < 3:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.read_text() for path in Path(kept).glob("*.json")}
    assert 3 <= len(before) < len(many())
    site = site_of(twin, files)
    made = answers_of(contestant(twin), many(), site, lambda _: None)
    assert site.kept.written == len(many()) - len(before)
    assert {name: (kept / name).read_text() for name in before} == before
    assert len(made) == len(many())


@pytest.mark.parametrize(
    "other",
    [
        lambda who, task, recipe: (replace(who, digest="b"), task, recipe),
        lambda who, task, recipe: (who, question("Another?"), recipe),
        lambda who, task, recipe: (who, question(from_memory=True), recipe),
        lambda who, task, recipe: (who, question(seed=2), recipe),
        lambda who, task, recipe: (who, question(max_new_tokens=3), recipe),
        lambda who, task, recipe: (
            who, question(history=(Turn(role="user", content="Hi"),)), recipe,
        ),
        lambda who, task, recipe: (who, task, changed(recipe, "serving", temperature=0.5)),
        lambda who, task, recipe: (who, task, changed(recipe, "serving", passages=1)),
        lambda who, task, recipe: (who, task, changed(recipe, "serving", max_context_tokens=9)),
        lambda who, task, recipe: (who, task, changed(recipe, "serving", repetition_penalty=1.2)),
        lambda who, task, recipe: (who, task, changed(recipe, "serving", engine="llama.cpp")),
        lambda who, task, recipe: (who, task, changed(recipe, "retrieval", min_score=0.5)),
        lambda who, task, recipe: (who, task, changed(recipe, "retrieval", dont_know="No idea.")),
        lambda who, task, recipe: (who, task, changed(recipe, "author", name="Bea")),
    ],
)  # fmt: skip
def test_whatever_decides_an_answer_asks_anew(twin, files, other):
    who, task, recipe = replace(contestant(twin), weights=gone), question(), twin[1]
    made = answers_of(contestant(twin), [task], site_of(twin, files), lambda _: None)
    assert answers_of(who, [task], site_of(twin, files), lambda _: None) == made
    who, task, recipe = other(who, task, recipe)
    with pytest.raises(AssertionError, match="the model was loaded"):
        answers_of(who, [task], site_of(twin, files, recipe), lambda _: None)


def test_what_only_a_rollout_looks_at_asks_nothing_anew(twin, files):
    made = answers_of(contestant(twin), [question()], site_of(twin, files), lambda _: None)
    recipe = changed(twin[1], "serving", replicas=3, traffic_steps=(100,), notice="Hello")
    unable = replace(contestant(twin), weights=gone)
    assert answers_of(unable, [question()], site_of(twin, files, recipe), lambda _: None) == made


def test_another_index_asks_anew_what_shows_passages_alone(twin, files, tmp_path):
    tasks = [question(from_memory=True), question()]
    answers_of(contestant(twin), tasks, site_of(twin, files), lambda _: None)
    settings, recipe, weights = twin
    elsewhere = settings.model_copy(update={"home": tmp_path / "other"})
    elsewhere.models_root.parent.mkdir(parents=True)
    elsewhere.models_root.symlink_to(settings.models_root)
    twins.index_texts(recipe, elsewhere, {"pods": "A pod is another thing here."})
    site = site_of((elsewhere, recipe, weights), files)
    answers_of(contestant(twin), tasks, site, lambda _: None)
    assert site.kept.written == 1


def test_a_busy_machine_cuts_no_answer_short(twin, files):
    recipe = changed(twin[1], "serving", answer_timeout_seconds=1, max_wait_seconds=1)
    serving = site_of(twin, files, recipe).recipe.serving
    assert serving.answer_timeout_seconds == serving.max_wait_seconds == PATIENCE_SECONDS
    assert serving.shaping == twin[1].serving.shaping


def test_a_question_that_serving_refuses_is_named(twin, files):
    with pytest.raises(BadDataError, match="test sample s1 can't be answered: the question has"):
        long = question("Why? " * 1_500)
        answers_of(contestant(twin), [long], site_of(twin, files), lambda _: None)


def test_a_completion_goes_on_with_what_is_given(twin, files):
    text = twins.TEXTS["pods"]
    messages = tuple(build_messages("Ann", "Write on pods.", ()))
    short, long, whole = answers_of(
        contestant(twin),
        [
            Completion(messages, text, 4, 6, "pods"),
            Completion(messages, text, 5, 6, "pods"),
            Completion(messages, text, None, 6, "pods"),
        ],
        site_of(twin, files),
        lambda _: None,
    )
    assert long.prompt_tokens == short.prompt_tokens + 1
    assert short.answer_tokens == 6
    assert short.expected in text
    assert not text.startswith(short.expected)
    assert long.expected != short.expected
    assert whole.expected == ""
    assert short.about == ("pods",)


def test_samples_become_questions_as_a_caller_asks_them():
    def sample(number, context):
        return InstructSample(
            id=f"s{number}", split=Split.TEST, instruction=f"Question {number}?", context=context,
            answer="A.", document_id=f"d{number}", revision="r", chunk_id="c", title="T", url="u",
            history=(Turn(role="user", content="Before?"), Turn(role="assistant", content="Yes.")),
        )  # fmt: skip

    samples = (sample(1, ()), sample(2, ("A passage.",)))
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "author": {"id": "ann", "name": "Ann"},
            "sources": [{"kind": "folder", "name": "texts", "path": "texts"}],
            "evaluation": {"max_new_tokens": 7, "seed": 5},
        }
    )
    memory, shown = questions_of(HeldOut(samples, ([], []), ("a", "b")), recipe)
    assert (memory.from_memory, shown.from_memory) == (True, False)
    assert (memory.about, memory.sample, shown.about) == ("d1", "s1", "d2")
    query = memory.query
    assert (query.question, query.history) == ("Question 1?", samples[0].history)
    assert (query.max_new_tokens, query.seed, query.temperature) == (7, 5, None)


def test_an_engine_that_does_not_run_here_is_replaced_and_that_is_said():
    same, note = runnable(ServingSection(engine="llama.cpp"))
    assert (same.engine, note) == ("llama.cpp", "")
    assert runnable(ServingSection(engine="transformers"))[1] == ""
    remote = {"base_url": "http://localhost/v1", "model": "m"}
    for serving, reason in (
        (ServingSection(gpus_per_replica=1), "vLLM does not run"),
        (ServingSection(engine="remote", remote=remote), "does not run the candidate's weights"),
    ):
        other, note = runnable(serving)
        assert other.engine_kind == "transformers"
        assert reason in note
        assert other.temperature == serving.temperature
