"""`twin datasets push`: a version of samples, with its newest pairs, as a data set of a hub."""

import shutil
import tempfile
from pathlib import Path

from twin.datasets.read_version import open_version
from twin.models.bases.hub_push import push_dataset
from twin.settings import get_settings
from twin.stores.files import MARKER, open_files
from twin.stores.pair_sets import PREFERENCES
from twin.stores.sample_sets import REJECTED

CONFIGS = "configs:\n"


def push_version(recipe: str, version: str, name: str, *, public: bool) -> str:
    """Push a version; returns its address.

    What gates left out stays here: it was left out for a reason. The tag names the pairs too, for
    other pairs may be made of the same samples.

    Raises:
        BadConfigurationError: there is no token, or it may not write there.
        BadDataError: there is no such version, or the hub does not take it.
        TryAgainError: the hub does not answer.
    """
    sets, pairs, samples = open_version(recipe, version)
    files, settings = open_files(get_settings()), get_settings()
    newest = pairs.newest(samples)
    with tempfile.TemporaryDirectory(prefix="push-") as scratch:
        cache, folder = Path(scratch) / "fetched", Path(scratch) / "pushed"
        _copy(files.fetch_folder(sets.folder(samples), cache), folder)
        tag = samples
        if newest is not None and pairs.manifest(samples, newest).pairs:
            _copy(files.fetch_folder(pairs.folder(samples, newest), cache), folder / "pairs")
            _offer_pairs(folder / "README.md")
            tag = f"{samples}-{newest}"
        return push_dataset(settings.hub_token, name, folder, tag, public=public)


def _copy(published: Path, folder: Path) -> None:
    """What is published may be the store's own, and stays as it is."""
    shutil.copytree(published, folder, ignore=shutil.ignore_patterns(REJECTED, MARKER))


def _offer_pairs(card: Path) -> None:
    """Name the pairs in the card's front matter, so that `datasets` can load them too."""
    offered = (
        f"- config_name: {PREFERENCES}\n"
        "  data_files:\n"
        f"  - {{split: train, path: pairs/{PREFERENCES}/train.parquet}}\n"
    )
    text = card.read_text(encoding="utf-8")
    card.write_text(text.replace(CONFIGS, CONFIGS + offered, 1), encoding="utf-8")
