"""Text that comes fast is sent on in fewer pieces: a message a token slows a busy server down."""

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from twin.models.language_model import Generation

#: Text is sent on at most this often.
SECONDS_BETWEEN_PIECES = 0.08


async def gathered(
    pieces: AsyncIterator[str | Generation],
) -> AsyncGenerator[str | Generation, None]:
    """The same text and the same end in fewer pieces; the first piece is not held back.

    ``pieces`` is an async generator, closed with this one.
    """
    text, sent = "", -math.inf
    async with aclosing(pieces):  # type: ignore[type-var]
        async for piece in pieces:
            if isinstance(piece, Generation):
                if text:
                    yield text
                yield piece
                return
            text += piece
            if text and time.monotonic() - sent >= SECONDS_BETWEEN_PIECES:
                yield text
                text, sent = "", time.monotonic()
