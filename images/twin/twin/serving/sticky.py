"""Which version a conversation or a caller stays with while two share the traffic.

No state is kept: the draw among the versions is a digest of what hangs together, so that every
replica of the router draws alike, and after it was started anew too.
"""

import hashlib
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Literal

from twin.domain.conversation import Turn

Sticky = Literal["conversation", "caller"]

#: Digest of what the request that is being answered hangs together with; "" for nothing known.
UNIT: ContextVar[str] = ContextVar("unit", default="")


def unit_of(sticky: Sticky, caller: str, history: Sequence[Turn], question: str) -> str:
    """Digest of a conversation, or of a caller.

    A conversation is its caller and its first question, since OpenAI's protocol sends all of it
    each time: of two that begin alike both stay with one version.

    Args:
        sticky: what stays with one version.
        caller: the key's id.
        history: the turns before the question.
        question: that is asked now.
    """
    parts = [caller]
    if sticky == "conversation":
        said = (turn.content for turn in history if turn.role == "user")
        parts.append(next(said, question))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def draw_of(unit: str) -> float:
    """A number in [0, 1) that is always the same for a unit, and evenly spread over units.

    The version that is being brought in has the upper end of the range, so that its share grows by
    those who were with the old version, and nobody goes back and forth.
    """
    return int.from_bytes(hashlib.sha256(unit.encode()).digest()[:6]) / 2**48
