"""The language of a text, whatever its script."""
# ruff: noqa: E501, RUF001 - letters that look like others are tested too

import pytest

from twin.text.language import document_language, language_of, passage_language

TEXTS = {
    "en": "The harbour office keeps two ledgers, one for the boats that have arrived already.",
    "de": "Das Hafenamt führt zwei Bücher, eines davon für die Boote, die schon angekommen sind.",
    "fr": "Le bureau du port tient deux registres, dont un pour les bateaux déjà arrivés au quai.",
    "es": "La oficina del puerto lleva dos libros, uno de ellos para los barcos que ya llegaron.",
    "ru": "Портовая контора ведёт две книги, одну из них для лодок, которые уже пришли в гавань, а другую для тех, которых только ждут, и никто не должен переносить строку рукой.",
    "zh": "港口办公室有两本账簿，一本记录已经到达的船只，另一本记录将要到达的船只，谁也不许用手把一行字"
    "从一本移到另一本里去，去年冬天我重写调度程序的时候原封不动地保留了这条规则。",
    "ja": "港の事務所は二冊の帳簿をつけている。一冊は潮に乗って着いた船のため、もう一冊は着くはずの船の"
    "ためである。誰も手で行を移してはならない。",
    "ko": "항구 사무소는 두 개의 장부를 보관한다. 하나는 이미 도착한 배를 위한 것이고 다른 하나는 도착할 "
    "것으로 예상되는 배를 위한 것이며 누구도 손으로 줄을 옮겨서는 안 된다.",
    "th": "สำนักงานท่าเรือเก็บบัญชีสองเล่ม เล่มหนึ่งสำหรับเรือที่มาถึงแล้ว อีกเล่มหนึ่งสำหรับเรือที่คาดว่าจะมาถึง",
    "ar": "يحتفظ مكتب الميناء بدفترين، أحدهما للقوارب التي وصلت بالفعل والآخر للقوارب المتوقع وصولها.",
    "hi": "बंदरगाह कार्यालय दो बही रखता है, एक उन नावों के लिए जो आ चुकी हैं और दूसरी उन नावों के लिए जो आएंगी। किसी को भी हाथ से एक पंक्ति दूसरी बही में नहीं ले जानी चाहिए, क्योंकि वादा और तथ्य बही में एक जैसे दिखते हैं।",
    "fa": "دفتر بندر دو دفتر نگه می‌دارد، یکی برای قایق‌هایی که رسیده‌اند و دیگری برای قایق‌هایی که خواهند رسید.",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_text_shows_its_language(code: str) -> None:
    assert document_language(None, TEXTS[code]) == code
    assert passage_language(TEXTS[code], "xx") == code


def test_what_the_source_says_counts_more() -> None:
    assert document_language("pt-BR", TEXTS["en"]) == "pt"


@pytest.mark.parametrize(
    "text", ["", "Short.", "1234567890 " * 40, "```\n" + "x = 1\n" * 90, "! " * 99]
)
def test_too_little_shows_nothing(text: str) -> None:
    assert language_of(text) == (None, 0.0)
    assert passage_language(text, "de") == "de"


def test_a_text_of_a_script_that_is_not_known_shows_nothing() -> None:
    assert document_language(None, "ᚠᚢᚦᚨᚱᚲ" * 40) is None


def test_code_in_it_is_not_looked_at() -> None:
    code = "```python\ndef the_and_of(for_with): return while_if_else\n```\n" * 20
    assert document_language(None, code + TEXTS["de"]) == "de"
