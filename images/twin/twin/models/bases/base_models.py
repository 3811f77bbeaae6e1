"""Base models as recipes name them: pinned, kept once in the file store, ready to be loaded.

A recipe names a model of the catalogue, a folder, a hub's ``owner/name[@revision]``, or whatever
else `twin models fetch` has kept. An id without revision is resolved once; what it was resolved to
is recorded with the model in the file store.
"""

from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.models.bases.catalogue import CATALOGUE
from twin.models.bases.fetch import (
    HUB_ID,
    fetch_base_model,
    find_kept,
    local_folder,
    split_revision,
    unknown_base_model,
)
from twin.models.bases.folder_checks import check_folder, folder_model_digest
from twin.models.bases.kept import KeptBase, KeptBases
from twin.settings import Settings
from twin.stores.files import open_files


@dataclass(frozen=True)
class BaseModelPin:
    """Which base model a name means.

    Attributes:
        name: what means the same model from now on: with the revision, where there are several.
        digest: what tells it from every other one: of a packaged model a hash of its pin, of any
            other the SHA-256 over the files that are loaded.
    """

    name: str
    digest: str


def pin_base_model(name: str, settings: Settings) -> BaseModelPin:
    """Which base model a name means; of a packaged model found without preparing it.

    Raises:
        BadDataError: no such model (the message lists the known ones), or it can't be a base.
        BadConfigurationError: it is gated, or its package is not installed.
        TryAgainError: the model hub does not answer.
    """
    if (packaged := CATALOGUE.get(name)) is not None:
        return BaseModelPin(name, packaged.revision)
    if Path(name).is_dir():
        folder = check_folder(Path(name).resolve())
        return BaseModelPin(name, folder_model_digest(folder, settings.models_root / "digests"))
    kept = keep_base_model(name, settings)
    return BaseModelPin(kept.name, kept.digest)


def prepare_base_model(name: str, settings: Settings) -> Path:
    """The folder of a base model on this machine, checked and ready to be loaded.

    Raises:
        BadDataError: no such model (the message lists the known ones), it can't be a base, or its
            bytes are not those that were kept.
        BadConfigurationError: it is gated, or its package is not installed.
        TryAgainError: the model hub or the file store does not answer, or there is no space left.
    """
    if name not in CATALOGUE and Path(name).is_dir():
        return check_folder(Path(name).resolve())
    return local_folder(keep_base_model(name, settings), settings)


def keep_base_model(name: str, settings: Settings) -> KeptBase:
    """The base as the file store keeps it; fetched now, if that is allowed and it is missing.

    Raises:
        BadDataError: it is neither kept nor may be fetched; otherwise as `prepare_base_model`.
    """
    if (base := find_kept(name, KeptBases(open_files(settings)))) is not None:
        return base
    check_base_model_name(name, settings)
    if not settings.fetch_models and name not in CATALOGUE and not Path(name).is_dir():
        raise BadDataError(
            f"base model {name} is not in the file store {settings.files_root}, and this job may "
            f"not fetch it: run `twin models fetch {name}`, or trigger the DAG models"
        )
    return fetch_base_model(name, settings)[0]


def check_base_model_name(name: str, settings: Settings) -> None:
    """Refuse a name that `prepare_base_model` would not take, without preparing anything.

    Raises:
        BadDataError: it is one; the message names the nearest known one and all others.
    """
    kept = KeptBases(open_files(settings))
    model, _ = split_revision(name)
    if model in CATALOGUE or Path(name).is_dir() or HUB_ID.fullmatch(model):
        return
    if find_kept(name, kept) is None:
        raise unknown_base_model(name, kept)
