"""Preference pairs in the file store: the layout that `twin training pairs` writes.

``pairs/<recipe>/<samples>/<version>/preferences/train.parquet`` (and ``test.parquet`` beside it,
which nothing is trained on) with a ``README.md`` card and a ``manifest.json``, under the version of
the samples that the pairs are made of; ``pairs/<recipe>/<samples>/latest.json`` names the newest of
these. A version is published whole and
never changes.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.sample import PreferencePair, Split
from twin.stores.files import FileStore
from twin.stores.sample_files import read_manifest, read_samples, write_samples

FOLDER = "pairs"
PREFERENCES = "preferences"


class PairSetManifest(BaseModel):
    """What a set of pairs was made from and holds."""

    model_config = ConfigDict(frozen=True)

    version: str = Field(description="hash of all inputs")
    recipe: str
    author_name: str
    dataset_version: str = Field(description="of the samples")
    adapter: str = Field(description="folder of the SFT adapter whose model wrote the rejected")
    base_model: str
    rejected_by: str = Field(description="that model in words, with how it was told to write")
    judge: str | None = Field(
        default=None, description="model that found each rejected text worse, in both orders"
    )
    samples: int = Field(description="training samples that were written to")
    passed_over: dict[str, int] = Field(
        default_factory=dict, description="reason to samples that were not written to"
    )
    candidates: int = Field(description="texts that were written")
    dropped: dict[str, int] = Field(
        default_factory=dict, description="reason to candidates that are in no pair"
    )
    reviewed: dict[str, int] = Field(
        default_factory=dict, description="what people's verdicts on pairs have done"
    )
    feedback: int = Field(default=0, description="pairs of callers' feedback that people want")
    made: str | None = Field(
        default=None, description="version of the model's own pairs, before people's verdicts"
    )
    held_out: int = Field(default=0, description="pairs of test samples, to measure training on")
    pairs: int
    length_auc: float | None = Field(
        description="chance that the chosen text is the longer one; None without pairs"
    )
    likeness: float | None = Field(description="mean of the pairs; None without pairs")


class PairSets:
    """The pair sets of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._root = f"{FOLDER}/{recipe}"

    def root(self, dataset_version: str) -> str:
        """Relative name of the folder of all pair sets of these samples."""
        return f"{self._root}/{dataset_version}"

    def folder(self, dataset_version: str, version: str) -> str:
        """Relative name of a pair set's folder in the file store."""
        return f"{self.root(dataset_version)}/{version}"

    def uri(self, dataset_version: str, version: str) -> str:
        """Where a pair set's folder is."""
        return self._files.uri(self.folder(dataset_version, version))

    def is_published(self, dataset_version: str, version: str) -> bool:
        """Whether this pair set is there, whole."""
        return self._files.is_published(self.folder(dataset_version, version))

    def newest(self, dataset_version: str) -> str | None:
        """The version of the newest pair set of these samples, if there is one."""
        name = f"{self.root(dataset_version)}/latest.json"
        if not self._files.exists(name):
            return None
        version = str(self._files.read_json(name)["version"])
        return version if self.is_published(dataset_version, version) else None

    def newest_pairs(self, dataset_version: str) -> list[PreferencePair]:
        """The newest pairs of these samples; none before `twin training pairs` has run."""
        version = self.newest(dataset_version)
        return [] if version is None else self.pairs(dataset_version, version)

    def manifest(self, dataset_version: str, version: str) -> PairSetManifest:
        """The manifest of a pair set.

        Raises:
            BadDataError: there is no such pair set, or its manifest is damaged.
        """
        return read_manifest(self._files, self.folder(dataset_version, version), PairSetManifest)

    def pairs(self, dataset_version: str, version: str) -> list[PreferencePair]:
        """The pairs of a set.

        Raises:
            BadDataError: their file is damaged.
        """
        return self._read(dataset_version, version, Split.TRAIN)

    def held_out(self, dataset_version: str, version: str) -> list[PreferencePair]:
        """The pairs of test samples of a set; none where none were made.

        Raises:
            BadDataError: their file is damaged.
        """
        if not self.manifest(dataset_version, version).held_out:
            return []
        return self._read(dataset_version, version, Split.TEST)

    def _read(self, dataset_version: str, version: str, split: Split) -> list[PreferencePair]:
        name = f"{self.folder(dataset_version, version)}/{PREFERENCES}/{split.value}.parquet"
        return read_samples(self._files, name, PreferencePair)

    def publish(
        self,
        manifest: PairSetManifest,
        pairs: Sequence[PreferencePair],
        card: str,
        held_out: Sequence[PreferencePair] = (),
    ) -> str:
        """Write a pair set and make it the newest of its samples; returns its URI."""
        with tempfile.TemporaryDirectory(prefix="pairs-") as scratch:
            folder = Path(scratch)
            parts = {Split.TRAIN: pairs, **({Split.TEST: held_out} if held_out else {})}
            for split, rows in parts.items():
                path = folder / PREFERENCES / f"{split.value}.parquet"
                write_samples(path, rows, PreferencePair)
            (folder / "README.md").write_text(card, encoding="utf-8")
            (folder / "manifest.json").write_text(
                manifest.model_dump_json(indent=2) + "\n", encoding="utf-8"
            )
            target = self.folder(manifest.dataset_version, manifest.version)
            uri = self._files.publish_folder(folder, target)
        self.make_newest(manifest.dataset_version, manifest.version)
        return uri

    def make_newest(self, dataset_version: str, version: str) -> None:
        """Point ``latest.json`` at a published pair set."""
        name = f"{self.root(dataset_version)}/latest.json"
        self._files.write_json(name, {"version": version})
