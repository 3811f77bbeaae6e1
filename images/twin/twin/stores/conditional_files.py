"""Files that several processes change: each write names what it was made from, and is refused if
another was first (compare-and-swap).

In a bucket the store itself compares, by S3's conditional writes
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html; MinIO, Ceph and
SeaweedFS have them too). In a folder a lock is held while what is there is compared and replaced;
it ends with its process, however that ends.
"""

import hashlib
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.settings import Settings
from twin.stores.files import FileStore

#: Comparing and replacing a small file takes a millisecond.
LOCK_SECONDS = 10.0

#: How S3 says that the object is another one: 412, and 409 to the second of two at once.
_REFUSALS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class ChangedMeanwhileError(Exception):
    """The file is no more what the write was made from: read it again."""


class ConditionalFiles(FileStore):
    """Files under one root with reads that give a version, and writes that take one."""

    def read_version(self, relative: str) -> tuple[bytes, str] | None:
        """Content and version of a file as it is now; None if there is none.

        The version is never newer than the content: a write between the two is noticed by
        `write_if`.

        Raises:
            TryAgainError: the store does not answer.
            BadConfigurationError: it refuses, or is of a kind that can't compare.
        """
        if self.is_local:
            path = Path(self._path(relative))
            content = path.read_bytes() if path.is_file() else None
            return None if content is None else (content, _digest(content))
        tag = self._tag(relative)
        return None if tag is None else (self.read_bytes(relative), tag)

    def write_if(self, relative: str, content: bytes, version: str | None) -> None:
        """Write a file whole if it still is of this version; None: if there still is none.

        Raises:
            ChangedMeanwhileError: another write was first.
            TryAgainError: the store does not answer.
            BadConfigurationError: it refuses.
        """
        if self.is_local:
            self._replace_locally(relative, content, version)
        else:
            self._put(relative, content, version)

    def _replace_locally(self, relative: str, content: bytes, version: str | None) -> None:
        path = Path(self._path(relative))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_SECONDS):
                found = path.read_bytes() if path.is_file() else None
                if (None if found is None else _digest(found)) != version:
                    raise ChangedMeanwhileError(relative)
                self.write_bytes(relative, content)
        except Timeout:
            raise TryAgainError(
                f"{self.uri(relative)} is locked by another process for {LOCK_SECONDS:.0f} s"
            ) from None

    def _put(self, relative: str, content: bytes, version: str | None) -> None:
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with self._errors(relative):
            try:
                self._fs.pipe_file(self._path(relative), content, **condition)
            except Exception as error:
                if isinstance(error, FileExistsError) or _code(error) in _REFUSALS:
                    raise ChangedMeanwhileError(relative) from None
                if isinstance(error, FileNotFoundError):  # S3's answer where it was deleted
                    raise ChangedMeanwhileError(relative) from None
                raise

    def _tag(self, relative: str) -> str | None:
        with self._errors(relative):
            self._fs.invalidate_cache()
            try:
                found = self._fs.info(self._path(relative))
            except FileNotFoundError:
                return None
        if "ETag" not in found:
            raise BadConfigurationError(
                f"{self.root}: a rollout needs a file store that compares before it writes: set "
                "TWIN_FILES_URI to a folder or an S3 bucket"
            )
        return str(found["ETag"])


def open_conditional_files(settings: Settings) -> ConditionalFiles:
    """The file store of these settings, with conditional writes."""
    return ConditionalFiles(settings.files_root)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _code(error: Exception) -> str:
    """S3's word for an error; s3fs keeps botocore's exception as the cause of its own."""
    for each in (error, error.__cause__):
        response: Any = getattr(each, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""
