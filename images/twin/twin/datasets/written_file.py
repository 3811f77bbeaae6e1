"""Reading the questions that a person wrote: YAML, JSON Lines, or an export of Label Studio.

YAML holds a list and JSON Lines one object a line, each with the fields of `WrittenQuestion`.
Instead of ``support`` an entry may have ``document`` and ``quote``, where it needs one of each.

Label Studio's JSON export holds tasks. The fields of a task's ``data`` and the results of its last
annotation that was not cancelled are those of an entry, by name: a ``TextArea`` called ``answer``
is the answer, ``Choices`` called ``kind`` are the kind. ``facts`` takes a text for each fact;
``document`` and ``quote`` one each.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from twin.domain.errors import BadDataError
from twin.domain.written import QuestionKind, WrittenQuestion

SHOWN_FAULTS = 5
"""Faulty entries that an error names; the rest are counted."""

Entry = tuple[str, dict[str, Any]]
"""Where an entry stands, and its fields."""


def read_written(path: Path) -> list[WrittenQuestion]:
    """The questions of a file, in their order.

    Raises:
        BadDataError: the file can't be read, or an entry is no question; says where, what is
            wrong and what to do.
    """
    questions: dict[tuple[str, object], str] = {}
    read: list[WrittenQuestion] = []
    faults: list[str] = []
    for place, fields in _entries(path):
        try:
            question = WrittenQuestion.model_validate(_with_support(fields))
        except ValidationError as error:
            faults.append(f"{place}: {_explain(error)}")
            continue
        key = (" ".join(question.question.casefold().split()), question.history)
        if first := questions.get(key):
            faults.append(f"{place}: the question of {first} once more: remove one of them")
        questions.setdefault(key, place)
        read.append(question)
    if faults:
        more = len(faults) - SHOWN_FAULTS
        rest = f"; and {more} more" if more > 0 else ""
        raise BadDataError(f"{path}: {'; '.join(faults[:SHOWN_FAULTS])}{rest}")
    if not read:
        raise BadDataError(f"{path}: holds no question: write some, or leave datasets.written out")
    return read


def _entries(path: Path) -> list[Entry]:
    text = _text(path)
    try:
        if path.suffix in {".jsonl", ".ndjson"}:
            return [
                (f"line {number}", _fields(json.loads(line), f"{path}: line {number}"))
                for number, line in enumerate(text.splitlines(), start=1)
                if line.strip()
            ]
        if path.suffix == ".json":
            return list(_label_studio(path, json.loads(text)))
        return list(_yaml(path, text))
    except json.JSONDecodeError as error:
        raise BadDataError(f"{path}: not JSON: {error}") from None
    except yaml.YAMLError as error:
        raise BadDataError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"datasets.written: {path} can't be read: {error}") from None


def _yaml(path: Path, text: str) -> Iterator[Entry]:
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    entries = yaml.safe_load(text)
    if not isinstance(node, yaml.SequenceNode) or not isinstance(entries, list):
        raise BadDataError(f"{path}: has to be a list of questions, each beginning with '- '")
    for item, fields in zip(node.value, entries, strict=True):
        place = f"line {item.start_mark.line + 1}"
        yield place, _fields(fields, f"{path}: {place}")


def _fields(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        names = ", ".join(WrittenQuestion.model_fields)
        raise BadDataError(f"{place}: not a question: give it the fields {names}")
    return value


def _label_studio(path: Path, tasks: Any) -> Iterator[Entry]:
    """Entries of annotated tasks; a task that nobody has finished is none."""
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise BadDataError(
            f"{path}: no export of Label Studio: export the project as JSON (not JSON_MIN)"
        )
    known = {*WrittenQuestion.model_fields, "quote"}
    names: set[str] = set()
    for task in tasks:
        done = [each for each in task.get("annotations", []) if not each.get("was_cancelled")]
        if not done:
            continue
        fields = {**task["data"], **_annotated(done[-1].get("result", []))}
        names |= fields.keys()
        if {"question", "kind"} <= fields.keys():
            entry = {name: value for name, value in fields.items() if name in known and value}
            yield f"task {task.get('id', '?')}", entry
    if not {"question", "kind"} <= names:
        raise BadDataError(
            f"{path}: no project of questions: its fields are {', '.join(sorted(names)) or 'none'},"
            " but question and kind are needed (docstring of twin.datasets.written_file)"
        )


def _annotated(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What a person has filled in, by the names of the labelling page."""
    filled: dict[str, Any] = {}
    for result in results:
        value, name = result.get("value", {}), str(result.get("from_name"))
        texts = value.get("text") or value.get("choices") or []
        texts = [texts] if isinstance(texts, str) else texts
        filled[name] = texts if name == "facts" else "\n".join(texts)
    return filled


def _with_support(fields: dict[str, Any]) -> dict[str, Any]:
    """``document`` and ``quote`` as one support."""
    if "quote" not in fields:
        return fields
    rest = {name: value for name, value in fields.items() if name not in {"quote", "document"}}
    support = {"document": fields.get("document", ""), "quote": fields["quote"]}
    return {**rest, "support": [*rest.get("support", []), support]}


def _explain(error: ValidationError) -> str:
    """The first fault in words, with the field that it is in."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown field {where!r}: allowed are {', '.join(WrittenQuestion.model_fields)}"
    if fault["type"] == "missing":
        return f"{where!r} is missing"
    if where == "kind":
        return f"kind {fault['input']!r}: use one of {', '.join(QuestionKind)}"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
