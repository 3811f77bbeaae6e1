"""Cleaning keeps what the author wrote and drops what nobody can see."""
# ruff: noqa: RUF001 - letters that look like others are what is tested

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.features.clean import clean


@pytest.mark.parametrize(
    "text",
    [
        "It's the author's own — isn't it? well-known, C++ & C#, 50 % off (§ 3).\n",
        "10² is not 102, ½ is not 1⁄2, and x₁ ≤ x₂…\n",
        "# Title\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "[a link](https://example.org/?a=1&b=2#c) and <https://example.org>\n",
        "Emoji stay: 👩‍👩‍👧 🚀. Persian joiners too: می\u200cخواهم\n",
        "中文，没有空格。日本語のテスト！ עברית עם ניקוד: שָׁלוֹם\n",
        "```\n𝐛𝐨𝐥𝐝 in code,\xa0untouched\n```\n",
        "Inline `𝐛𝐨𝐥𝐝` and $$𝑥 = 𝑦$$ are untouched.\n",
        "    indented code    # with  spaces\n\n> ```py\n> 𝐱 = 1\n> ```\n",
        "Inline $𝑥² = ℝ$ and \\(𝑦\xa0= 1\\), displayed \\[\n𝑧 = ℎ\n\\].\n",
        "\\begin{align*}\n𝑥 &= 1\n\\end{align*}\n",
        "The ℓ₂ norm, ℏ, 25 ℃, №\xa05 and 🅿\ufe0f for cars.\n".replace("\xa0", " "),
    ],
)
def test_what_the_author_wrote_stays(text):
    assert clean(text).strip() == text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("𝐇𝐞𝐥𝐥𝐨 𝓌ℴ𝓇𝓁𝒹", "Hello world"),
        ("𝑡ℎ𝑒 ℬ𝓊𝓈𝒾𝓃ℯ𝓈𝓈 ℕ𝕠𝕥𝕖 𝔗ℌ𝔈", "the Business Note THE"),
        ("🄷🄸 🅐🅩 🆃🅷🅸🆂", "HI AZ THIS"),
        ("ﻣﺮﺣﺒﺎ ﾊﾟｿｺﾝ", "مرحبا パソコン"),
        ("It costs $5 in 𝐛𝐨𝐥𝐝 and $10 in 𝑖𝑡𝑎𝑙𝑖𝑐.", "It costs $5 in bold and $10 in italic."),
        ("ＡＢＣ１２３ ﬁne Ⓐ", "ABC123 fine A"),
        ("zero\u200bwidth soft\u00adhyphen \ufeffmark", "zerowidth softhyphen mark"),
        ("a\xa0b\u2009c\u3000d", "a b c d"),
        ("cafe\u0301", "café"),
        ("ignore\U000e0069\U000e0067 this", "ignore this"),
        ("one\r\ntwo\rthree\u2028four\x0cfive", "one\ntwo\nthree\nfour\nfive"),
        ("bell\x07 null\x00 \x1b[31mred", "bell null [31mred"),
        ("![x](data:image/png;base64," + "A" * 500 + ")", "![x]()"),
        ("after ``` code\n```\n𝐚\n```\n𝐛", "after ``` code\n```\n𝐚\n```\nb"),
        ("```\nnever closed 𝐚", "```\nnever closed 𝐚"),
        ("\ud800lone surrogate", "lone surrogate"),
        ("", ""),
        (" \n\u200b\n ", ""),
    ],
)
def test_what_stands_in_the_way_goes(text, expected):
    assert clean(text) == expected + "\n"


@given(st.text(st.sampled_from("ab𝐛\u200b\xa0 \n#-.é\u0301中")))
def test_cleaning_twice_is_cleaning_once(text):
    assert clean(clean(text)) == clean(text)


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_can_be_cleaned(text):
    assert clean(text).encode()


@pytest.mark.parametrize(
    "line",
    [
        "word `code " * 100_000,
        " ".join("`" * n for n in range(1, 1_414)),  # code spans that nothing closes
        "$a " * 333_000,
        "\\(a \\[b " * 142_000,
        "\\begin{a} " * 100_000,
    ],
    ids=["spans", "ticks", "dollars", "brackets", "environments"],
)
def test_a_line_of_a_megabyte_is_cleaned_in_seconds(line):
    started = time.process_time()
    assert len(clean(line)) > 990_000
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Launch 🚀 now 👩‍👩‍👧!", "Launch now!"),
        ("Done 🎉🎉\n\n- 👍🏽 yes\n- 🇩🇪 no", "Done\n\n- yes\n- no"),
        ("✅️ and ✓, © and 10² and #1", "and ✓, © and 10² and #1"),
        ("Done ✅ ✨ great ⭐⭐, ❌ no ☕ ⏰", "Done great, no"),
        ("🆗 ❤️‍🔥 it is 🅰️", "it is"),
        ("`🚀` in code\n\n```\n🚀\n```", "`🚀` in code\n\n```\n🚀\n```"),
    ],
)
def test_emoji_go_where_the_recipe_drops_them(text, expected):
    assert clean(text, keep_emoji=False) == expected + "\n"
    assert clean(clean(text, keep_emoji=False), keep_emoji=False) == expected + "\n"
