"""What calls to a model may cost, in tokens and in money."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from twin.stores.kept_replies import KeptReply

PRICED = 1_000_000
"""Tokens that a price is for."""


@dataclass(frozen=True)
class Prices:
    """Of a million tokens read, and of a million tokens written."""

    prompt: float = 0.0
    answer: float = 0.0

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self.prompt + answer_tokens * self.answer) / PRICED


@dataclass
class Spending:
    """What one payer has spent, and what it holds for calls that have begun.

    A call that brought no answer counts as answered at full length: nobody knows what was paid.

    Attributes:
        payer: who spends: calls of others, however well known, cost nothing here.
        max_tokens: read and written, in all.
        max_money: in the currency of the prices; None for no limit.
        prices: of the model.
    """

    payer: str
    max_tokens: int
    max_money: float | None = None
    prices: Prices = Prices()
    tokens: int = 0
    money: float = 0.0
    ended: bool = field(default=False, init=False)
    _held_tokens: int = field(default=0, init=False)
    _held_money: float = field(default=0.0, init=False)

    def count(self, known: Iterable[KeptReply]) -> None:
        """Add what this payer has spent before."""
        for reply in known:
            if reply.payer != self.payer:
                continue
            self._spend(
                reply.prompt_tokens + reply.begun * reply.prompt_bound,
                reply.answer_tokens + reply.begun * reply.answer_bound,
            )

    def hold(self, prompt_tokens: int, answer_tokens: int) -> bool:
        """Hold what a call may cost at most; False where that would pass the budget."""
        tokens = prompt_tokens + answer_tokens
        money = self.prices.of(prompt_tokens, answer_tokens)
        over = self.tokens + self._held_tokens + tokens > self.max_tokens or (
            self.max_money is not None and self.money + self._held_money + money > self.max_money
        )
        self.ended = over
        if over:
            return False
        self._held_tokens += tokens
        self._held_money += money
        return True

    def settle(self, prompt_tokens: int, answer_tokens: int, reply: KeptReply) -> None:
        """Spend what a call has cost in place of what was held for it."""
        self._held_tokens -= prompt_tokens + answer_tokens
        self._held_money -= self.prices.of(prompt_tokens, answer_tokens)
        self._spend(reply.prompt_tokens, reply.answer_tokens)

    @property
    def held_tokens(self) -> int:
        """Held for calls that brought no answer (yet)."""
        return self._held_tokens

    @property
    def held_money(self) -> float:
        """What that may cost."""
        return self._held_money

    def _spend(self, prompt_tokens: int, answer_tokens: int) -> None:
        self.tokens += prompt_tokens + answer_tokens
        self.money += self.prices.of(prompt_tokens, answer_tokens)
