"""Language models behind one small protocol: generate, stream, and score a given answer."""

import ctypes
import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypedDict, runtime_checkable

from twin.domain.errors import TwinError
from twin.settings import Settings

FinishReason = Literal["stop", "length"]


class Message(TypedDict):
    """One turn of a conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class SamplingParams:
    """How to write: temperature 0 (and what is next to it) is greedy and deterministic.

    ``top_k`` keeps so many of the likeliest words (0: all), ``min_p`` those at least so likely in
    relation to the likeliest, ``top_p`` the smallest set with that probability: in this order, and
    all of them after the temperature. ``stop`` holds texts at which to stop (they are not part of
    the answer). ``seed`` makes sampling repeatable but for rounding: a prompt that is read anew is
    rounded otherwise than one from the cache, which may turn a near tie. ``repetition_penalty``
    (1 is none) lowers the odds of what the answer has said before; never of the prompt's words,
    which an answer from passages is to repeat. Before ``min_new_tokens`` are written, no turn ends
    of itself. ``beams`` above 1 writes by beam search, which draws nothing: temperature and cuts
    then count for nothing, and only the transformers engine can. ``json_schema``, the text of a
    JSON schema, lets nothing be written but what it describes; not every engine can.
    """

    max_new_tokens: int
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    beams: int = 1
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str | None = None


@dataclass(frozen=True)
class Generation:
    """A finished answer. ``finish_reason`` is "length" when the token budget ended it."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


class TokenStream:
    """Text as it is written: iterate for the pieces, then read ``generation``.

    Closing the stream (or the caller's ``should_stop``) ends the writing after the current token.
    """

    def __init__(self, pieces: Iterator[str | Generation]) -> None:
        self._pieces = pieces
        self._generation: Generation | None = None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the pieces; each is a non-empty string."""
        for piece in self._pieces:
            if isinstance(piece, Generation):
                self._generation = piece
            else:
                yield piece

    @property
    def generation(self) -> Generation:
        """The whole answer with its counts; only after the last piece.

        Raises:
            RuntimeError: the stream has not been read to its end.
        """
        if self._generation is None:
            raise RuntimeError("read the stream to its end before asking for its generation")
        return self._generation


class LanguageModel(Protocol):
    """What the house needs of a language model, whichever engine runs it."""

    @property
    def id(self) -> str:
        """What names it in samples and reports, e.g. ``gemma3-270m``."""

    def count_tokens(self, text: str) -> int:
        """Number of tokens of a text, without special tokens."""

    @property
    def context_tokens(self) -> int:
        """Largest number of tokens of prompt and answer together."""

    def generate(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        """Write one answer."""

    def generate_batch(
        self, conversations: Sequence[Sequence[Message]], params: SamplingParams
    ) -> list[Generation]:
        """Write an answer to each conversation, in their order, several at a time."""

    def stream(
        self,
        messages: Sequence[Message],
        params: SamplingParams,
        should_stop: Callable[[], bool] | None = None,
    ) -> TokenStream:
        """Write one answer piece by piece."""

    def answer_log_likelihood(
        self, conversations: Sequence[Sequence[Message]], answers: Sequence[str]
    ) -> list[tuple[float, int]]:
        """For each answer the sum of its tokens' log-probabilities (nats) and their number.

        The end of the turn counts as a token of the answer: knowing when to stop is part of it.
        """


@dataclass(frozen=True)
class Call:
    """One answer to ask for; ``key`` is what its caller knows it by."""

    key: str
    messages: tuple[Message, ...]
    params: SamplingParams


@runtime_checkable
class TakesCalls(Protocol):
    """A model that answers many calls at once, and tells of each as soon as it is answered."""

    def answer_each(
        self, calls: Iterable[Call], answered: Callable[[Call, Generation | TwinError], None]
    ) -> None:
        """Answer calls, taking the next whenever one may begin.

        Args:
            calls: read one by one, just before each begins.
            answered: is told of the answer, or of the fault that left the call without one; what
                it raises ends all.

        Raises:
            BadConfigurationError: no call can be answered.
        """


def load_language_model(folder: Path, settings: Settings, name: str | None = None) -> LanguageModel:
    """Load a packaged or prepared model from a local folder, on the GPU if there is one.

    ``name`` is what the model calls itself (`LanguageModel.id`); unset means the folder's name.

    Raises:
        BadDataError: the folder holds no complete model.
        BadConfigurationError: this job was given a GPU and sees none.
    """
    from twin.models.engines.transformers_model import TransformersModel
    from twin.models.gpus import check_gpus

    check_gpus(settings, training=False)
    return TransformersModel.load(folder, name or folder.name, settings.threads)


def release_memory() -> None:
    """Give a model that nothing refers to any more back to the system.

    The C library keeps what is freed for the process's next allocations; an engine that is loaded
    next allocates elsewhere.
    """
    gc.collect()
    with suppress(AttributeError, OSError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
