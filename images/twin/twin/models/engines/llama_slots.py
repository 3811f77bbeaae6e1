"""The places at which an engine writes answers, handed out in order of arrival."""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Lease:
    """A slot of one's own, and room for so many tokens in the cache.

    ``cached`` tokens of the prompt's beginning are there already, by the same adapter.
    """

    slot: int
    tokens: int
    adapter: int | None = None
    cached: int = 0


@dataclass
class _Waiting:
    prompt: Sequence[int]
    tokens: int
    adapter: int | None
    turn: "asyncio.Future[Lease]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Slots:
    """``parallel`` slots with a thread each, which share a cache of ``pool_tokens``.

    A prompt gets the free slot that has most of its beginning cached. Used from one event loop.
    """

    def __init__(self, parallel: int, pool_tokens: int) -> None:
        self.threads = ThreadPoolExecutor(parallel, thread_name_prefix="llama")
        self._cached: dict[int, tuple[int | None, Sequence[int]]] = dict.fromkeys(
            range(parallel), (None, ())
        )
        self._free = list(range(parallel))
        self._free_tokens = pool_tokens
        self._waiting: deque[_Waiting] = deque()

    async def take(
        self, prompt: Sequence[int], new_tokens: int, adapter: int | None = None
    ) -> Lease:
        """Wait for a slot and for room for prompt and answer."""
        waiting = _Waiting(prompt, len(prompt) + new_tokens, adapter)
        self._waiting.append(waiting)
        self._hand_out()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                self._hand_out()  # the next one may need less room
            elif waiting.turn.done() and not waiting.turn.cancelled():
                self.give_back(waiting.turn.result(), ())
            raise

    def give_back(self, lease: Lease, cached: Sequence[int]) -> None:
        """The slot is free again; ``cached`` are the tokens that it has seen."""
        self._cached[lease.slot] = (lease.adapter, cached)
        self._free.append(lease.slot)
        self._free_tokens += lease.tokens
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self._free and self._waiting[0].tokens <= self._free_tokens:
            waiting = self._waiting.popleft()
            if waiting.turn.done():
                continue
            # Of equals the one that has been free the longest.
            slot = max(self._free, key=lambda slot: self._known(slot, waiting))
            self._free.remove(slot)
            self._free_tokens -= waiting.tokens
            known = self._known(slot, waiting)
            waiting.turn.set_result(Lease(slot, waiting.tokens, waiting.adapter, known))

    def _known(self, slot: int, waiting: _Waiting) -> int:
        """Tokens of a prompt that a slot has seen; what another adapter made of them is no use."""
        adapter, cached = self._cached[slot]
        return _shared(cached, waiting.prompt) if adapter == waiting.adapter else 0


def _shared(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning."""
    size = min(len(left), len(right))
    return next((at for at in range(size) if left[at] != right[at]), size)
