"""Spending: what is held, what is spent, and on which side of a limit."""

import pytest

from twin.models.spending import Prices, Spending
from twin.stores.kept_replies import KeptReply

PRICES = Prices(prompt=2.0, answer=10.0)


def test_prices_are_of_a_million_tokens():
    assert PRICES.of(1_000_000, 0) == 2
    assert PRICES.of(0, 500_000) == 5
    assert PRICES.of(250_000, 100_000) == pytest.approx(1.5)


def test_a_budget_of_tokens_is_kept_to_the_last_one():
    spending = Spending("v1", 100)
    assert spending.hold(30, 20)
    assert spending.hold(25, 25)
    assert not spending.hold(1, 0)
    assert spending.ended
    spending.settle(30, 20, KeptReply(key="k", prompt_tokens=20, answer_tokens=10))
    assert (spending.tokens, spending.held_tokens) == (30, 50)
    assert not spending.hold(21, 0)
    assert spending.hold(20, 0)
    assert not spending.ended


def test_a_budget_of_money_is_kept_too():
    spending = Spending("v1", 10_000_000, 3.0, PRICES)
    assert spending.hold(500_000, 100_000)  # 2
    assert not spending.hold(500_001, 0)
    assert spending.hold(500_000, 0)  # 1
    assert spending.held_money == pytest.approx(3)
    spending.settle(500_000, 100_000, KeptReply(key="k", prompt_tokens=500_000))
    assert (spending.money, spending.held_money) == (pytest.approx(1), pytest.approx(1))
    assert Spending("v1", 10, None, PRICES).hold(5, 5), "no limit of money"


def test_what_was_spent_before_counts_if_it_is_this_payers():
    spending = Spending("v2", 1_000, 1.0, PRICES)
    spending.count([
        KeptReply(key="a", payer="v1", text="t", prompt_tokens=900, answer_tokens=9),
        KeptReply(key="b", payer="v2", text="t", prompt_tokens=100, answer_tokens=50),
        KeptReply(key="c", payer="v2", begun=2, prompt_bound=10, answer_bound=100),
    ])  # fmt: skip
    assert spending.tokens == 150 + 2 * 110
    assert spending.money == pytest.approx(PRICES.of(120, 250))
    assert spending.hold(0, 630)
    assert not spending.hold(1, 0)
