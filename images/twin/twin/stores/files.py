"""The file store: a folder or a bucket (``s3://bucket/prefix``) behind one small interface.

Data sets, adapters, model weights and reports are *published folders*: they appear whole or not
at all, and never change after that. A folder is complete when its marker ``.published.json`` is
there; it lists every file with its size and SHA-256, and is written last.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, Any

import fsspec

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.host_names import no_such_host, unknown_host_of
from twin.stores.stored_file import StoredFile, stored_file

MARKER = ".published.json"

#: No copy takes so long: a scratch folder of this age was left by a process that was killed.
STALE_SECONDS = 24 * 3600


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_listing(folder: Path) -> dict[str, dict[str, Any]]:
    """Relative name of every file under ``folder`` (markers aside) to its size and SHA-256."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MARKER)
    return {
        path.relative_to(folder).as_posix(): {
            "size": path.stat().st_size,
            "sha256": file_digest(path),
        }
        for path in files
    }


def listing_digest(listing: dict[str, dict[str, Any]]) -> str:
    """SHA-256 (hex) over names and contents: equal folders have equal digests."""
    text = "".join(f"{name}\0{listing[name]['sha256']}\n" for name in sorted(listing))
    return hashlib.sha256(text.encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) over the names and contents of a local folder's files."""
    return listing_digest(folder_listing(folder))


class FileStore:
    """Files under one root, named by relative POSIX paths such as ``datasets/handbook``.

    Raises (all methods): `TryAgainError` when the store cannot be reached,
    `BadConfigurationError` when it refuses, `BadDataError` when what is asked for is not there.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        with _plainly(self.root):
            self._fs, self._base = fsspec.core.url_to_fs(self.root)

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        protocol = self._fs.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def uri(self, relative: str) -> str:
        """Full address of ``relative``, usable from other machines if the root is."""
        return f"{self.root}/{relative.strip('/')}"

    def relative(self, uri: str) -> str:
        """The relative path of an address under this root.

        Raises:
            BadDataError: the address lies elsewhere.
        """
        if not uri.startswith(f"{self.root}/"):
            raise BadDataError(f"{uri} is not in the file store {self.root}: check TWIN_FILES_URI")
        return uri[len(self.root) + 1 :]

    def exists(self, relative: str) -> bool:
        """Whether there is a file or folder of this name."""
        with _plainly(self.uri(relative)):
            return bool(self._fs.exists(self._path(relative)))

    def read_bytes(self, relative: str) -> bytes:
        """Content of a file."""
        with _plainly(self.uri(relative)):
            content: bytes = self._fs.cat_file(self._path(relative))
            return content

    def read_text(self, relative: str) -> str:
        """Content of a UTF-8 file."""
        return self.read_bytes(relative).decode("utf-8")

    def read_json(self, relative: str) -> Any:
        """Content of a JSON file."""
        try:
            return json.loads(self.read_bytes(relative))
        except ValueError as error:
            raise BadDataError(f"{self.uri(relative)}: not JSON: {error}") from None

    def listing(self) -> list[StoredFile]:
        """Every file below the root as it is now, ordered by name; none if there is no root."""
        with _plainly(self.root):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._base, detail=True)
            except FileNotFoundError:
                return []
        files = (stored_file(path, entry, self._base) for path, entry in found.items())
        return sorted((file for file in files if file is not None), key=lambda file: file.name)

    def read_listed(self, file: StoredFile) -> bytes:
        """Content of a file of `listing`."""
        with _plainly(f"{self.root}/{file.name}"):
            content: bytes = self._fs.cat_file(file.path)
            return content

    def write_bytes(self, relative: str, content: bytes) -> str:
        """Write a file whole or not at all; returns its URI."""
        path = self._path(relative)
        with _plainly(self.uri(relative)):
            if self.is_local:
                with _replacing(Path(path)) as file:
                    file.write(content)
            else:  # an object appears only when its upload is complete
                self._fs.pipe_file(path, content)
        return self.uri(relative)

    def write_text(self, relative: str, text: str) -> str:
        """Write a UTF-8 file whole or not at all; returns its URI."""
        return self.write_bytes(relative, text.encode("utf-8"))

    def write_json(self, relative: str, value: Any) -> str:
        """Write a JSON file whole or not at all; returns its URI."""
        return self.write_text(relative, json.dumps(value, indent=2, sort_keys=True) + "\n")

    def put(self, local: Path, relative: str) -> str:
        """Copy a local file into the store, whole or not at all; returns its URI."""
        path = self._path(relative)
        with _plainly(self.uri(relative)):
            if self.is_local:
                _copy_file(local, Path(path))
            else:
                self._fs.put_file(str(local), path)
        return self.uri(relative)

    def fetch(self, relative: str, folder: Path) -> Path:
        """A local copy of a file, in ``folder``: the file itself if the store is local."""
        path = self._path(relative)
        if self.is_local:
            return Path(path)
        target = folder / relative.replace("/", "_")
        if not target.exists():
            with _plainly(self.uri(relative)):
                self._fs.get_file(path, str(target.with_suffix(".part")))
            target.with_suffix(".part").replace(target)
        return target

    def names(self, relative: str) -> list[str]:
        """Sorted names directly under a folder; empty if there is no such folder."""
        with _plainly(self.uri(relative)):
            path = self._path(relative)
            # Buckets cache listings; another machine may have written since.
            self._fs.invalidate_cache()
            if not self._fs.isdir(path):
                return []
            entries = self._fs.ls(path, detail=False)
        return sorted(PurePosixPath(entry).name for entry in entries)

    def remove(self, relative: str) -> None:
        """Delete a file or folder; not being there is fine."""
        path = self._path(relative)
        with _plainly(self.uri(relative)):
            self._fs.invalidate_cache()
            # Markers first, so that no half-deleted folder looks complete, nor one within it.
            markers = [each for each in self._fs.find(path) if PurePosixPath(each).name == MARKER]
            for each in (*sorted(markers), path):
                if self._fs.exists(each):
                    self._fs.rm(each, recursive=True)

    def is_published(self, relative: str) -> bool:
        """Whether there is a complete folder of this name."""
        return self.exists(f"{relative.strip('/')}/{MARKER}")

    def published_digest(self, relative: str) -> str:
        """SHA-256 over the files of a published folder, as recorded when it was published."""
        return str(self._marker(relative)["digest"])

    def publish_folder(
        self, local: Path, relative: str, *, replace: bool = False, move: bool = False
    ) -> str:
        """Copy a local folder into the store so that readers see all of it or nothing.

        A published folder of this name is left as it is (names carry a digest or a fingerprint),
        unless ``replace``. With ``move`` a local store takes the folder itself, on the same disk
        without a copy. Returns the folder's URI.
        """
        if self.is_published(relative):
            if not replace:
                return self.uri(relative)
            self.remove(relative)
        listing = folder_listing(local)
        marker = {"digest": listing_digest(listing), "files": listing}
        with _plainly(self.uri(relative)):
            if self.is_local:
                _publish_locally(local, Path(self._path(relative)), marker, move=move)
            else:
                for name in listing:
                    self._fs.put_file(str(local / name), f"{self._path(relative)}/{name}")
                self.write_json(f"{relative}/{MARKER}", marker)
        return self.uri(relative)

    def fetch_folder(
        self, relative_or_uri: str, cache: Path, wanted: Callable[[str], bool] | None = None
    ) -> Path:
        """A local copy of a published folder: the folder itself if the store is local.

        Downloads go to ``cache/<digest>``, are checked against the recorded sizes and digests,
        and are done once. ``wanted`` chooses files by their names; such parts need a cache of
        their own.

        Raises:
            BadDataError: the folder is not (completely) there, or its bytes are not what was
                published.
        """
        relative = relative_or_uri.removeprefix(f"{self.root}/")
        marker = self._marker(relative)
        if self.is_local:
            folder = Path(self._path(relative))
            _check_sizes(folder, marker, self.uri(relative))
            return folder
        target: Path = cache / str(marker["digest"])
        if not target.is_dir():
            with _scratch(cache, ".fetch-") as folder:
                self.download_folder(relative, folder, wanted)
                _rename_folder(folder, target)
        return target

    def published_listing(self, relative: str) -> dict[str, dict[str, Any]]:
        """Relative name of a published folder's files to size and SHA-256, as recorded."""
        return dict(self._marker(relative)["files"])

    def download_folder(
        self, relative: str, folder: Path, wanted: Callable[[str], bool] | None = None
    ) -> None:
        """Bring a published folder into ``folder``; files that are there already are kept.

        Raises:
            BadDataError: the folder is not (completely) there, or its bytes are not what was
                published; what does not fit is deleted.
        """
        files = self.published_listing(relative)
        files = {name: entry for name, entry in files.items() if wanted is None or wanted(name)}
        marker = {"digest": listing_digest(files), "files": files}
        with _plainly(self.uri(relative)):
            for name, entry in files.items():
                self._download_file(f"{self._path(relative)}/{name}", folder / name, entry)
            if folder_digest(folder) != marker["digest"]:
                shutil.rmtree(folder, ignore_errors=True)
                raise BadDataError(f"{self.uri(relative)}: the bytes are not those published")
            (folder / MARKER).write_text(json.dumps(marker), encoding="utf-8")

    def _download_file(self, path: str, target: Path, entry: dict[str, Any]) -> None:
        if not (target.is_file() and target.stat().st_size == entry["size"]):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f"{target.name}.part")
            self._fs.get_file(path, str(partial))
            partial.replace(target)

    def _marker(self, relative: str) -> dict[str, Any]:
        if not self.is_published(relative):
            raise BadDataError(f"{self.uri(relative)}: nothing complete has been published there")
        marker: dict[str, Any] = self.read_json(f"{relative.strip('/')}/{MARKER}")
        return marker

    def _path(self, relative: str) -> str:
        parts = PurePosixPath(relative.strip("/")).parts
        if ".." in parts or relative.startswith("/"):
            raise BadDataError(f"{relative!r} is not a path inside the file store")
        return "/".join((self._base, *parts))

    def _errors(self, relative: str) -> AbstractContextManager[None]:
        return _plainly(self.uri(relative))


def open_files(settings: Settings) -> FileStore:
    """The file store of these settings."""
    return FileStore(settings.files_root)


def _publish_locally(
    local: Path, target: Path, marker: dict[str, Any], *, move: bool = False
) -> None:
    with _scratch(target.parent, ".publish-") as folder:
        (shutil.move if move else shutil.copytree)(local, folder)
        (folder / MARKER).write_text(json.dumps(marker, indent=2), encoding="utf-8")
        # Left by a publication that was killed on another kind of store. One with a marker is
        # complete, by a process that was first, and may be in use.
        if target.is_dir() and not (target / MARKER).is_file():
            shutil.rmtree(target)
        _rename_folder(folder, target)


@contextmanager
def _scratch(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder yet to be made, beside the place that it will be renamed to."""
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=prefix) as scratch:
        yield Path(scratch) / "folder"


def _rename_folder(folder: Path, target: Path) -> None:
    """Rename into place; if another process was first, its folder (the same content) stays."""
    folder.chmod(0o755)
    try:
        folder.rename(target)
    except OSError:
        if not (target / MARKER).is_file():
            raise


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the name only when it is written whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _copy_file(local: Path, path: Path) -> None:
    with _replacing(path) as file, local.open("rb") as content:
        shutil.copyfileobj(content, file)
        file.flush()
        os.fsync(file.fileno())


def _check_sizes(folder: Path, marker: dict[str, Any], uri: str) -> None:
    for name, entry in marker["files"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry["size"]:
            raise BadDataError(
                f"{uri}: {name} is missing or not of the published size; "
                "delete the folder and run the job that makes it again"
            )


@contextmanager
def _plainly(what: str) -> Iterator[None]:
    """Turn what file systems raise into the house's errors."""
    try:
        yield
    except FileNotFoundError:
        raise BadDataError(f"{what}: no such file") from None
    except PermissionError as error:
        raise BadConfigurationError(f"{what}: access refused: {error}") from None
    except (ImportError, ValueError) as error:
        raise BadConfigurationError(f"TWIN_FILES_URI {what}: {error}") from None
    except OSError as error:
        _refuse_unknown_host(what, error)
        raise TryAgainError(f"{what}: {type(error).__name__}: {error}") from None
    except Exception as error:
        _refuse_unknown_host(what, error)
        # s3fs lets botocore's own errors (no credentials, no connection) through.
        if type(error).__module__.startswith("botocore"):
            raise TryAgainError(f"{what}: {' '.join(str(error).split())}") from None
        raise


def _refuse_unknown_host(what: str, error: Exception) -> None:
    """Raise what names the host, if it is one that there is not."""
    host = unknown_host_of(error)
    if host is not None:
        raise BadConfigurationError(f"{what}: {no_such_host(host)} (AWS_ENDPOINT_URL)") from None
