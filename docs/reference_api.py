"""The endpoint's paths and objects, from the application that serves them."""

from collections.abc import Iterator
from typing import Any, cast

from pydantic import SecretStr
from schema_tables import cell, section

from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.backend import Backend

INTRODUCTION = """\
The endpoint speaks OpenAI's chat completions, and has a path of its own for answers with their
sources. Paths under `/v1/` want `Authorization: Bearer KEY`. Errors come in OpenAI's shape,
`{"error": {"message", "type", "param", "code"}}`; what would change an answer and can't be honoured
(`tools`, `logprobs`, …) is refused by name.

The same as a document for programs is `/openapi.json`. People
[talk to the twin](../how-to/talk.md) at `/`.

A chat completion carries beside OpenAI's fields `answer_id`, `sources` (as [Passage](#passage)),
`sentences` (as [CheckedSentence](#checkedsentence)), `grounded`, `model_version` and `trace_id`;
of a stream, the last part does."""


def api() -> Iterator[str]:
    """The page's lines: a table of paths, then each object."""
    # Nothing is asked: a backend is needed only to answer.
    app = create_app(cast(Backend, None), Keys([SecretStr("none")]), max_body_bytes=1)
    schema: dict[str, Any] = app.openapi()
    yield from (INTRODUCTION, "", "| Path | Request | Response | |", "|---|---|---|---|")
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            request = _link(operation.get("requestBody", {}).get("content", {}))
            response = _link(operation["responses"]["200"]["content"])
            text = cell(operation.get("description", ""))
            yield f"| `{method.upper()} {path}` | {request} | {response} | {text} |"
    parts = schema["components"]["schemas"]
    for name, part in sorted(parts.items()):
        if "properties" in part and "Validation" not in name:
            yield from section(name, part, parts)


def _link(content: dict[str, Any]) -> str:
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    name = reference.rsplit("/", 1)[-1]
    return f"[{name}](#{name.lower()})" if name else ""
