"""Answers by a schema from engines that write something else and say nothing."""

import asyncio
import json

import pytest

from twin.domain.errors import BadDataError
from twin.models.engines.json_form import kept_to_schema
from twin.models.language_model import Generation, SamplingParams

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


def read(text, *, reason="stop", schema=PERSON, stop=(), size=3):
    """What of a text written in small pieces comes through."""

    async def pieces():
        for start in range(0, len(text), size):
            yield text[start : start + size]
        yield Generation(text, reason, 1, 1)

    async def work():
        params = SamplingParams(40, json_schema=json.dumps(schema), stop=stop)
        return [piece async for piece in kept_to_schema(pieces(), params)]

    *shown, last = asyncio.run(work())
    assert last.text == text
    return "".join(shown)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ('{"name": "Ann", "age": 7}', PERSON),
        (' \n{"name": "Ann"}', PERSON),
        ("true", {"type": "boolean"}),
        ("null", {}),
        ("-1.5e3", {"type": "number"}),
        ('"a"', {"pattern": "^(a+)+$"}),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 99])
def test_what_fits_comes_through(text, schema, size):
    assert read(text, schema=schema, size=size) == text


@pytest.mark.parametrize("text", ['{"name": "An', '{"na', "{", "[", "-", "tr", '{"name": 1, ', ""])
def test_what_was_cut_comes_through_as_far_as_it_is_json(text):
    assert read(text, reason="length", size=1) == text
    assert read(text, stop=("never",), size=1) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Sure! Here is your JSON: {}", "stop"),
        ("the author", "length"),
        ("- a list", "length"),
        ('{"name": "Ann"} and more', "stop"),
        ('{"name": 7}', "stop"),
        ('{"age": 7}', "stop"),
        ('{"name": "Ann", "age": -1}', "stop"),
        ('{"name": "An', "stop"),
        ("", "stop"),
    ],
)
def test_what_does_not_fit_is_refused(text, reason):
    with pytest.raises(BadDataError, match="does not keep to this JSON schema"):
        read(text, reason=reason)


def test_what_is_no_json_is_stopped_at_its_first_words_and_the_engine_with_it():
    shown, closed = [], []

    async def pieces():
        try:
            yield "Sure"
            yield "!"
        finally:
            closed.append(True)

    async def work():
        params = SamplingParams(40, json_schema=json.dumps(PERSON))
        async for piece in kept_to_schema(pieces(), params):
            shown.append(piece)  # noqa: PERF401 - it raises

    with pytest.raises(BadDataError):
        asyncio.run(work())
    assert (shown, closed) == ([], [True])


@pytest.mark.parametrize("schema", [{"$ref": "#/$defs/none"}, {"$ref": "#"}])
def test_a_schema_that_leads_nowhere_is_kept_to_by_nothing(schema):
    with pytest.raises(BadDataError):
        read("7", schema=schema)
