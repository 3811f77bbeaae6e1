"""The prompt within its budget, at the very limits."""

import asyncio

import pytest

from tests.twin import twins
from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat
from twin.rag.prompt_writer import CHARACTERS_PER_TOKEN, PROMPT_OVERHEAD_TOKENS
from twin.rag.query import Query, Turn
from twin.recipes.prompt import BUILT_IN_TEMPLATE, PromptSection
from twin.settings import Settings

MOST = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("writer")
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes, max_prompt_tokens=MOST)
    twins.index_texts(recipe, settings)
    twins.publish_weights(settings, home / "weights")
    return home


@pytest.fixture(scope="module")
def chat(home):
    return ChatFormat.load(home / "weights")


@pytest.fixture(scope="module")
def prepared(home):
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(settings.recipes, max_prompt_tokens=MOST)
    chain = twins.open_chain(recipe, home / "weights", settings)
    return lambda **query: asyncio.run(chain.prepare(Query(**query)))


def words(chat, tokens):
    """A text of so many tokens."""
    text = "pod"
    while chat.count_tokens(text) < tokens:
        text += " pod"
    assert chat.count_tokens(text) == tokens
    return text


def test_the_ids_are_the_whole_prompt(prepared, chat):
    prompt = prepared(question="Why pods?")
    assert list(prompt.ids) == chat.prompt_ids(prompt.messages)
    assert len(prompt.ids) <= MOST


@pytest.mark.parametrize("part", ["question", "system"])
def test_the_longest_text_is_read_and_one_token_more_is_refused(prepared, chat, part):
    other = {"question": "Why?"} if part == "system" else {}
    used = chat.count_tokens("\n\nWhy?") if other else 0
    room = MOST - PROMPT_OVERHEAD_TOKENS - used
    assert len(prepared(**{part: words(chat, room), **other}).ids) <= MOST
    with pytest.raises(BadDataError, match=rf"{MOST + 1} tokens .* at most {MOST} are read"):
        prepared(**{part: words(chat, room + 1), **other})


def test_a_longer_template_takes_its_own_room(home, chat):
    """What is refused is what would not fit, however long the template is."""
    settings = Settings(home=home / "home", recipes=home / "recipes")
    words_of_it = words(chat, 60)
    template = f"{BUILT_IN_TEMPLATE}\n\n{words_of_it}"
    recipe = twins.write_recipe(home / "framed", max_prompt_tokens=MOST)
    recipe = recipe.model_copy(update={"prompt": PromptSection(template=template)})
    chain = twins.open_chain(recipe, home / "weights", settings)
    more = chat.count_tokens(template) - chat.count_tokens(BUILT_IN_TEMPLATE)
    assert more >= 60
    room = MOST - PROMPT_OVERHEAD_TOKENS - more
    prompt = asyncio.run(chain.prepare(Query(question=words(chat, room))))
    assert len(prompt.ids) <= MOST
    assert prompt.messages[-1]["content"].endswith(words_of_it)
    with pytest.raises(BadDataError, match=rf"{MOST + 1} tokens"):
        asyncio.run(chain.prepare(Query(question=words(chat, room + 1))))


def test_text_is_bounded_in_characters_before_it_is_tokenized(prepared):
    most = CHARACTERS_PER_TOKEN * MOST
    with pytest.raises(BadDataError, match="tokens"):
        prepared(question="x " * (most // 2))
    with pytest.raises(BadDataError, match=rf"{most + 1:,} characters: at most {most:,}"):
        prepared(question="x" * (most + 1))


def test_passages_make_room_for_a_long_question_and_history(prepared, chat):
    plain = prepared(question="Why pods?")
    long = prepared(question="Why pods? " + words(chat, 150))
    assert len(long.ids) <= MOST
    assert len(long.passages) < len(plain.passages) or (
        len(long.passages[-1].text) < len(plain.passages[-1].text)
    )


def test_a_turn_of_endless_text_is_left_out_unread(prepared):
    history = (
        Turn(role="user", content="x" * 1_000_000),
        Turn(role="assistant", content="Yes."),
    )
    prompt = prepared(question="Why pods?", history=history)
    assert [message["role"] for message in prompt.messages] == ["user"]


def test_the_engines_context_holds_where_it_is_smaller(home, chat):
    settings = Settings(home=home / "home", recipes=home / "recipes")
    recipe = twins.write_recipe(home / "knobs", max_prompt_tokens=1_000_000, max_new_tokens=24)
    chain = twins.open_chain(recipe, home / "weights", settings)
    fits = 2_048 - 24 - PROMPT_OVERHEAD_TOKENS
    prompt = asyncio.run(chain.prepare(Query(question=words(chat, fits))))
    assert len(prompt.ids) <= 2_048 - 24
    with pytest.raises(BadDataError, match="at most 2,024 are read"):
        asyncio.run(chain.prepare(Query(question=words(chat, fits + 1))))
