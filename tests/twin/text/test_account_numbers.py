"""Numbers of cards and accounts, by the examples of their standards and registries."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.text.account_numbers import (
    CARD_PATTERN,
    IBAN_PATTERN,
    has_card_checksum,
    has_iban_checksum,
)

#: The networks' test numbers.
CARDS = [
    "4111 1111 1111 1111",
    "4222222222222",
    "5555-5555-5555-4444",
    "378282246310005",
    "6011111111111117",
    "30569309025904",
]

#: The registry's own examples, of the shortest and the longest among them, and one with hyphens.
ACCOUNTS = [
    "NO93 8601 1117 947",
    "BE68 5390 0754 7034",
    "DE89370400440532013000",
    "GB29-NWBK-6016-1331-9268-19",
    "DO28 BAGR 0000 0001 2124 5361 1324",
    "ES91 2100 0418 4502 0005 1332",
    "PT50000201231234567890154",
    "MU17BOMM0101101030300200000MUR",
    "QA58DOHB00001234567890ABCDEFG",
    "MT84MALT011000012345MTLCAST001S",
    "LY83002048000020100120361",
    "RU0304452522540817810538091310419",
]


@pytest.mark.parametrize("number", CARDS)
def test_a_cards_number_is_known_by_form_and_checksum(number):
    assert re.fullmatch(CARD_PATTERN, number)
    assert has_card_checksum(number)


@pytest.mark.parametrize("number", ACCOUNTS)
def test_an_accounts_number_is_known_by_form_and_checksum(number):
    assert re.fullmatch(IBAN_PATTERN, number)
    assert has_iban_checksum(number)
    # The country says where it ends, whatever comes after.
    assert re.search(IBAN_PATTERN, f"to {number} 2024 by").group() == number


@pytest.mark.parametrize(
    "text",
    [
        "1642000000000",  # milliseconds since 1970
        "0.4111111111111111",
        "sha4111111111111111",
        "411111111111111122",
        "2024 0501 1000 0000",
    ],
)
def test_other_numbers_are_no_cards(text):
    assert not re.search(CARD_PATTERN, text)


@pytest.mark.parametrize(
    "text",
    [
        "XX68 5390 0754 7034",  # no such country
        "BE68 5390 0754 703",
        "BE68 5390 0754 70345",
        "be68539007547034",
        "ABE68539007547034",
    ],
)
def test_other_codes_are_no_accounts(text):
    assert not re.search(IBAN_PATTERN, text)


@given(st.sampled_from(CARDS), st.data())
def test_one_wrong_digit_breaks_a_cards_checksum(number, data):
    assert not has_card_checksum(with_another_digit(number, data))


@given(st.sampled_from(ACCOUNTS), st.data())
def test_one_wrong_digit_breaks_an_accounts_checksum(number, data):
    assert not has_iban_checksum(with_another_digit(number, data))


def with_another_digit(number: str, data: st.DataObject) -> str:
    place = data.draw(st.sampled_from([n for n, c in enumerate(number) if c.isdigit()]))
    other = data.draw(st.sampled_from([c for c in "0123456789" if c != number[place]]))
    return number[:place] + other + number[place + 1 :]
