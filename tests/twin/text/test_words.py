"""Words of many scripts, by ICU where no blank sets them apart."""
# ruff: noqa: RUF001 - letters that look like others are tested too

from pathlib import Path

import pytest

from tests.conftest import ROOT
from twin.text.words import count_words, has_unspaced, spaced, words

CASES = ROOT.parent / "shared" / "cases"


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("港の事務所は二冊の帳簿", ["港", "の", "事務所", "は", "二", "冊", "の", "帳簿"]),
        ("我今天去北京大学读书", ["我", "今天", "去", "北京", "大学", "读书"]),
        ("เก็บบัญชีสองเล่ม", ["เก็บ", "บัญชี", "สอง", "เล่ม"]),
        ("ຂ້ອຍມັກອ່ານປຶ້ມ", ["ຂ້ອຍ", "ມັກ", "ອ່ານ", "ປຶ້ມ"]),
        ("ខ្ញុំចូលចិត្តអានសៀវភៅ", ["ខ្ញុំ", "ចូលចិត្ត", "អាន", "សៀវភៅ"]),
        ("ကျွန်တော်စာအုပ်ဖတ်", ["ကျွန်တော်", "စာအုပ်", "ဖတ်"]),
        ("བོད་ཡིག", ["བོད", "ཡིག"]),
        ("データベース管理", ["データベース", "管理"]),
        ("北京2008年奥运", ["北京", "2008", "年", "奥运"]),
        ("Python中文。English", ["Python", "中文", "English"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("हिन्दी में लिखा", ["हिन्दी", "में", "लिखा"]),
        ("عَرَبِيّ كتاب", ["عَرَبِيّ", "كتاب"]),
        ("naïve_Café, e\u0301te\u0301 — x²!", ["naïve", "Café", "e\u0301te\u0301", "x²"]),
        ("🎉 … 。 👍 —", []),
        ("", []),
    ],
)
def test_words_of_a_text(text: str, split: list[str]) -> None:
    assert words(text) == split


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Why is every job a pod?",
        "a - b\t c\n\nd",
        "Schiff’s Donau 3.14",
        "한국어 텍스트 입니다",
        "Ж и Я",
    ],
)
def test_where_blanks_set_words_apart_the_count_is_that_of_split(text: str) -> None:
    assert not has_unspaced(text)
    assert count_words(text) == len(text.split())
    assert spaced(text) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("港の事務所は二冊の帳簿をつけている。", 12),
        ("使用 Python 3.11 编写。", 4),
        ("Python中文", 2),
        ("我 — 你", 2),
        ("我，你！", 2),
        ("ตา", 1),
    ],
)
def test_words_without_blanks_are_counted(text: str, count: int) -> None:
    assert count_words(text) == count


def test_a_page_in_four_scripts_loses_nothing() -> None:
    page = "Ledger of boats. 港の帳簿。 เก็บบัญชี kniga книга ខ្ញុំអាន " * 200
    kept = {letter for word in words(page) for letter in word}
    assert {letter for letter in page if letter.isalpha()} <= kept
    assert spaced(page).replace(" ", "") == page.replace(" ", "").replace("。", "。")


def test_punctuation_between_unspaced_runs_stays() -> None:
    assert spaced("港の、帳簿。").split() == ["港", "の", "、", "帳簿", "。"]


@pytest.mark.parametrize("letter", ["中", "ก", "ក", "က", "a", " ", "。", "あ", "\u0301"])
def test_a_megabyte_of_one_character_is_split_at_once(letter: str) -> None:
    """In one pass: a second or two each; a rule that looked back would take hours."""
    text = letter * 1_000_000
    assert "".join(words(text)) == ("" if not letter.isalpha() else text)


@pytest.mark.parametrize("name", ["cjk-article.md", "cjk-passage.txt", "thai.md"])
def test_shared_case_has_the_words_of_an_article(name: str) -> None:
    path: Path = CASES / name
    if not path.is_file():
        pytest.skip(f"needs {path.name} of the shared cases")
    text = path.read_text(encoding="utf-8")
    # A word of these languages has two to four letters.
    assert len(text) / 5 < count_words(text) < len(text) / 1.4
