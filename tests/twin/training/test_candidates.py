"""What the model writes to samples: to which, how often, and after an attempt that was killed."""

import pytest

from tests.twin.corpora import passage
from tests.twin.datasets.sets import HISTORY, sample
from twin.domain.sample import Maker
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import load_language_model
from twin.recipes import PairsSection
from twin.training.candidates import (
    GROUP,
    KEPT,
    choose_samples,
    draw_order,
    sampling,
    write_candidates,
)
from twin.training.tokens import prompt_tokens

KNOBS = PairsSection(max_tokens=6, candidates=3, temperature=1.5)


@pytest.fixture(scope="module")
def chat(tiny):
    return ChatFormat.load(tiny)


@pytest.fixture
def model(tiny, settings):
    return load_language_model(tiny, settings)


def write(samples, model, known=(), knobs=KNOBS, seed=3):
    steps = list(write_candidates(samples, model, "Ann", knobs, seed, dict(known)))
    return (dict(steps[-1][0]) if steps else dict(known)), [done for _, done in steps]


def test_each_passage_is_taken_once_before_any_twice():
    twice = [sample(f"{name}{turn}", chunk_id=name) for name in "abc" for turn in (1, 2)]
    order = draw_order(twice, 13)
    assert {each.chunk_id for each in order[:3]} == set("abc")
    assert {each.chunk_id for each in order[3:]} == set("abc")
    assert draw_order(twice[::-1], 13) == order
    assert any(draw_order(twice, seed) != order for seed in range(5))


def test_questions_that_no_passage_answers_stand_for_themselves():
    """They have no chunk; as one passage of many samples they would all come last."""
    nothing = [sample(f"n{number}", chunk_id="") for number in range(4)]
    order = draw_order([sample("a", chunk_id="c"), sample("b", chunk_id="c"), *nothing], 13)
    assert {each.id for each in order[:5]} > {each.id for each in nothing}


def choose(samples, chat, max_length=1_000, **knobs):
    reasons = []
    pairs = PairsSection(**{"max_tokens": 20, **knobs})
    chosen = choose_samples(samples, chat, "Ann", pairs, max_length, reasons.append)
    return [each.id for each in chosen], reasons


def test_what_a_teacher_answers_is_preferred_to_nothing(chat):
    taught = {"maker": Maker.TEACHER}
    samples = [sample("a", kind="question", **taught), sample("b", kind="rewrite", **taught)]
    assert choose(samples, chat) == (["b"], ["its answer is a teacher's, not the author's"])


def test_the_first_samples_that_fit_are_chosen(chat):
    samples = [sample("a"), sample("long", answer=passage("a")), sample("b"), sample("c")]
    assert choose(samples, chat) == (
        ["a", "b", "c"],
        ["answer longer than training.dpo.pairs.max_tokens"],
    )
    assert choose(samples, chat, max_pairs=2)[0] == ["a", "b"]
    assert choose(samples[:1], chat, max_pairs=1) == (["a"], [])
    assert choose([samples[1]], chat)[0] == []


def test_an_answer_and_a_prompt_fit_to_the_token(chat):
    answer = len(chat.unended_answer_ids(sample("a").answer))
    assert choose([sample("a")], chat, max_tokens=answer)[0] == ["a"]
    assert choose([sample("a")], chat, max_tokens=answer - 1)[0] == []
    # The prompt, the longest text that may be written, and the end of the author's answer.
    whole = len(prompt_tokens(chat, "Ann", sample("a"))) + 20 + 1
    assert choose([sample("a")], chat, max_length=whole)[0] == ["a"]
    assert choose([sample("a")], chat, max_length=whole - 1) == (
        [],
        ["prompt too long for training.dpo.max_length"],
    )


def test_the_model_writes_as_the_recipe_says():
    params = sampling(KNOBS, 7)
    assert (params.max_new_tokens, params.temperature, params.seed) == (6, 1.5, 7)
    assert params.stop == ("</passage",)


def test_each_sample_gets_as_many_texts_as_the_recipe_says_and_each_prompt_its_own(model):
    samples = [
        sample("a"),
        sample("b", context=("Pods\nA pod.",), history=HISTORY),
        sample("c", context=("Pods\nA pod of another job.",)),
    ]
    asked = []
    generate = model.generate_batch

    def listen(prompts, params):
        asked.extend(prompts)
        return generate(prompts, params)

    model.generate_batch = listen
    written, steps = write(samples, model)
    assert steps == [3]
    assert written.keys() == {"a", "b", "c"}
    assert all(len(texts) == 3 for texts in written.values())
    assert len({each.text for texts in written.values() for each in texts}) > 3
    assert all(each.is_cut for texts in written.values() for each in texts)
    said = ["\n".join(turn["content"] for turn in prompt) for prompt in asked]
    assert [text.count("What of a?") for text in said].count(1) == 3
    assert sum("One?" in text and "A pod." in text for text in said) == 3
    assert all("Ann" in text for text in said)
    assert write(samples, model)[0] == written
    assert write(samples, model, seed=4)[0] != written


def test_an_attempt_that_was_killed_is_gone_on_with_and_ends_with_the_same_texts(model):
    samples = [sample(f"s{number:02}") for number in range(GROUP + 2)]
    whole, steps = write(samples, model)
    assert steps == [GROUP, 2]
    first = dict(next(write_candidates(samples, model, "Ann", KNOBS, 3, {}))[0])
    assert len(first) == GROUP
    kept = KEPT.validate_json(KEPT.dump_json(first))
    again, steps = write(samples[::-1], model, kept)
    assert steps == [2]
    assert again == whole
    assert write(samples, model, whole) == (whole, [])
