"""A version's own decoding: what serving makes of the tag."""

import json

import pytest

from twin.domain.errors import BadDataError
from twin.recipes import ServingSection, load_recipe
from twin.stores.chosen_decoding import KEYS, TAG, ChosenDecoding, decoding_of, with_chosen_decoding

CHOSEN = {"temperature": 0.7, "top_p": 0.8, "top_k": 40, "min_p": 0.1, "beams": 1}


@pytest.fixture
def recipe(root):
    return load_recipe("handbook", root / "include" / "recipes")


def tagged(recipe, settings=CHOSEN, **instead_of):
    present = decoding_of(recipe.serving) | instead_of
    return {TAG: ChosenDecoding(settings=settings, instead_of=present).model_dump_json()}


def serving_of(recipe, tags):
    return with_chosen_decoding(recipe, "7", tags).serving


def test_without_a_tag_the_recipe_is_served(recipe):
    assert with_chosen_decoding(recipe, "7", {"stage": "x"}) is recipe


def test_the_tag_takes_the_place_of_every_key_that_a_study_chooses(recipe):
    served = serving_of(recipe, tagged(recipe))
    assert decoding_of(served) == CHOSEN
    assert isinstance(served.top_k, int)
    before, after = (each.model_dump(exclude=set(KEYS)) for each in (recipe.serving, served))
    assert before == after
    assert served.model_fields_set >= {"probe_question"}


@pytest.mark.parametrize("key", KEYS)
def test_who_changes_the_recipe_afterwards_is_taken_at_their_word(recipe, key):
    tags = tagged(recipe, **{key: 0.11})
    assert with_chosen_decoding(recipe, "7", tags) is recipe


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (CHOSEN | {"beams": 4}, "the engine llama.cpp has no beam search"),
        (CHOSEN | {"temperature": 9}, "less than or equal to 2"),
        (CHOSEN | {"speed": 9}, "Extra inputs are not permitted"),
    ],
)
def test_what_can_not_be_served_is_said(recipe, settings, said):
    with pytest.raises(BadDataError, match=f"version 7 of twin-handbook has a tag .*{said}"):
        with_chosen_decoding(recipe, "7", tagged(recipe, settings))


@pytest.mark.parametrize("text", ["{", json.dumps({"settings": {}}), "[]"])
def test_a_tag_that_is_none_is_said(recipe, text):
    with pytest.raises(BadDataError, match="delete the tag"):
        with_chosen_decoding(recipe, "7", {TAG: text})


def test_beams_are_for_the_engine_that_has_them():
    assert ServingSection(engine="transformers", beams=4).beams == 4
    for engine in ("llama.cpp", "vllm", "auto"):
        with pytest.raises(ValueError, match="has no beam search: set engine to"):
            ServingSection(engine=engine, beams=2)
