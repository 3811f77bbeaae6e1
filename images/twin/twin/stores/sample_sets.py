"""Sample sets in the file store: the layout that `datasets` writes and training, evaluation read.

``datasets/<recipe>/<version>/instruct/{train,validation,test}.parquet`` with a ``README.md`` card,
the card as a page (``card.html``), a ``manifest.json`` and, where gates left samples out, these
with their reasons (``rejected.jsonl``). ``datasets/<recipe>/latest.json`` names the newest version.
A version is published whole and never changes. The preference pairs of a version are in
`twin.stores.pair_sets`; older versions hold a folder ``preferences`` too, which only an audit
reads.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.stores.files import FileStore
from twin.stores.sample_files import SampleWriter, read_manifest, read_samples

FOLDER = "datasets"
INSTRUCT = "instruct"
PAGE = "card.html"
REJECTED = "rejected.jsonl"
REPLIES = "replies"
PARTS = "parts"
WRITERS = ("teacher", "judge")
"""Whose replies are kept."""


class TeacherRecord(BaseModel):
    """What a teacher was asked for, what came of it, and what it cost."""

    model_config = ConfigDict(frozen=True)

    model: str
    outcomes: dict[str, int] = Field(description="kind and outcome to tasks; each task has one")
    samples: dict[str, int] = Field(description="kind to samples in this version")
    tokens: int = Field(description="spent for this version, replies of earlier ones aside")
    money: float | None = Field(description="the same by the recipe's prices; None: it has none")
    budget_ended: bool = Field(description="whether the budget ended it before the last task")


class SampleSetManifest(BaseModel):
    """What a version was made from and holds."""

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    version: str = Field(description="hash of everything below that is an input")
    recipe: str
    author_id: str
    author_name: str
    index_fingerprint: str
    recipe_digest: str
    prompt_version: str
    documents: dict[str, Split] = Field(description="document id to the split it belongs to")
    dealt: datetime | None = Field(
        default=None,
        description="when the index was read for them, no input; None: before it was noted",
    )
    split_seed: int | None = Field(
        default=None, description="that the documents were dealt by; None: before it was noted"
    )
    departed: dict[str, Split] = Field(
        default_factory=dict,
        description="documents of earlier versions that are gone: if they return, it is to these",
    )
    counts: dict[str, dict[str, int]] = Field(description="kind to split to number of samples")
    skipped: dict[str, int] = Field(default_factory=dict, description="reason to chunks left out")
    withheld: int = Field(
        default=0, description="written questions asked once more without what answers them"
    )
    written: dict[str, int] = Field(
        default_factory=dict, description="kind of written question to number of samples"
    )
    set_aside: dict[str, int] = Field(
        default_factory=dict, description="reason to written questions that are not used"
    )
    verdicts: dict[str, int] = Field(
        default_factory=dict, description="what people's verdicts have done, in samples"
    )
    refused: dict[str, int] = Field(
        default_factory=dict, description="reason to samples that people have left out"
    )
    rejected: dict[str, int] = Field(
        default_factory=dict, description="reason to samples that a gate left out"
    )
    teacher: TeacherRecord | None = None
    copy_share: dict[str, float] = Field(
        default_factory=dict, description="split to share of samples that show their answer"
    )
    redacted: dict[str, int] = Field(
        default_factory=dict, description="kind of personal data to places where it was replaced"
    )

    @property
    def assigned(self) -> dict[str, Split]:
        """The split of every document that has ever had one."""
        return {**self.departed, **self.documents}


def recipes_with_samples(files: FileStore) -> list[str]:
    """Names of the recipes that have a folder of sample sets, sorted."""
    return files.names(FOLDER)


def replies_of(recipe: str, writer: str) -> str:
    """Folder of the replies that a teacher or a judge has given to a recipe's samples.

    It is beside the versions, not in one: another version asks for what is new only.
    """
    return f"{FOLDER}/{recipe}/{REPLIES}/{writer}"


def parts_of(recipe: str) -> str:
    """Folder of what shards have made of a recipe's passages for a version that is not whole yet.

    What is in it can be made again, and is not needed when the version is published.
    """
    return f"{FOLDER}/{recipe}/{PARTS}"


class SampleSets:
    """The sample sets of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._recipe = recipe
        self._root = f"{FOLDER}/{recipe}"

    def folder(self, version: str) -> str:
        """Relative name of a version's folder in the file store."""
        return f"{self._root}/{version}"

    def uri(self, version: str) -> str:
        """Where a version's folder is."""
        return self._files.uri(self.folder(version))

    def is_published(self, version: str) -> bool:
        """Whether this version is there, whole."""
        return self._files.is_published(self.folder(version))

    def latest(self) -> SampleSetManifest:
        """The manifest of the newest version.

        Raises:
            BadDataError: no version has been made yet.
        """
        manifest = self.find_latest()
        if manifest is None:
            raise BadDataError(
                f"recipe {self._recipe} has no samples yet: "
                f"run `twin datasets make --recipe {self._recipe}`"
            )
        return manifest

    def find_latest(self) -> SampleSetManifest | None:
        """The manifest of the newest version, if there is one."""
        if not self._files.exists(f"{self._root}/latest.json"):
            return None
        version = str(self._files.read_json(f"{self._root}/latest.json")["version"])
        return self.manifest(version) if self.is_published(version) else None

    def versions(self) -> list[str]:
        """Names of the published versions, sorted."""
        return sorted(name for name in self._files.names(self._root) if self.is_published(name))

    def manifest(self, version: str) -> SampleSetManifest:
        """The manifest of a version.

        Raises:
            BadDataError: there is no such version, or its manifest is damaged.
        """
        return read_manifest(self._files, self.folder(version), SampleSetManifest)

    def instruct(self, version: str, split: Split) -> list[InstructSample]:
        """The instruct samples of a split."""
        name = f"{self.folder(version)}/{INSTRUCT}/{split.value}.parquet"
        return read_samples(self._files, name, InstructSample)

    def rejected(self, version: str) -> list[dict[str, Any]]:
        """The samples that gates left out, each with ``reason`` and ``detail``."""
        name = f"{self.folder(version)}/{REJECTED}"
        if not self._files.exists(name):
            return []
        return [json.loads(line) for line in self._files.read_text(name).splitlines()]

    def publish(
        self,
        manifest: SampleSetManifest,
        instruct: Iterable[InstructSample],
        card: str,
        page: str = "",
        rejected: Iterable[Mapping[str, Any]] = (),
    ) -> str:
        """Write a version and make it the latest; returns its URI.

        Args:
            manifest: of the version.
            instruct: its samples.
            card: in Markdown.
            page: the card in HTML; "" for none.
            rejected: the samples that gates left out, each with its reason.
        """
        with tempfile.TemporaryDirectory(prefix="samples-") as scratch:
            folder = Path(scratch)
            _write_splits(folder / INSTRUCT, instruct)
            (folder / "README.md").write_text(card, encoding="utf-8")
            if page:
                (folder / PAGE).write_text(page, encoding="utf-8")
            _write_lines(folder / REJECTED, rejected)
            (folder / "manifest.json").write_text(
                manifest.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
            uri = self._files.publish_folder(folder, self.folder(manifest.version))
        self.make_latest(manifest.version)
        return uri

    def make_latest(self, version: str) -> None:
        """Point ``latest.json`` at a published version."""
        self._files.write_json(f"{self._root}/latest.json", {"version": version})


def _write_splits(folder: Path, samples: Iterable[InstructSample]) -> None:
    """Write a file for each split."""
    with ExitStack() as files:
        writers = {
            split: files.enter_context(
                SampleWriter(folder / f"{split.value}.parquet", InstructSample)
            )
            for split in Split
        }
        for sample in samples:
            writers[sample.split].add(sample)


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON Lines; no rows are no file."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    first = next(lines, None)
    if first is not None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(chain([first], lines))
