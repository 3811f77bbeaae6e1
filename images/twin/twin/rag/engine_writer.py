"""Short texts by an engine, asked for from a thread that may wait: what expansion needs."""

import asyncio
from collections.abc import Sequence

from twin.models.engines.engine import Engine, EngineRequest
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Generation, Message, SamplingParams

#: A question waits for its expansion, so a slow one is worth less than none.
TIMEOUT_SECONDS = 20.0


class EngineWriter:
    """Writes by an engine whose event loop runs in another thread.

    ``loop`` is that event loop; the chain sets it when it is asked.
    """

    def __init__(self, engine: Engine, chat: ChatFormat, adapter: str | None = None) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._engine = engine
        self._chat = chat
        self._adapter = adapter

    def generate(self, messages: Sequence[Message], params: SamplingParams) -> Generation:
        """Write one text; blocks. Not to be called on the event loop itself."""
        if self.loop is None:
            raise RuntimeError("the engine's event loop does not run")
        request = EngineRequest(
            prompt_ids=tuple(self._chat.prompt_ids(messages)),
            messages=tuple(messages),
            params=params,
            adapter=self._adapter,
            timeout_seconds=TIMEOUT_SECONDS,
        )
        writing = asyncio.run_coroutine_threadsafe(_whole(self._engine, request), self.loop)
        try:
            return writing.result(TIMEOUT_SECONDS)
        except TimeoutError:
            writing.cancel()
            raise


async def _whole(engine: Engine, request: EngineRequest) -> Generation:
    async for piece in engine.stream(request):
        if isinstance(piece, Generation):
            return piece
    raise RuntimeError("the engine ended without an answer")
