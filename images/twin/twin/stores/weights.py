"""Weights that jobs and replicas load: on a machine once, and checked against what is recorded."""

from pathlib import Path

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import FileStore, folder_digest, open_files
from twin.stores.node_cache import NodeCache


def fetch_weights(weights_uri: str, weights_digest: str, settings: Settings) -> Path:
    """A local folder with a version's weights, whose bytes are those that were registered.

    Raises:
        BadDataError: they are missing, or other bytes.
        BadConfigurationError: they are larger than ``TWIN_MODEL_CACHE_BYTES``.
        TryAgainError: the store does not answer, or there is no room.
    """
    files = open_files(settings)
    advice = "run `twin training package` again"
    relative = files.relative(weights_uri)
    return fetch_checked(files, relative, weights_digest, weights_cache(settings), advice)


def weights_cache(settings: Settings) -> NodeCache:
    """Where this machine keeps weights of versions."""
    return NodeCache(settings.models_root / "weights", settings.model_cache_bytes)


def fetch_checked(
    files: FileStore, relative: str, digest: str, cache: NodeCache, advice: str
) -> Path:
    """A local folder with a published folder's files, of which every byte is checked.

    Of a local store it is the folder itself; of another one a copy in ``cache``, which is fetched
    again if its bytes have changed.

    Args:
        digest: what the folder's digest must be.
        advice: what to do where it is another one.

    Raises:
        BadDataError: the folder is not there, or has other bytes.
    """
    if files.published_digest(relative) != digest:
        raise _differs(files.uri(relative), advice)
    if files.is_local:
        folder = files.fetch_folder(relative, cache.root)
        if folder_digest(folder) != digest:
            raise _differs(files.uri(relative), advice)
        return folder
    downloaded = False

    def download(partial: Path) -> None:
        nonlocal downloaded
        files.download_folder(relative, partial)
        downloaded = True

    size = sum(int(entry["size"]) for entry in files.published_listing(relative).values())
    folder = cache.folder(digest, size, download)
    # Gigabytes are not hashed again that were as they were downloaded.
    if not downloaded and folder_digest(folder) != digest:
        cache.discard(digest)
        return cache.folder(digest, size, download)
    return folder


def _differs(uri: str, advice: str) -> BadDataError:
    return BadDataError(f"{uri}: not the weights that were registered (digest differs); {advice}")
