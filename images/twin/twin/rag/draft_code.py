"""Blocks of code in a draft: where they stand, and whether they parse. Nothing is ever run."""

import ast
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from twin.text.code import CODE

_FENCE = re.compile(r"^[^\S\n]*(?:`{3,}|~{3,})[^\S\n]*([\w+-]*)[^\n]*\n")
_END = re.compile(r"\n?^[^\S\n]*(?:`{3,}|~{3,})[^\S\n]*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        span: of all of it, with its fences.
        language: as the fence names it, in lower case; "" if it names none.
        code: between the fences.
    """

    span: tuple[int, int]
    language: str
    code: str


def code_blocks(text: str) -> list[Block]:
    """The fenced blocks of a text, in order."""
    blocks = []
    for found in CODE.finditer(text):
        if (fence := _FENCE.match(found[0])) is not None:
            code = _END.sub("", found[0][fence.end() :])
            blocks.append(Block(found.span(), fence[1].casefold(), code))
    return blocks


def code_faults(text: str, heading: str) -> list[str]:
    """What does not parse among a section's blocks, in words."""
    return [
        f"the code under {heading!r} is no {block.language}: {fault}"
        for block in code_blocks(text)
        if (parse := _PARSERS.get(block.language)) and (fault := parse(block.code))
    ]


def _python(code: str) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):
            ast.parse(code)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or "it is nested too deeply"
    return ""


def _json(code: str) -> str:
    try:
        json.loads(code)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}: {error.msg}"
    except RecursionError:
        return "it is nested too deeply"
    return ""


_PARSERS: Mapping[str, Callable[[str], str]] = {
    "python": _python,
    "py": _python,
    "json": _json,
}
