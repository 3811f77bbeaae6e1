"""llama.cpp's server inside this process: loading a GGUF file, and asking it for tokens.

The server's own loop batches all running answers together. A call blocks its thread until the
answer is written, and hands over each piece from there; other threads go on meanwhile.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.models.engines.pre_tokenizers import prepends_space

BATCH_TOKENS = 256
"""Tokens of one step, over all answers: what one caller's long prompt delays another's word by."""

#: Texts that tell ways to cut text apart: scripts, case, numbers, spaces, code, emoji, marks.
PROBES = (
    "Hello, world! I've been told he's there; WE'LL see if they'd go. DON'T!",
    "3 33 333 3333 33333 3.14159 1,000,000 2026-11-29 0x1F 10% £20",
    "  two\t\ttabs   three spaces \n\n\n newlines \r\n end  ",
    "def f(x: int) -> str:\n    return f\"{x!r:>10}\"  # a comment\n\n\tif (a[0] != 'b') {;}",
    "Grüße aus Köln, naïve café, Ærøskøbing, Łódź, İstanbul, straße",
    "Быстрая лиса. Γρήγορη αλεπού. مرحبا بالعالم. שלום עולם. नमस्ते दुनिया",
    "我想在苹果工作1314151天 こんにちは世界 안녕하세요 ไทยภาษา ខ្មែរ",
    "🚀 (normal) 😶‍🌫️ (joined) ✅ 🦙🦙 👩🏽‍💻 ￥ ∑ ≠ ∞ …—“quoted”",
    "CamelCase snake_case kebab-case http://example.org/a?b=c&d=e#f ------=====''''''\"\"\"",
    "word/word\n/path/to\\file.txt ### Title\n\n* item\n* item   ",
)


@dataclass(frozen=True)
class ServerOptions:
    """How a server is loaded.

    Attributes:
        context_tokens: largest number of tokens of one prompt and its answer.
        pool_tokens: tokens that all running answers may keep together.
        parallel: answers written at once.
        threads: threads that compute.
        adapters: GGUF files of LoRA adapters; requests choose them by their number here.
    """

    context_tokens: int
    pool_tokens: int
    parallel: int
    threads: int
    adapters: tuple[Path, ...] = ()


class LlamaServer:
    """A loaded model.

    Raises:
        BadDataError: llama.cpp cannot load the file or an adapter of it.
    """

    def __init__(self, file: Path, options: ServerOptions) -> None:
        import xllamacpp

        # The server listens whether anybody needs it or not: on a socket that only this user can
        # reach, and for which there is no path any more once it is up.
        self._folder = tempfile.TemporaryDirectory(prefix="llama-")
        parameters = _parameters(file, options)
        parameters.hostnames = [f"{self._folder.name}/http.sock"]
        try:
            self._server = xllamacpp.Server(parameters)
        except RuntimeError:
            self._folder.cleanup()
            if options.adapters:
                raise BadDataError(
                    f"llama.cpp cannot load {file} with its adapters: is one of them of another "
                    "base model? The lines above say more"
                ) from None
            raise BadDataError(f"llama.cpp cannot load {file}: see the lines above") from None
        # Its loop begins after the constructor returns, and would miss being told to end before.
        self._server.handle_metrics()

    def complete(self, request: dict[str, Any], take: Callable[[dict[str, Any]], bool]) -> None:
        """Write one answer; ``take`` gets each event and ends the writing by returning True."""
        self._server.handle_completions(request, take)

    def metrics(self) -> str:
        """Counters of the server's loop, which has to be alive to give them."""
        text: str = self._server.handle_metrics()
        return text

    def tokenize(self, texts: Iterable[str]) -> list[list[int]]:
        """Token ids of each text by llama.cpp's own tokenizer, special tokens recognised."""
        import httpx

        transport = httpx.HTTPTransport(uds=f"{self._folder.name}/http.sock")
        with httpx.Client(transport=transport, base_url="http://llama") as client:
            return [
                client.post("/tokenize", json={"content": text}).raise_for_status().json()["tokens"]
                for text in texts
            ]

    def close(self) -> None:
        """End the server's loop and free the model; no call may be running."""
        del self._server
        self._folder.cleanup()


def _parameters(file: Path, options: ServerOptions) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.port = 1  # of no meaning for a socket, but 0 is refused
    parameters.n_ctx = options.pool_tokens
    parameters.kv_unified = True
    # Layers with a sliding window keep the whole prompt too: else the next request, or the next
    # part of an answer, cannot go on from what is cached.
    parameters.swa_full = True
    # A slot keeps what it has read, and the engine chooses the slot. By default a new request has
    # idle slots copied to memory of their own and cleared, so an answer that pauses between two of
    # its parts would have its prompt read again.
    parameters.cache_idle_slots = False
    parameters.cache_ram_mib = 0
    parameters.n_parallel = options.parallel
    parameters.n_batch = parameters.n_ubatch = BATCH_TOKENS
    parameters.cpuparams.n_threads = options.threads
    parameters.cpuparams_batch.n_threads = options.threads
    parameters.endpoint_metrics = True
    parameters.fit_params = False
    parameters.ui = False
    parameters.warmup = True
    parameters.verbosity = 1  # errors only
    parameters.lora_init_without_apply = True
    parameters.lora_adapters = [
        xllamacpp.CommonAdapterLoraInfo(str(path), 0.0) for path in options.adapters
    ]
    return parameters


def refuse_other_tokens(file: Path, folder: Path) -> None:
    """See that llama.cpp makes of texts the same tokens as the tokenizer in ``folder``.

    Raises:
        BadDataError: it does not, or cannot load the file.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    special = [token for token in tokenizer.all_special_tokens if token.strip()]
    texts = [*PROBES, *special]
    if prepends_space(json.loads((folder / "tokenizer.json").read_bytes())):
        # Before a text that begins with a space llama.cpp adds another, as SentencePiece does and
        # the tokenizers of transformers do not: of no consequence for prompts, given as tokens.
        texts = [text.lstrip() for text in texts]
    server = LlamaServer(file, ServerOptions(512, 512, 1, 1))
    try:
        got = server.tokenize(texts)
    finally:
        server.close()
    for text, ids in zip(texts, got, strict=True):
        expected = tokenizer.encode(text, add_special_tokens=False)
        if ids != expected:
            at = _first_difference(ids, expected)
            raise BadDataError(
                f"{folder} cannot run on llama.cpp, which cuts text otherwise than its tokenizer: "
                f"of {text!r} it makes {ids[at : at + 5]} at token {at}, not "
                f"{expected[at : at + 5]}: choose another engine"
            )


def _first_difference(left: Sequence[int], right: Sequence[int]) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def read_context_tokens(folder: Path) -> int:
    """Largest number of tokens that the model of a folder was made for."""
    configuration = json.loads((folder / "config.json").read_text("utf-8"))
    return int(configuration.get("text_config", configuration)["max_position_embeddings"])
