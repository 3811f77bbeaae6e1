"""Published folders, written and read as streams: nothing of them lies on this machine's disk.

A file is packed (gzip) on its way. In a bucket it goes up in parts (S3's multipart upload,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html), so that memory holds one
part, however large the file becomes. As in `twin.stores.files`, a folder is complete when its
marker is there, and that comes last.
"""

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, Protocol, cast

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import MARKER, FileStore, listing_digest

#: S3 takes 10,000 parts at most: with these a packed file may have 320 GB.
PART_BYTES = 32 * 2**20
#: What is asked of a bucket in one request.
READ_BYTES = 8 * 2**20
#: What is handed on at once.
CHUNK_BYTES = 2**20
PACKED = ".gz"
#: As the program gzip; Python's own default, 9, takes twice as long for 1% less.
PACK_LEVEL = 6


class ByteSource(Protocol):
    """A file that can be read from its start, more than once: a `Path`, or one of the store."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """The file at its start; closing it is the caller's."""
        ...


class StreamedFiles(FileStore):
    """Files under one root, with streams into and out of them."""

    @contextmanager
    def publishing(self, relative: str) -> Iterator["Publication"]:
        """A folder to write into, which is published when the block ends.

        If it ends by an error, the folder is removed. A process that is killed leaves a folder
        without a marker, and in a bucket perhaps parts of a file, which a rule of the bucket
        clears away (AbortIncompleteMultipartUpload).
        """
        publication = Publication(self, relative)
        try:
            yield publication
            publication.finish()
        except BaseException:
            self.remove(relative)
            raise

    @contextmanager
    def writing(self, relative: str) -> Iterator["Sink"]:
        """A new file's bytes. In a bucket it is there when the block ends without an error."""
        path = self._path(relative)

        def errors() -> AbstractContextManager[None]:
            return self._errors(relative)

        if self.is_local:
            with errors():
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                file = Path(path).open("wb")  # noqa: SIM115 - closed by the next line
            with file:
                yield Sink(file, errors)
                with errors():
                    file.flush()
                    os.fsync(file.fileno())
            return
        with errors():
            upload: Any = self._fs.open(path, "wb", block_size=PART_BYTES, autocommit=False)
        try:
            yield Sink(upload, errors)
            with errors():
                upload.close()
                upload.commit()
        except BaseException:
            upload.closed = True  # else fsspec sends what is left
            with errors():
                upload.discard()
            raise

    def reading(self, relative: str) -> BinaryIO:
        """A file's bytes from its start; closing it is the caller's."""
        with self._errors(relative):
            if self.is_local:
                return Path(self._path(relative)).open("rb")
            # Without a cache beyond the block that is being read.
            path = self._path(relative)
            return cast(BinaryIO, self._fs.open(path, "rb", block_size=READ_BYTES))

    def packed(self, relative: str) -> "PackedFile":
        """A packed file of the store, to be read as what was packed."""
        return PackedFile(self, relative)

    def check_published(self, relative: str) -> None:
        """Read every file of a published folder and compare it with what was published.

        Raises:
            BadDataError: one is another, or is not there.
        """
        for name, entry in self.published_listing(relative).items():
            digest = hashlib.sha256()
            with self.reading(f"{relative}/{name}") as file, self._errors(f"{relative}/{name}"):
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
            if digest.hexdigest() != entry["sha256"]:
                what = self.uri(f"{relative}/{name}")
                raise BadDataError(f"{what}: the bytes are not those published")


def open_streams(settings: Settings) -> StreamedFiles:
    """The file store of these settings."""
    return StreamedFiles(settings.files_root)


class Sink(io.RawIOBase):
    """Bytes on their way into a file: counted, digested, the file's errors made plain.

    Args:
        file: that takes them.
        errors: makes what turns the errors of `file` into the house's.
    """

    def __init__(self, file: Any, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._file = file
        self._errors = errors
        self._digest = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Hand bytes on."""
        view = memoryview(data).cast("B")
        with self._errors():
            self._file.write(view)
        self._digest.update(view)
        self._size += len(view)
        return len(view)

    def entry(self) -> dict[str, Any]:
        """Size and SHA-256 of what has passed, as a marker lists them."""
        return {"size": self._size, "sha256": self._digest.hexdigest()}


class Publication:
    """A folder that is being written: see `StreamedFiles.publishing`."""

    def __init__(self, files: StreamedFiles, relative: str) -> None:
        self._files = files
        self._relative = relative
        self._listing: dict[str, dict[str, Any]] = {}
        #: SHA-256 of what was packed, by the file's name without ``.gz``.
        self.digests: dict[str, str] = {}

    @contextmanager
    def binary(self, name: str) -> Iterator[Sink]:
        """A file to write to, stored packed as ``name.gz``: the same bytes for the same content."""
        stored = f"{name}{PACKED}"
        with self._files.writing(f"{self._relative}/{stored}") as packed:
            with (
                io.BufferedWriter(packed, CHUNK_BYTES) as buffered,
                gzip.GzipFile("", "wb", PACK_LEVEL, buffered, mtime=0) as zipped,
                Sink(zipped, nullcontext) as plain,
            ):
                yield plain
            self._listing[stored] = packed.entry()
        self.digests[name] = plain.entry()["sha256"]

    @contextmanager
    def text(self, name: str) -> Iterator[IO[str]]:
        """As `binary`, for UTF-8 text."""
        with (
            self.binary(name) as plain,
            io.BufferedWriter(plain, CHUNK_BYTES) as buffered,
            io.TextIOWrapper(buffered, encoding="utf-8", newline="\n") as text,
        ):
            yield text

    def plain(self, name: str, content: str) -> None:
        """A small text, stored as it is."""
        raw = content.encode("utf-8")
        self._files.write_bytes(f"{self._relative}/{name}", raw)
        self._listing[name] = {"size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}

    def finish(self) -> None:
        """Publish: the folder is complete from now on."""
        marker = {"digest": listing_digest(self._listing), "files": self._listing}
        self._files.write_json(f"{self._relative}/{MARKER}", marker)


class PackedFile:
    """A packed file of the store: a `ByteSource` of what was packed."""

    def __init__(self, files: StreamedFiles, relative: str) -> None:
        self._files = files
        self._relative = relative

    def __str__(self) -> str:
        """Where it is, for errors."""
        return self._files.uri(self._relative)

    def open(self, mode: Literal["rb"] = "rb", /) -> BinaryIO:  # noqa: ARG002 - as `Path.open`
        """What was packed, from its start."""
        stored = self._files.reading(self._relative)
        raw = _Unpacked(stored, str(self), lambda: self._files._errors(self._relative))
        return io.BufferedReader(raw, CHUNK_BYTES)


class _Unpacked(io.RawIOBase):
    """Reads a gzip stream; whatever goes wrong is an error of the house."""

    def __init__(
        self, stored: BinaryIO, what: str, errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._stored = stored
        self._zipped = gzip.GzipFile(fileobj=stored, mode="rb")
        self._what = what
        self._errors = errors

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; 0 at the end."""
        with self._errors():
            try:
                return self._zipped.readinto(buffer)
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise BadDataError(f"{self._what}: cannot be unpacked: {error}") from None

    def close(self) -> None:
        """Close the stored file too."""
        if not self.closed:
            self._stored.close()
        super().close()
