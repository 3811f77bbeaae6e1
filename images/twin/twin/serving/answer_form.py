"""The form that a caller wants an answer in: text, or JSON by a schema.

An engine lets nothing be written but what the schema describes. Schemas are bounded, since an
engine makes an automaton of each, and are looked at before anything is retrieved for them.
"""

import json
from collections.abc import Iterator
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

#: In characters of JSON, and in objects and lists within one another.
MAX_CHARACTERS = 20_000
MAX_DEPTH = 32
#: What a schema may count to, such as ``maxLength``, and alternatives that it may list.
MAX_COUNT = 1_000
MAX_PATTERN_CHARACTERS = 200
#: Of one object: more make llama.cpp's automaton too large for it.
MAX_PROPERTIES = 300

COUNTS = frozenset(
    ("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains",
     "minProperties", "maxProperties")
)  # fmt: skip
LISTS = frozenset(("enum", "anyOf", "oneOf", "allOf", "prefixItems"))

ANY_OBJECT = json.dumps({"type": "object"})

FormKind = Literal["text", "json_object", "json_schema"]

DESCRIPTION = (
    "`json_schema` lets the model write nothing but JSON that fits the schema, `json_object` any "
    "JSON object, where the model's engine can (llama.cpp, vLLM and remote endpoints; else 400). "
    "The schema binds and is not shown to the model: say in a system message what its fields mean. "
    "Such an answer has its `sources`, but no citations, for its text is no prose. Where the "
    "author's texts say nothing of the question there is no JSON: the text is in `refusal`."
)


def form_schema(kind: FormKind, schema: dict[str, Any] | None) -> str | None:
    """The JSON schema that an answer of this form has to fit, as text; None: plain text.

    Raises:
        ValueError: it is missing, is no schema, or is too large for an engine.
    """
    if kind == "text":
        return None
    if kind == "json_object":
        return ANY_OBJECT
    if schema is None:
        raise ValueError("json_schema needs its schema")
    return checked_schema(schema)


def checked_schema(schema: dict[str, Any]) -> str:
    """A schema as text.

    Raises:
        ValueError: says what is wrong with it.
    """
    _check_depth(schema)
    try:
        text = json.dumps(schema, allow_nan=False)
        json.dumps(schema, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("the schema holds half a character (an unpaired surrogate)") from None
    except ValueError:
        raise ValueError("the schema holds a number that JSON does not have") from None
    if len(text) > MAX_CHARACTERS:
        raise ValueError(
            f"the schema has {len(text):,} characters: at most {MAX_CHARACTERS:,} are taken"
        )
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(map(str, error.absolute_path)) or "its top"
        raise ValueError(f"it is no JSON schema, at {where}: {error.message[:200]}") from None
    for name, value in _keywords(schema):
        _check_keyword(name, value)
    return text


def _check_depth(schema: Any) -> None:
    level, depth = [schema], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"the schema is nested more than {MAX_DEPTH} deep")
        inside = (inner for outer in level for inner in _inside(outer))
        level = [inner for inner in inside if isinstance(inner, dict | list)]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _keywords(value: Any) -> Iterator[tuple[str, Any]]:
    """Every name in a schema with what it holds, wherever it stands."""
    if isinstance(value, dict):
        yield from value.items()
    for inner in _inside(value):
        yield from _keywords(inner)


def _check_keyword(name: str, value: Any) -> None:
    if name == "$ref" and isinstance(value, str) and not value.startswith("#"):
        raise ValueError(f"$ref leads elsewhere ({value[:100]}): only '#/…' is followed")
    if name == "pattern" and isinstance(value, str) and len(value) > MAX_PATTERN_CHARACTERS:
        raise ValueError(
            f"a pattern has {len(value):,} characters: at most {MAX_PATTERN_CHARACTERS} are taken"
        )
    if name in COUNTS and isinstance(value, int | float) and value > MAX_COUNT:
        raise ValueError(f"{name} is {value:,}: at most {MAX_COUNT:,} is taken")
    if name == "properties" and isinstance(value, dict) and len(value) > MAX_PROPERTIES:
        raise ValueError(
            f"an object has {len(value):,} properties: at most {MAX_PROPERTIES} are taken"
        )
    if name in LISTS and isinstance(value, list) and len(value) > MAX_COUNT:
        raise ValueError(f"{name} has {len(value):,} items: at most {MAX_COUNT:,} are taken")
