"""Numbers of payment cards and bank accounts: what they look like, and their checksums.

The formats are those of ISO/IEC 7812 and ISO 13616, the checksums Luhn's (ISO/IEC 7812-1, annex B)
and MOD 97-10 (ISO/IEC 7064).
"""

#: Characters after country and check digits, by country: SWIFT's IBAN registry, release 101.
_ACCOUNT_LENGTHS = {
    11: "NO",
    12: "BE",
    14: "DK FI FK FO GL NL SD",
    15: "MK SI",
    16: "AT BA EE KZ LT LU MN XK",
    17: "CH HR LI LV",
    18: "BG BH CR DE GB GE IE ME RS VA",
    19: "AE GI IL IQ OM SO TL",
    20: "AD CZ ES MD PK RO SA SE SK TN VG",
    21: "LY PT ST",
    22: "IS TR",
    23: "BI DJ FR GR IT MC MR SM",
    24: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    25: "BR EG PS QA UA",
    26: "JO KW MU YE",
    27: "MT SC",
    28: "LC",
    29: "RU",
}

#: Presidio's first digits and lengths. No milliseconds since 1970, and no digits of a fraction.
CARD_PATTERN = (
    r"(?<![A-Za-z0-9_])(?<!\d[.,])(?!1\d{12}(?!\d))"
    r"(?:4\d{3}|5[0-5]\d{2}|6\d{3}|1\d{3}|3\d{3})[- ]?\d{3,4}[- ]?\d{3,4}[- ]?\d{3,5}"
    r"(?![A-Za-z0-9_])"
)


def _account_pattern(countries: str, length: int) -> str:
    """In groups of four, with blanks or hyphens between them or with nothing."""
    groups, rest = divmod(length, 4)
    tail = rf"[ -]?[A-Z0-9]{{{rest}}}" if rest else ""
    return rf"(?:{countries.replace(' ', '|')})[0-9]{{2}}(?:[ -]?[A-Z0-9]{{4}}){{{groups}}}{tail}"


IBAN_PATTERN = (
    r"(?<![A-Za-z0-9])(?:"
    + "|".join(_account_pattern(names, length) for length, names in _ACCOUNT_LENGTHS.items())
    + r")(?![A-Za-z0-9])"
)


def has_card_checksum(number: str) -> bool:
    """Whether a card's last digit is that of Luhn's algorithm; blanks and hyphens don't count."""
    digits = [int(character) for character in reversed(number) if character.isdecimal()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def has_iban_checksum(number: str) -> bool:
    """Whether an account's check digits are right; blanks and hyphens don't count.

    Letters count as 10 to 35, and country and check digits stand last.
    """
    plain = number.replace(" ", "").replace("-", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1
