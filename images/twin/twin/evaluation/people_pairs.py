"""Pairs of answers for people to judge, and what they have said: a JSON file, Label Studio's way.

The file is a list of tasks that Label Studio imports, and its JSON export (tasks with their
annotations) is what comes back. Without it, ``better`` beside ``data`` says the same by hand. Which
answer is the candidate's is drawn for each pair, since people, too, favour a place.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from twin.domain.errors import BadDataError
from twin.domain.sample import draw_key
from twin.rag.judge import Comparison, Winner
from twin.recipes.places import BESIDE_RECIPE

PAGE_FILE = "pairs_page.xml"
_PLACES = ("one", "two")


class PairTask(BaseModel):
    """A pair as a labelling page shows it.

    ``passages`` are those of ``shown`` in one text, which is what a page can show; ``candidate``
    says which answer is the candidate's, and ``opponent`` whose the other is. ``pairs`` counts the
    file's pairs about the same document and opponent; 0: nobody has counted.
    """

    model_config = ConfigDict(frozen=True)

    question: str
    passages: str = ""
    shown: tuple[str, ...] = ()
    one: str
    two: str
    candidate: Literal["one", "two"] = "one"
    document: str = ""
    opponent: str = ""
    pairs: int = Field(default=0, ge=0)


class ExportedTask(BaseModel):
    """A task as it comes back; Label Studio adds a lot that is not read."""

    data: PairTask
    better: Literal["one", "two", "tie"] | None = None
    annotations: tuple[dict[str, Any], ...] = Field(default=())

    @property
    def said(self) -> list[str]:
        """What each person says; who skips it says nothing."""
        return [self.better] if self.better else list(_opinions(self.annotations))

    @property
    def people(self) -> Winner:
        """What most of them say, the candidate's answer being the first; a draw is a tie."""
        said = self.said
        return _winner(said, self.data.candidate) if said else Winner.NONE

    @property
    def judged(self) -> str:
        """When it was looked at last (ISO 8601), judged or skipped; "" where nothing tells."""
        return max((str(each.get("updated_at", "")) for each in self.annotations), default="")


_TASKS: TypeAdapter[tuple[ExportedTask, ...]] = TypeAdapter(tuple[ExportedTask, ...])


@dataclass(frozen=True)
class JudgedPair:
    """A pair, the candidate's answer first, with what people say of it."""

    comparison: Comparison
    people: Winner
    group: str


def labelling_page() -> str:
    """The page on which people judge a pair, in Label Studio's XML."""
    return resources.files(__package__).joinpath(PAGE_FILE).read_text("utf-8")


def task_of(
    comparison: Comparison, document: str, opponent: str = "", pairs: int = 0
) -> dict[str, Any]:
    """The task of a comparison whose first answer is the candidate's.

    Args:
        comparison: what is shown.
        document: group of documents that it is about.
        opponent: whose the second answer is.
        pairs: of the file that are about the same document and opponent.
    """
    key = draw_key(comparison.question + comparison.first + comparison.second, 0)
    candidate, other = _PLACES if int(key[0], 16) % 2 else _PLACES[::-1]
    task = PairTask.model_validate(
        {
            "question": comparison.question,
            "passages": "\n\n".join(comparison.passages),
            "shown": comparison.passages,
            candidate: comparison.first,
            other: comparison.second,
            "candidate": candidate,
            "document": document,
            "opponent": opponent,
            "pairs": pairs,
        }
    )
    return {"data": task.model_dump()}


def read_pairs(path: Path) -> list[JudgedPair]:
    """The pairs that people have judged, in the file that the recipe names.

    Raises:
        BadDataError: there is no such file, it is none of pairs, or nobody has judged any.
    """
    setting = "evaluation.judge.calibration"
    if not path.is_file():
        raise BadDataError(
            f"{setting}: {path} is not there {BESIDE_RECIPE}: make it by twin evaluation pairs"
        )
    pairs = list(_judged(read_tasks(path, setting)))
    if not pairs:
        raise BadDataError(f"{setting}: nobody has judged a pair of {path} yet")
    return pairs


def read_tasks(path: Path, named_by: str) -> tuple[ExportedTask, ...]:
    """The tasks of a file, judged or not.

    Args:
        path: of the file.
        named_by: setting or argument that names it, for errors.

    Raises:
        BadDataError: there is no such file, or it is none of pairs.
    """
    try:
        return _TASKS.validate_json(path.read_bytes())
    except OSError as error:
        raise BadDataError(f"{named_by}: {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadDataError(
            f"{named_by}: {path}: {where}: {first['msg']}: it must be tasks of "
            "twin evaluation pairs, as Label Studio exports them (JSON)"
        ) from None


def write_tasks(path: Path, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Write tasks for people."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(list(tasks), ensure_ascii=False, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _judged(tasks: Sequence[ExportedTask]) -> Iterator[JudgedPair]:
    for number, task in enumerate(tasks):
        if task.people is Winner.NONE:
            continue
        shown = task.data
        texts = {"one": shown.one, "two": shown.two}
        first, second = (texts.pop(shown.candidate), *texts.values())
        passages = shown.shown or ((shown.passages,) if shown.passages else ())
        yield JudgedPair(
            Comparison(shown.question, passages, first, second, shown.document),
            task.people,
            shown.document or f"pair {number}",
        )


def _opinions(annotations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What each annotation says, but for those that were skipped or say nothing."""
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result", []):
            choices = result.get("value", {}).get("choices", [])
            if result.get("from_name") == "better" and choices:
                yield choices[0]


def _winner(said: Sequence[str], candidate: str) -> Winner:
    (most, count), *others = Counter(said).most_common(2)
    if most == "tie" or (others and others[0][1] == count):
        return Winner.TIE
    return Winner.FIRST if most == candidate else Winner.SECOND
