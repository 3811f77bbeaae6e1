"""Which JSON schemas are taken: an engine makes an automaton of each."""

import json

import pytest

from twin.serving import answer_form
from twin.serving.answer_form import ANY_OBJECT, checked_schema, form_schema
from twin.serving.schema import ChatCompletionRequest

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 40}, "sure": {"type": "boolean"}},
    "required": ["name", "sure"],
    "additionalProperties": False,
}


def nested(depth):
    """A schema of so many objects within one another."""
    schema = {}
    for _ in range(depth - 1):
        schema = {"items": schema}
    return schema


def test_a_schema_is_handed_on_as_it_is():
    assert json.loads(checked_schema(PERSON)) == PERSON


def test_recursion_within_a_schema_is_no_matter():
    tree = {"type": "object", "properties": {"child": {"$ref": "#"}}}
    assert json.loads(checked_schema(tree)) == tree


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "banana"}, "it is no JSON schema, at type"),
        ({"properties": ["a"]}, "it is no JSON schema, at properties"),
        ({"type": "object", "required": "a"}, "at required"),
        ({"$ref": "https://example.com/s.json"}, "$ref leads elsewhere (https://example.com/s.json)"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "$ref leads elsewhere"),
        ({"maxLength": 1_001}, "maxLength is 1,001: at most 1,000"),
        ({"items": {"minItems": 10**9}}, "minItems is 1,000,000,000"),
        ({"properties": dict.fromkeys(map(str, range(301)), True)}, "has 301 properties"),
        ({"enum": list(range(1_001))}, "enum has 1,001 items"),
        ({"pattern": "a" * 201}, "a pattern has 201 characters"),
        ({"description": "x" * 20_000}, "characters: at most 20,000 are taken"),
        ({"const": "half \ud83d"}, "half a character"),
        ({"maximum": float("nan")}, "a number that JSON does not have"),
        (nested(33), "nested more than 32 deep"),
        (nested(900), "nested more than 32 deep"),
    ],
)  # fmt: skip
def test_what_is_no_schema_or_too_large_is_refused(schema, says):
    with pytest.raises(ValueError) as refused:
        checked_schema(schema)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"maxLength": 1_000},
        {"enum": list(range(1_000))},
        {"properties": dict.fromkeys(map(str, range(300)), True)},
        {"pattern": "a" * 200},
        {"description": "x" * (20_000 - len('{"description": ""}'))},
        nested(32),
        {"properties": {"maxLength": {"type": "string"}, "pattern": {"type": "string"}}},
    ],
)
def test_the_limits_themselves_are_taken(schema):
    assert json.loads(checked_schema(schema)) == schema


def test_forms():
    assert form_schema("text", PERSON) is None
    assert form_schema("json_object", None) == ANY_OBJECT
    assert json.loads(form_schema("json_schema", PERSON)) == PERSON
    with pytest.raises(ValueError, match="needs its schema"):
        form_schema("json_schema", None)


def test_a_request_hands_its_schema_on():
    chat = {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": "Who?"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "person", "strict": True, "schema": PERSON},
        },
    }
    assert json.loads(ChatCompletionRequest.model_validate(chat).query().json_schema) == PERSON


def test_the_description_names_the_engines():
    for engine in ("llama.cpp", "vLLM", "remote"):
        assert engine in answer_form.DESCRIPTION
