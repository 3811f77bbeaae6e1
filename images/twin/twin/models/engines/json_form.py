"""Whether an answer keeps to its JSON schema: engines may write freely instead, and say nothing.

llama.cpp does so by a schema that it can make no grammar of, and many an endpoint knows no schemas
at all. What is no JSON is stopped at its first words.
"""

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic_core import from_json

from twin.domain.errors import BadDataError
from twin.models.language_model import Generation, SamplingParams

WORDS = ("true", "false", "null")
_NUMBER_SO_FAR = re.compile(r"-?(\d+\.?\d*([eE][+-]?\d*)?)?")


async def kept_to_schema(
    pieces: AsyncIterator[str | Generation], params: SamplingParams
) -> AsyncGenerator[str | Generation, None]:
    """The same pieces of an answer that has a ``json_schema``.

    Raises:
        BadDataError: it is no JSON, or not what the schema describes.
    """
    begun = ""
    async with aclosing(pieces):  # type: ignore[type-var] # a generator, by its type an iterator
        async for piece in pieces:
            if isinstance(piece, Generation):
                _check_end(piece, params)
            elif not begun.strip():
                begun += piece
                if begun.strip() and not _may_become_json(begun):
                    raise _not_kept()
            yield piece


def _check_end(generation: Generation, params: SamplingParams) -> None:
    """Raises `BadDataError`; of what was cut it is only known whether it is JSON so far."""
    text = generation.text
    if generation.finish_reason == "length" or params.stop:
        kept = not text.strip() or _may_become_json(text)
    else:
        kept = _fits(text, json.loads(params.json_schema or "{}"))
    if not kept:
        raise _not_kept()


def _may_become_json(text: str) -> bool:
    text = text.strip()
    if any(word.startswith(text) for word in WORDS) or _NUMBER_SO_FAR.fullmatch(text):
        return True
    try:
        from_json(text, allow_partial="trailing-strings")
    except ValueError:
        return False
    return True


def _fits(text: str, schema: dict[str, Any]) -> bool:
    """Whether a text is JSON by a schema, but for its patterns: they may take for ever."""
    from jsonschema import Draft202012Validator, validators

    try:
        value = json.loads(text)
    except ValueError:
        return False
    taken_for_kept = dict.fromkeys(PATTERNED, _says_nothing)
    validator = validators.extend(Draft202012Validator, taken_for_kept)(schema)
    try:
        return bool(validator.is_valid(value))
    except Exception:  # what the schema refers to is not there, or it refers to itself for ever
        return False


#: Keywords that look at patterns, a caller's own.
PATTERNED = ("pattern", "patternProperties", "additionalProperties", "unevaluatedProperties")


def _says_nothing(*_: object) -> None:
    """A keyword that is taken for kept."""


def _not_kept() -> BadDataError:
    return BadDataError(
        "the engine does not keep to this JSON schema: take a simpler one, without what few "
        "engines know (not, if, unevaluatedProperties, look-around in a pattern)"
    )
