"""What browsers draw and HTML does not spell out."""

# ruff: noqa: RUF001, E501 - the signs themselves

import pytest

from tests.twin.crawl.formats.prose import between


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("said <q>no</q> to it", "said “no” to it"),
        ("said <q>he <q>never</q> did</q> to it", "said “he ‘never’ did” to it"),
        ("said <q>“no”</q> to it", "said “no” to it"),
        ('noon <img class="emoji" alt="⚓" src="/a.svg"> came', "noon ⚓ came"),
        ('noon <img alt="🎉" src="/a.png"> came', "noon 🎉 came"),
        ('noon <img class="twemoji" alt=":tada:" src="/a.png"> came', "noon :tada: came"),
        ("the <ruby>漢字<rt>かんじ</rt></ruby> of it", "the 漢字(かんじ) of it"),
        ("the <ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby> of it", "the 漢(かん) of it"),
    ],
)
def test_signs_in_a_sentence(markup: str, text: str) -> None:
    assert text in between(f"<p>We wrote that {markup} in the book of the old mill.</p>")


@pytest.mark.parametrize(
    ("lang", "quoted"), [("de", "„nein“"), ("fr", "«nein»"), ("ja", "「nein」")]
)
def test_quotes_of_the_page_s_language(lang: str, quoted: str) -> None:
    assert quoted in between(
        "<p>We wrote that <q>nein</q> in the book of the old mill.</p>", lang=lang
    )


def test_states_of_tasks() -> None:
    tasks = (
        '<ul><li><input type="checkbox" checked> Prime the pump</li><li><p><input type="checkbox"> Oil it</p>'
        '</li><li><label><input type="checkbox" checked>Sweep</label></li><li><span role="checkbox" '
        'aria-checked="true"></span> Lock up</li><li>Go home</li></ul>'
    )
    assert between(tasks).split("\n") == [
        "- [x] Prime the pump", "- [ ] Oil it", "- [x] Sweep", "- [x] Lock up", "- Go home",
    ]  # fmt: skip


def test_numbers_of_lists() -> None:
    assert between("<ol><li>a</li><li value=5>b</li><li>c</li></ol>") == "1. a\n5. b\n6. c"
    assert between("<ol reversed><li>a</li><li>b</li></ol>") == "2. a\n1. b"
    assert between("<ol reversed start=9><li>a</li><li>b</li></ol>") == "9. a\n8. b"


def test_terms_and_definitions() -> None:
    text = between(
        "<dl><dt>Sluice</dt><dd>A gate for water.</dd><dt>Weir</dt><dd>A low dam.</dd></dl>"
    )
    assert text == "Sluice\n: A gate for water.\n\nWeir\n: A low dam."


def test_fifteen_hundred_nested_lists() -> None:
    deep = "<ul><li>x" * 1_500 + "</li></ul>" * 1_500
    assert between(deep).count("x") == 1_500
