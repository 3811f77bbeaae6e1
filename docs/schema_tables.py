"""Tables of a JSON schema's parts, for the reference of recipes and of the API."""

from collections.abc import Iterator, Mapping
from typing import Any

Parts = Mapping[str, dict[str, Any]]


def section(name: str, part: dict[str, Any], parts: Parts) -> Iterator[str]:
    """A heading, the part's description, and a row for each of its keys.

    Args:
        name: of the part.
        part: its schema.
        parts: all of them; those without keys, as lists of values, are shown where they are used.
    """
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
        text = cell(field.get("description", ""))
        yield f"| `{key}` | {_type(field, parts)} | {default} | {text} |"


def one_line(text: str) -> str:
    """A docstring's text as Markdown in one line."""
    return " ".join(text.replace("``", "`").split())


def cell(text: str) -> str:
    """The same within a table."""
    return one_line(text).replace("|", "\\|")


def _shown(value: Any) -> str:
    """A default; of a section only that it is one."""
    return "its own defaults" if isinstance(value, dict) and value else str(value)


def _type(field: dict[str, Any], parts: Parts) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        if "properties" not in parts[name]:
            return _type(parts[name], parts)
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_type(option, parts) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = str(field.get("type", field.get("const", "value")))
    if kind == "array" and "items" in field:
        return f"list of {_type(field['items'], parts)}"
    return kind
