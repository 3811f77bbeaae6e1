"""Answers given again: to whom, from which passages, and until when."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.twin import twins
from tests.twin.answers import answer, passage
from twin.domain.conversation import Turn
from twin.models.language_model import SamplingParams
from twin.rag.answer_cache import AnswerCache, given_again
from twin.rag.prompt_writer import Prompt
from twin.rag.query import Query, TextsFilter
from twin.recipes.serving import CacheSection
from twin.settings import Settings

#: Unit vectors by question: "near" has a cosine of 0.95 to "asked", "far" one of 0.5.
VECTORS = {
    "asked": [1.0, 0.0],
    "near": [0.95, (1 - 0.95**2) ** 0.5],
    "far": [0.5, (1 - 0.5**2) ** 0.5],
}


class Words:
    """An embedder of three questions."""

    def encode_questions(self, texts):
        return [VECTORS[text] for text in texts]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Case:
    clock: Clock = field(default_factory=Clock)

    def cache(self, **more) -> AnswerCache:
        return AnswerCache(CacheSection(min_similarity=0.9, **more), Words(), self.clock)


def prompt(*passages, answerable=True, **params) -> Prompt:
    found = passages or (passage("pods"),)
    return Prompt([], (), found, SamplingParams(max_new_tokens=9, **params), answerable)


def asked(text="asked", **more) -> Query:
    return Query(question=text, **more)


def kept(cache: AnswerCache, query: Query, shown: Prompt, identity="first", **more) -> None:
    lookup = cache.look(query, shown)
    assert lookup.answer is None
    cache.keep(lookup, answer(identity, **more))


def test_a_question_that_asks_the_same_gets_the_same_answer():
    cache = Case().cache()
    kept(cache, asked(), prompt())
    assert cache.look(asked("near"), prompt()).answer.id == "first"
    assert cache.look(asked("far"), prompt()).answer is None
    again = given_again(cache.look(asked("near"), prompt()).answer, asked("near"), "tr-2")
    assert (again.question, again.trace_id, again.again) == ("near", "tr-2", "first")
    assert again.id != "first"
    assert again.prompt_tokens == again.completion_tokens == 0
    assert given_again(again, asked(), "tr-3").again == "first"


def test_the_limit_itself_is_near_enough():
    cache = AnswerCache(CacheSection(min_similarity=0.95), Words())
    kept(cache, asked(), prompt())
    assert cache.look(asked("near"), prompt()).answer is not None
    strict = AnswerCache(CacheSection(min_similarity=0.9501), Words())
    kept(strict, asked(), prompt())
    assert strict.look(asked("near"), prompt()).answer is None


def test_the_nearest_of_several_is_given():
    cache = Case().cache()
    kept(cache, asked("far"), prompt(), "other")
    kept(cache, asked(), prompt(), "first")
    assert cache.look(asked("near"), prompt()).answer.id == "first"


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (asked(system="Rhyme."), prompt()),
        (asked(passages=2), prompt()),
        (asked(filter=TextsFilter(languages=("en",))), prompt()),
        (asked(rerank=False), prompt()),
        (asked(seed=7), prompt(seed=7)),
        (asked(stop=("x",)), prompt(stop=("x",))),
        (asked(temperature=1.0), prompt(temperature=1.0)),
        (asked(), prompt(temperature=1.0)),
        (asked(), prompt(passage("pods"), passage("whales"))),
        (asked(), prompt(passage("pods", revision="r2"))),
        (asked(), prompt(passage("pods", joined=("pods-1",)))),
        (asked(), prompt(passage("whales"))),
    ],
)
def test_what_was_asked_for_or_found_otherwise_is_answered_afresh(query, shown):
    cache = Case().cache()
    kept(cache, asked(), prompt())
    assert cache.look(query, shown).answer is None


def test_passages_in_another_order_are_the_same_and_so_is_a_stream():
    cache = Case().cache()
    pods, whales = passage("pods"), passage("whales", score=0.1)
    kept(cache, asked(), prompt(pods, whales))
    assert cache.look(asked(sources_first=True), prompt(whales, pods)).answer is not None


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (asked(history=(Turn(role="user", content="a"), Turn(role="assistant", content="b"))),
         prompt()),
        (asked(json_schema="{}"), prompt()),
        (asked(), prompt(answerable=False)),
        (asked(), Prompt([], (), (), SamplingParams(max_new_tokens=9))),
    ],
)  # fmt: skip
def test_some_questions_are_not_even_looked_up(query, shown):
    assert Case().cache().look(query, shown) is None


@pytest.mark.parametrize(
    "more", [{"refused": True}, {"finish_reason": "length"}, {"grounded": False}]
)
def test_some_answers_are_not_given_again(more):
    cache = Case().cache()
    lookup = cache.look(asked(), prompt())
    cache.keep(lookup, answer("first").model_copy(update=more))
    assert len(cache) == 0


def test_an_answer_is_over_after_its_time():
    case = Case()
    cache = case.cache(seconds=10)
    kept(cache, asked(), prompt())
    case.clock.now = 9.9
    assert cache.look(asked(), prompt()).answer is not None
    case.clock.now = 10
    assert cache.look(asked(), prompt()).answer is None
    assert len(cache) == 0


def test_the_least_used_go_first():
    cache = Case().cache(max_answers=2)
    shown = [prompt(passage(name)) for name in ("a", "b", "c")]
    kept(cache, asked(), shown[0], "a")
    kept(cache, asked(), shown[1], "b")
    assert cache.look(asked(), shown[0]).answer.id == "a"
    kept(cache, asked(), shown[2], "c")
    assert len(cache) == 2
    assert cache.look(asked(), shown[1]).answer is None
    assert cache.look(asked(), shown[0]).answer.id == "a"
    kept(cache, asked("far"), shown[0], "a2")
    assert len(cache) == 2
    assert cache.look(asked(), shown[2]).answer is None


# ------------------------------------------------------------------------------------- real chain


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A chain with a cache, and what changes its index."""
    home = tmp_path_factory.mktemp("cached")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes, max_new_tokens=24, cache={"min_similarity": 0.9})
    twins.index_texts(recipe, settings)
    twins.publish_weights(settings, home / "weights")
    chain = twins.open_chain(recipe, home / "weights", settings, at_once=2, caches=True)
    yield chain, recipe, settings
    chain.close()


def test_the_chain_gives_an_answer_again_until_its_document_is_forgotten(loaded):
    from twin.stores.index import open_index

    chain, recipe, settings = loaded
    question = "Why is every job a pod?"

    async def story():
        stopped = chain.cache
        first = await chain.answer(Query(question=question))
        # The tiny model seldom ends by itself: what it has written is taken for whole.
        if not len(stopped):
            shown = await chain.prepare(Query(question=question))
            stopped.keep(stopped.look(Query(question=question), shown),
                         first.model_copy(update={"finish_reason": "stop"}))  # fmt: skip
        again = await chain.answer(Query(question=question.replace("?", " ?")))
        assert (again.again, again.answer) == (first.id, first.answer)
        assert again.sources == first.sources
        assert again.completion_tokens == 0
        parts = [part async for part in chain.stream(Query(question=question, sources_first=True))]
        assert parts[0].sources == first.sources
        assert parts[1].text == first.answer
        assert parts[-1].answer.again == first.id
        gone = {source.document_id for source in first.sources}
        open_index(settings, recipe).forget(gone)
        later = await chain.answer(Query(question=question))
        assert later.again is None
        assert not gone & {source.document_id for source in later.sources}

    asyncio.run(story())


def test_where_answers_are_measured_none_is_given_again(loaded, tmp_path):
    _, recipe, settings = loaded
    chain = twins.open_chain(recipe, settings.home.parent / "weights", settings, at_once=1)
    assert chain.cache is None
    chain.close()
