"""Rows of any data set, in one form: Parquet, JSON Lines and JSON files, ours or another's.

Known are the names of fields that are in common use: instruction and output (Alpaca), prompt and
completion, messages (OpenAI), conversations (ShareGPT), chosen and rejected (TRL), preferred_output
and non_preferred_output (OpenAI). The split is read from a field ``split`` or from the file's path
(train, validation, test and their like).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.stores.sample_files import parquet_rows
from twin.stores.sample_sets import REJECTED

_PROMPT = ("instruction", "question", "prompt", "query")
_SHOWN = ("context", "input", "history", "system")
_PASSAGES = ("context", "input")
_ANSWER = ("answer", "output", "response", "completion", "chosen")
_CONVERSATION = ("messages", "conversations")
_SOURCE = ("document_id", "doc_id", "source_id", "source", "url")
_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".json")
_SPLITS = {
    Split.TRAIN: r"train(?:ing)?",
    Split.VALIDATION: r"val|valid|validation|dev",
    Split.TEST: r"test|eval|evaluation|held[_-]?out",
}


@dataclass(frozen=True)
class Row:
    """One sample, or one pair if ``rejected`` is a text.

    ``prompt`` is all that is shown; ``passages`` what stands in a field of its own, to answer from.
    """

    place: str
    split: Split | None
    instruction: str
    prompt: str
    answer: str
    rejected: str | None = None
    source: str | None = None
    passages: tuple[str, ...] = ()


def read_rows(path: Path) -> list[Row]:
    """The rows of a file, or of all files in a folder.

    Raises:
        BadDataError: there are none, or a file is damaged; says what is read.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    rows = [
        row
        for file in files
        if file.suffix in _ENDINGS and file.name not in {"manifest.json", REJECTED}
        for row in _rows_of(file, path)
    ]
    if not rows:
        raise BadDataError(
            f"{path}: no samples: an audit reads {', '.join(_ENDINGS)} with an instruction "
            f"({', '.join(_PROMPT)}) and an answer ({', '.join(_ANSWER)}), or with messages"
        )
    return rows


def _rows_of(file: Path, root: Path) -> Iterator[Row]:
    named = str(file.relative_to(root)) if root.is_dir() else file.name
    for number, fields in enumerate(_records(file), start=1):
        if isinstance(fields, dict) and (row := _row(fields, f"{named}:{number}", named)):
            yield row


def _records(file: Path) -> list[Any]:
    import pyarrow as arrow

    try:
        if file.suffix == ".parquet":
            return list(parquet_rows(file.read_bytes()))
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            data = json.loads(text)
            return data if isinstance(data, list) else []
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (arrow.ArrowInvalid, OSError, ValueError) as error:
        raise BadDataError(f"{file}: damaged: {' '.join(str(error).split())[:200]}") from None


def _row(fields: dict[str, Any], place: str, file: str) -> Row | None:
    fields = _usual(fields)
    turns = next((fields[name] for name in _CONVERSATION if fields.get(name)), None)
    if isinstance(turns, list) and "chosen" in fields:
        turns = [*turns, fields["chosen"]]
    if isinstance(turns, list) and len(turns) > 1:
        instruction, prompt, answer = _text(turns[-2]), _text(turns[:-1]), _text(turns[-1])
    else:
        instruction = _first(fields, _PROMPT)
        shown = (_text(fields[name]) for name in _SHOWN if fields.get(name))
        prompt, answer = "\n".join((*shown, instruction)), _first(fields, _ANSWER)
    if not instruction and not answer:
        return None
    return Row(
        place=place,
        split=_split(str(fields.get("split") or "")) or _split(file),
        instruction=instruction,
        prompt=prompt,
        answer=answer,
        rejected=_text(fields["rejected"]) if "rejected" in fields else None,
        source=_first(fields, _SOURCE) or None,
        passages=_passages(fields),
    )


def _passages(fields: dict[str, Any]) -> tuple[str, ...]:
    shown = next((fields[name] for name in _PASSAGES if fields.get(name)), ())
    return tuple(map(_text, shown)) if isinstance(shown, list | tuple) else (_text(shown),)


def _usual(fields: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's form of pairs by TRL's names; any other as it is."""
    given = fields.get("input")
    if not isinstance(given, dict) or "preferred_output" not in fields:
        return fields
    names = {"chosen": "preferred_output", "rejected": "non_preferred_output"}
    return {**given, **{name: fields.get(theirs) for name, theirs in names.items()}}


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((_text(fields[name]) for name in names if fields.get(name)), "")


def _text(value: Any) -> str:
    """A text, a turn, or a list of them, as one text."""
    if isinstance(value, list):
        return "\n".join(map(_text, value))
    if isinstance(value, dict):
        return _text(value.get("content") or value.get("value") or "")
    return "" if value is None else str(value)


def _split(name: str) -> Split | None:
    parts = set(re.split(r"[^a-z]+", name.lower()))
    return next(
        (
            split
            for split, pattern in _SPLITS.items()
            if any(re.fullmatch(pattern, part) for part in parts)
        ),
        None,
    )
