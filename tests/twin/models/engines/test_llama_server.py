"""llama.cpp's server in this process: its beginning and its end."""

import threading

from twin.models.engines.gguf import prepare_gguf
from twin.models.engines.llama_server import LlamaServer, ServerOptions


def test_a_server_that_is_closed_as_soon_as_it_is_loaded_ends(family_folder, gguf_cache):
    """It waited for ever: told to end before its loop began, it began it afterwards."""
    file = prepare_gguf(family_folder("gemma3"), "bf16", gguf_cache)

    def load_and_close() -> None:
        for _ in range(20):
            LlamaServer(file, ServerOptions(64, 64, 1, 1)).close()

    thread = threading.Thread(target=load_and_close, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
