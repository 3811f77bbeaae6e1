"""Trained classifiers in the file store.

``classifiers/<recipe>/<name>/<version>/`` holds a transformers folder (safetensors) with card and
report; ``classifiers/<recipe>/<name>/latest.json`` names the version that is offered, and those
that it was compared with.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.stores.files import FileStore

REPORT = "report.json"
"""File of a version's folder that says what the classifier is worth; it decides nothing."""


class Classifiers:
    """The classifiers of one recipe."""

    def __init__(self, files: FileStore, recipe: str) -> None:
        self._files = files
        self._root = f"classifiers/{recipe}"

    def folder(self, name: str, version: str) -> str:
        """Relative name of a version's folder."""
        return f"{self._root}/{name}/{version}"

    def uri(self, name: str, version: str) -> str:
        """Address of a version's folder."""
        return self._files.uri(self.folder(name, version))

    def is_there(self, name: str, version: str) -> bool:
        """Whether a version is published."""
        return self._files.is_published(self.folder(name, version))

    def read_text(self, name: str, version: str, file: str) -> str:
        """A file of a version."""
        return self._files.read_text(f"{self.folder(name, version)}/{file}")

    def offer(self, name: str, version: str, compared: Sequence[str]) -> None:
        """Make a version the one that is offered, chosen among those compared."""
        chosen = {"version": version, "compared": list(compared)}
        self._files.write_json(self._latest(name), chosen)

    def offered(self, name: str) -> str:
        """The version that is offered.

        Raises:
            BadDataError: none is.
        """
        return str(self._chosen(name)["version"])

    def compared(self, name: str) -> list[str]:
        """The versions that the one offered was chosen among, itself included.

        Raises:
            BadDataError: none is offered.
        """
        return [str(version) for version in self._chosen(name)["compared"]]

    def _chosen(self, name: str) -> dict[str, Any]:
        if not self._files.exists(self._latest(name)):
            raise BadDataError(
                f"no classifier {name} is trained: run `twin training classifier fit`"
            )
        chosen: dict[str, Any] = self._files.read_json(self._latest(name))
        return chosen

    def _latest(self, name: str) -> str:
        return f"{self._root}/{name}/latest.json"

    def write_to(self, name: str, version: str, target: Path) -> None:
        """Put a version into a folder of this machine, whole or not at all.

        Raises:
            BadConfigurationError: something else than a classifier of this system is there.
        """
        if target.exists() and not _has_report(target):
            raise BadConfigurationError(
                f"{target} is there and holds no classifier that this command has written: name "
                "another folder"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            fetched = self._files.fetch_folder(self.folder(name, version), Path(scratch) / "cache")
            whole = shutil.copytree(fetched, Path(scratch) / "whole")
            if target.exists():
                shutil.rmtree(target)
            whole.rename(target)


def _has_report(folder: Path) -> bool:
    """Whether a classifier's report lies in it: a config.json has any model of anybody's."""
    try:
        report = json.loads((folder / REPORT).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(report, dict) and {"encoder_digest", "weights_sha256"} <= report.keys()
