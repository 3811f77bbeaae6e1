"""The tokenizer of a published model, without its weights: what a version's replica needs."""

from pathlib import Path, PurePosixPath

from twin.domain.errors import BadDataError
from twin.settings import Settings
from twin.stores.files import open_files

#: Files of weights, which only engines load.
WEIGHTS = frozenset({".safetensors", ".gguf", ".bin"})


def fetch_tokenizer(weights_uri: str, weights_digest: str, settings: Settings) -> Path:
    """A local folder with everything of a published model but its weights.

    Raises:
        BadDataError: it is missing, or not what was registered.
    """
    files = open_files(settings)
    if files.published_digest(files.relative(weights_uri)) != weights_digest:
        raise BadDataError(
            f"{weights_uri}: not the weights that were registered (digest differs); "
            "run `twin training package` again"
        )
    cache = settings.home.resolve() / "tokenizers"
    return files.fetch_folder(
        weights_uri, cache, lambda name: PurePosixPath(name).suffix not in WEIGHTS
    )
