"""Tables of a JSON schema's parts, for the reference of recipes and of the API."""

from collections.abc import Iterator
from typing import Any


def section(name: str, part: dict[str, Any]) -> Iterator[str]:
    """A heading, the part's description, and a row for each of its keys."""
    yield from (
        "",
        f"## {name}",
        "",
        one_line(part.get("description", "")),
        "",
        "| Key | Type | Default | |",
        "|---|---|---|---|",
    )
    required = part.get("required", [])
    for key, field in part["properties"].items():
        default = "required" if key in required else f"`{_shown(field.get('default'))}`"
        yield f"| `{key}` | {_type(field)} | {default} | {cell(field.get('description', ''))} |"


def one_line(text: str) -> str:
    """A docstring's text as Markdown in one line."""
    return " ".join(text.replace("``", "`").split())


def cell(text: str) -> str:
    """The same within a table."""
    return one_line(text).replace("|", "\\|")


def _shown(value: Any) -> str:
    """A default; of a section only that it is one."""
    return "its own defaults" if isinstance(value, dict) and value else str(value)


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = str(field.get("type", field.get("const", "value")))
    if kind == "array" and "items" in field:
        return f"list of {_type(field['items'])}"
    return kind
