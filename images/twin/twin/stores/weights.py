"""Weights of registered versions, fetched once per machine and checked against the registry."""

from pathlib import Path

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import folder_digest, open_files


def fetch_weights(weights_uri: str, weights_digest: str, settings: Settings) -> Path:
    """A local folder with a version's weights, whose bytes are those that were registered.

    Raises:
        BadDataError: they are missing, or other bytes.
    """
    cache = settings.home.resolve() / "weights"
    download = cache / weights_digest
    was_there = download.is_dir()
    folder = open_files(settings).fetch_folder(weights_uri, cache)
    if folder == download and not was_there:
        return folder  # gigabytes are not hashed again that were as they were downloaded
    if folder_digest(folder) != weights_digest:
        raise BadDataError(
            f"{weights_uri}: not the weights that were registered (digest differs); "
            "run `twin training package` again"
        )
    return folder
