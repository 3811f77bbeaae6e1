"""The chart's values, from values.yaml: every key, its default, and the comment above it."""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml
from schema_tables import cell

VALUES = Path(__file__).parent.parent / "helm" / "llm-twin" / "values.yaml"


def chart_values() -> Iterator[str]:
    """The page's lines: a section for each key of the first level."""
    text = VALUES.read_text(encoding="utf-8")
    lines = text.splitlines()
    yield "`helm/llm-twin/values.yaml`; `values.schema.json` beside it refuses what is misspelt."
    root = yaml.compose(text)
    sections = root.value if isinstance(root, yaml.MappingNode) else []
    for key, value in sections:
        yield from ("", f"## {key.value}", "", " ".join(_comment(lines, key)), "")
        yield from ("| Value | Default | |", "|---|---|---|")
        for path, node, comment in _leaves((key.value,), key, value, lines):
            yield f"| `{'.'.join(path)}` | `{_default(node)}` | {cell(comment)} |"


def _leaves(
    path: tuple[str, ...], key: yaml.Node, value: yaml.Node, lines: list[str]
) -> Iterator[tuple[tuple[str, ...], yaml.Node, str]]:
    """Each value that is no further section, with what is said of it and of its sections."""
    if not isinstance(value, yaml.MappingNode) or value.flow_style or not value.value:
        first = len(path) == 1  # its comment stands above the table
        yield path, value, "" if first else " ".join(_comment(lines, key))
        return
    if len(path) > 1 and (comment := _comment(lines, key)):
        yield path, yaml.ScalarNode("tag:yaml.org,2002:str", "…"), " ".join(comment)
    for inner, node in value.value:
        yield from _leaves((*path, inner.value), inner, node, lines)


def _comment(lines: list[str], key: yaml.Node) -> list[str]:
    """The lines of the comment above a key, and the one behind it."""
    number = above = key.start_mark.line
    while above > 0 and lines[above - 1].strip().startswith("#"):
        above -= 1
    block = [line.strip().removeprefix("#").strip() for line in lines[above:number]]
    _, mark, behind = lines[number].partition(" # ")
    return [*block, *([behind.strip()] if mark else [])]


def _default(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return node.value or '""'
    value = yaml.safe_load(yaml.serialize(node))
    return json.dumps(value, ensure_ascii=False).replace("|", "\\|")
