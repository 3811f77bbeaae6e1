"""Sample sets in the file store: the layout that `datasets` writes and training, evaluation read.

``datasets/<recipe>/<version>/{instruct,preferences}/{train,validation,test}.parquet`` with a
``README.md`` card, the card as a page (``card.html``) and a ``manifest.json``;
``datasets/<recipe>/latest.json`` names the newest version. A version is published whole and never
changes.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.conversation import Turn
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.stores.files import FileStore

FOLDER = "datasets"
INSTRUCT, PREFERENCES = "instruct", "preferences"
PAGE = "card.html"

Sample = TypeVar("Sample", InstructSample, PreferencePair)


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
    rejected_by: str = Field(description="model that wrote the rejected texts, with its settings")
    documents: dict[str, Split] = Field(description="document id to the split it belongs to")
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
        name = f"{self.folder(version)}/manifest.json"
        try:
            return SampleSetManifest.model_validate(self._files.read_json(name))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadDataError(f"{self._files.uri(name)}: {where}: {first['msg']}") from None

    def instruct(self, version: str, split: Split) -> list[InstructSample]:
        """The instruct samples of a split."""
        return self._read(version, INSTRUCT, split, InstructSample)

    def preferences(self, version: str, split: Split) -> list[PreferencePair]:
        """The preference pairs of a split."""
        return self._read(version, PREFERENCES, split, PreferencePair)

    def publish(
        self,
        manifest: SampleSetManifest,
        instruct: Sequence[InstructSample],
        preferences: Sequence[PreferencePair],
        card: str,
        page: str = "",
    ) -> str:
        """Write a version and make it the latest; returns its URI.

        Args:
            manifest: of the version.
            instruct: its samples.
            preferences: its pairs.
            card: in Markdown.
            page: the card in HTML; "" for none.
        """
        with tempfile.TemporaryDirectory(prefix="samples-") as scratch:
            folder = Path(scratch)
            for split in Split:
                _write(folder / INSTRUCT, split, instruct, InstructSample)
                _write(folder / PREFERENCES, split, preferences, PreferencePair)
            (folder / "README.md").write_text(card, encoding="utf-8")
            if page:
                (folder / PAGE).write_text(page, encoding="utf-8")
            (folder / "manifest.json").write_text(
                manifest.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
            uri = self._files.publish_folder(folder, self.folder(manifest.version))
        self.make_latest(manifest.version)
        return uri

    def make_latest(self, version: str) -> None:
        """Point ``latest.json`` at a published version."""
        self._files.write_json(f"{self._root}/latest.json", {"version": version})

    def _read(self, version: str, kind: str, split: Split, model: type[Sample]) -> list[Sample]:
        import pyarrow as arrow
        from pyarrow import parquet

        name = f"{self.folder(version)}/{kind}/{split.value}.parquet"
        try:
            table = parquet.read_table(arrow.BufferReader(self._files.read_bytes(name)))
            return [model.model_validate(row) for row in table.to_pylist()]
        except (arrow.ArrowInvalid, ValidationError) as error:
            line = str(error).splitlines()[0]
            raise BadDataError(f"{self._files.uri(name)}: damaged: {line}") from None


def _write(folder: Path, split: Split, samples: Sequence[Sample], model: type[Sample]) -> None:
    import pyarrow as arrow
    from pyarrow import parquet

    folder.mkdir(exist_ok=True)
    rows = [sample.model_dump(mode="json") for sample in samples if sample.split is split]
    schema = arrow.schema([(name, _arrow_type(name)) for name in model.model_fields])
    table = arrow.Table.from_pylist(rows, schema=schema)
    parquet.write_table(table, folder / f"{split.value}.parquet")


def _arrow_type(field: str) -> Any:
    import pyarrow as arrow

    if field == "history":
        turn = arrow.struct([(name, arrow.string()) for name in Turn.model_fields])
        return arrow.list_(turn)
    if field in {"context", "chunk_ids", "facts"}:
        return arrow.list_(arrow.string())
    return arrow.string()
