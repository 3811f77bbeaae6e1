"""Phone numbers as people of many countries write them, and the numbers that are none."""
# ruff: noqa: RUF001 - dashes of many lengths are tested too

import pytest

from tests.conftest import ROOT
from twin.text.personal_data import PHONE, PersonalDataDetector

CASES = ROOT.parent / "shared" / "cases"


def found(text: str, language: str | None) -> list[str]:
    finds = PersonalDataDetector().finds(text, language)
    return [text[find.start : find.end] for find in finds if find.kind == PHONE]


@pytest.mark.parametrize(
    ("language", "number"),
    [
        ("en", "(212) 555-0143"), ("en", "212-555-0143"), ("en", "212.555.0143"),
        ("en", "020 7946 0958"), ("en", "1-800-555-0199"), ("en", "07911 123456"),
        ("de", "030/12345678"), ("de", "0171 1234567"), ("de", "030 123 456 78"),
        ("de", "0049 30 1234567"), ("de", "044 668 18 00"),
        ("fr", "01 23 45 67 89"), ("fr", "01.23.45.67.89"), ("es", "912 345 678"),
        ("it", "02 1234 5678"), ("nl", "020-1234567"), ("nl", "06 12345678"),
        ("pt", "(11) 91234-5678"), ("ru", "8 (495) 123-45-67"), ("ja", "03-1234-5678"),
        ("ja", "090-1234-5678"), ("zh", "138 0013 8000"), ("ko", "02-312-3456"),
        ("hi", "98765 43210"), ("sv", "08-123 456 78"), ("pl", "22 123 45 67"),
        *((language, "+44 20 7946 0958") for language in ("en", "de", "ja", "eo", None)),
        *((language, "+49 (0)30 1234567") for language in ("en", "zh", None)),
        (None, "(212) 555-0143"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["{}", "Call {} today.", "tel: {}, or write", "({})"])
def test_a_number_is_found_as_it_is_written(language, number, around):
    assert found(around.format(number), language) == [number]


@pytest.mark.parametrize("language", ["en", "de", "fr", "ja", "zh", None])
@pytest.mark.parametrize(
    "text",
    [
        "See Nature (2015) 436-444 and Science (1998) 1245-1260.",
        "pp. 123–145, 1245-1260; vol. 12, 123-456",
        "The offset is +0.00012345 and the other is +3.14159265.",
        "3.14159265358979323846264338327950288",
        "2.71828182845904",
        "Revenue grew by +12 345 678 units, or 12,345,678.",
        "2024-03-05, 05.03.2024, 3/5/2024, 2024-03-05 10:00:00, 20240305T100000Z",
        "1998-2004, 1815-1852, in 2019 2020 2021 2022",
        "version 1.2.3.4567, 10.15.7, v2.2.366",
        "192.168.100.200:8080, 255.255.255.0",
        "doi 10.1000/182, arXiv 2301.12345, ISBN 978-3-16-148410-0, ISSN 1234-5679",
        "port 27117 of 65535, id 1642000000000, pid 1234567",
        "4111 1111 1111 1111",
        "9f86d081884c7d659a2feaa0c55ad015",
        "550e8400-e29b-41d4-a716-446655440000",
        "1 2 3 4 5 6 7 8 9 10",
        "100 200 300 400 500",
        "0.1 0.2 0.3 0.4 0.5 0.6",
        "git@github.com:me/x.git",
        "12345678901234567890",
    ],
)
def test_a_number_that_is_none_stays(language, text):
    assert found(text, language) == []


def test_a_number_of_another_country_needs_its_prefix():
    assert found("030/12345678", "en") == []
    assert found("(212) 555-0143", "de") == []
    assert found("+1 212-555-0143", "de") == ["+1 212-555-0143"]


def test_several_numbers_of_a_line_are_all_found():
    text = "030/12345678, 0171 1234567 oder +49 89 1234567"
    assert found(text, "de") == ["030/12345678", "0171 1234567", "+49 89 1234567"]


def test_a_run_of_digits_beyond_the_limit_is_not_looked_at():
    number = "020 7946 0958"
    assert found(f"{'1 ' * 20}{number}", "en") == found(f"{'1 ' * 93}{number}", "en")
    assert found(f"{number}, {number}", "en") == [number, number]
    assert found(f"{'1 ' * 94}{number}", "en") == []


def test_shared_case_of_numbers_that_are_none():
    path = CASES / "pii-false.txt"
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    text = path.read_text(encoding="utf-8")
    assert PersonalDataDetector().counts(text, language="en") == {"EMAIL_ADDRESS": 1}
