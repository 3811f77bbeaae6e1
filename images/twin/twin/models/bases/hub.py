"""Models of the Hugging Face hub: what a revision holds, and its files, downloaded to resume.

The library's own download begins a file anew when its process was killed; here a file goes on
where it stopped, and is checked against the digest that the hub names for it. ``HF_ENDPOINT``
names another hub or a mirror.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.bases.folder_checks import LOADED, refuse_pickles

Advance = Callable[[int], None]

#: What is downloaded of a model besides what is loaded.
_PAPERS = ("LICEN[CS]E*", "NOTICE*", "USE_POLICY*")
#: The same weights again, in the maker's own names.
_DOUBLES = ("consolidated*.safetensors",)

_ATTEMPTS = 4


@dataclass(frozen=True)
class HubFile:
    """A file of a revision.

    Attributes:
        sha256: of large files.
        git_id: SHA-1 by which git knows the others.
    """

    name: str
    size: int
    sha256: str | None
    git_id: str | None


@dataclass(frozen=True)
class HubRevision:
    """A model at one commit."""

    id: str
    commit: str
    licence: str
    gated: bool
    files: tuple[HubFile, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of all files that are downloaded."""
        return sum(file.size for file in self.files)


class Hub:
    """The hub, asked with a token or without.

    Raises (all methods), each in one line that says what to do: `BadDataError` for a model, a
    revision or a format that there is not, `BadConfigurationError` where the token is refused or
    access has to be asked for, `TryAgainError` where the hub does not answer.
    """

    def __init__(self, token: SecretStr | None) -> None:
        from huggingface_hub import HfApi

        self._token: str | bool = token.get_secret_value() if token is not None else False
        # Without a token of ours none is sent, not even one that another program has left.
        self._api = HfApi(token=self._token)

    def revision(self, model: str, revision: str | None) -> HubRevision:
        """What the hub holds of a model at a revision (branch, tag or commit; unset: main)."""
        with self._explained(model, revision), online():
            info = self._api.model_info(model, revision=revision, files_metadata=True)
        siblings = info.siblings or []
        refuse_pickles(model, [sibling.rfilename for sibling in siblings])
        files = tuple(_file(sibling) for sibling in siblings if _is_wanted(sibling.rfilename))
        return HubRevision(
            id=model,
            commit=str(info.sha),
            licence=_licence(info, model),
            gated=bool(info.gated),
            files=files,
        )

    def download(self, wanted: HubRevision, folder: Path, advance: Advance) -> None:
        """Bring the files of a revision into ``folder``, going on with what is there already.

        Args:
            wanted: as `revision` gives it.
            folder: exists; of the same revision, if anything is in it.
            advance: told the bytes that have come, those that were there included.
        """
        for file in sorted(wanted.files, key=lambda file: file.size):
            with self._explained(wanted.id, wanted.commit), online():
                self._download(wanted, file, folder / file.name, advance)

    def _download(self, wanted: HubRevision, file: HubFile, target: Path, advance: Advance) -> None:
        if target.is_file():
            advance(file.size)
            return
        partial = target.with_name(f"{target.name}.part")
        for attempt in range(_ATTEMPTS):
            self._get(wanted, file, partial, advance)
            if _is_as_named(partial, file):
                partial.replace(target)
                return
            partial.unlink()  # what had come before was of something else
            time.sleep(attempt)
        raise TryAgainError(
            f"{wanted.id}: {file.name} comes with other bytes than the hub names for it"
        )

    def _get(self, wanted: HubRevision, file: HubFile, partial: Path, advance: Advance) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        if partial.is_file() and partial.stat().st_size > file.size:
            partial.unlink()
        with partial.open("ab") as output:
            http_get(
                hf_hub_url(
                    wanted.id, file.name, revision=wanted.commit, endpoint=self._api.endpoint
                ),
                output,
                resume_size=output.tell(),
                headers=build_hf_headers(token=self._token),
                expected_size=file.size,
                tqdm_class=_reports_to(advance),
            )

    @contextmanager
    def _explained(self, model: str, revision: str | None) -> Iterator[None]:
        """Turn what the hub's library raises into the house's errors."""
        import httpx2
        from huggingface_hub import errors

        try:
            yield
        except errors.GatedRepoError:
            raise BadConfigurationError(self._gated(model)) from None
        except errors.RevisionNotFoundError:
            raise BadDataError(
                f"{model} has no revision {revision!r} (any more): name another one after @"
            ) from None
        except errors.RepositoryNotFoundError:
            raise BadDataError(
                f"the hub {self._api.endpoint} has no model {model!r}, or it is private: check "
                "the name, or set TWIN_HUB_TOKEN to a token of an account that may read it"
            ) from None
        except errors.HfHubHTTPError as error:
            raise self._refusal(model, error) from None
        except errors.HFValidationError as error:
            raise BadDataError(f"{model!r} is no name of a hub's model: {_line(error)}") from None
        except (httpx2.HTTPError, ValueError) as error:
            raise TryAgainError(
                f"the model hub {self._api.endpoint} does not answer as one: "
                f"{type(error).__name__}: {_line(error)}; try again, or name a mirror with "
                "HF_ENDPOINT"
            ) from None

    def _refusal(self, model: str, error: Any) -> BadConfigurationError | TryAgainError:
        status = error.response.status_code
        if status == 401:
            return BadConfigurationError(
                f"the hub {self._api.endpoint} refuses the token of TWIN_HUB_TOKEN: make a new one"
            )
        if status == 403:
            return BadConfigurationError(self._gated(model))
        return TryAgainError(
            f"the hub {self._api.endpoint} answers {status} for {model}: {_line(error)}"
        )

    def _gated(self, model: str) -> str:
        page = f"{self._api.endpoint}/{model}"
        if self._token:
            return f"the account of TWIN_HUB_TOKEN may not read {model}: ask for access at {page}"
        return (
            f"{model} is gated: accept its licence at {page}, then set TWIN_HUB_TOKEN to a token "
            "of that account"
        )


def _is_wanted(name: str) -> bool:
    """Of the top folder only: below it lie other formats of the same weights."""
    wanted = any(fnmatch(name, pattern) for pattern in (*LOADED, *_PAPERS))
    doubles = any(fnmatch(name, pattern) for pattern in _DOUBLES)
    return wanted and not doubles and "/" not in name and "\\" not in name


def _file(sibling: Any) -> HubFile:
    return HubFile(
        name=sibling.rfilename,
        size=int(sibling.size or 0),
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        git_id=sibling.blob_id if not sibling.lfs else None,
    )


def _is_as_named(path: Path, file: HubFile) -> bool:
    if file.sha256 is None and file.git_id is None:
        return path.stat().st_size == file.size
    if file.sha256 is not None:
        digest, expected = hashlib.sha256(), file.sha256
    else:  # git hashes its own heading too
        digest, expected = hashlib.sha1(usedforsecurity=False), str(file.git_id)
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == expected


def _licence(info: Any, model: str) -> str:
    """As the model's card says it: an SPDX id or a name, and where its text is."""
    card = info.card_data.to_dict() if info.card_data else {}
    tags = (tag.partition(":")[2] for tag in info.tags or [] if tag.startswith("license:"))
    name = card.get("license_name") or card.get("license") or next(tags, None)
    if isinstance(name, list):
        name = ", ".join(map(str, name))
    page = card.get("license_link") or f"https://huggingface.co/{model}"
    return f"{name or 'not stated'}, {page}"


@contextmanager
def online() -> Iterator[None]:
    """Let the hub's library ask; every job's default is that it never does (`twin.cli`)."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = False
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reports_to(advance: Advance) -> Any:
    """What the hub's library calls as it would call a progress bar of its own."""

    class Bytes:
        def __init__(self, *, initial: int = 0, **_bar: Any) -> None:
            advance(initial)

        def update(self, count: float | None = 1) -> None:
            advance(int(count or 0))

        def __enter__(self) -> "Bytes":
            return self

        def __exit__(self, *_error: object) -> None:
            pass

    return Bytes


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
