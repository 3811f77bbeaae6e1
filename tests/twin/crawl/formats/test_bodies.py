"""Articles in several parts, above others, and without any prose."""

from tests.twin.crawl.formats.prose import PROSE, URL, paragraphs
from twin.crawl.formats.html import extract_html

MORE = tuple(sentence.replace("pump", "lock").replace("valve", "gate") for sentence in PROSE)
LAST = tuple(sentence.replace("the", "that") for sentence in PROSE)


def text_of(body: str) -> str:
    page = f"<html><head><title>Pumps</title></head><body>{body}</body></html>"
    return extract_html(page, URL).text


def test_all_parts_of_an_article_that_inserts_split() -> None:
    parts = [
        f'<div class="story-body"><div class="text">{paragraphs(*part)}</div></div>'
        for part in (PROSE, MORE, LAST)
    ]
    insert = '<div class="promo"><p>Our letter comes to your inbox once every week.</p></div>'
    text = text_of(f'<div class="page"><h1>Pumps</h1>{insert.join(parts)}</div>')
    assert text.split("\n") == [*PROSE, *MORE, *LAST]


def test_further_articles_below_are_left_out() -> None:
    others = "".join(
        f'<article class="post"><h1>Other {n}</h1>{paragraphs(*part)}</article>'
        for n, part in enumerate((MORE, LAST))
    )
    own = f'<article class="post"><h1>Pumps</h1>{paragraphs(*PROSE)}</article>'
    assert text_of(f"<main>{own}{others}</main>").split("\n") == list(PROSE)


def test_further_articles_in_divisions_are_left_out() -> None:
    def wrap(title: str, sentences: tuple[str, ...]) -> str:
        return f'<div class="entry"><h1>{title}</h1><div>{paragraphs(*sentences)}</div></div>'

    assert text_of(wrap("Pumps", PROSE) + wrap("Locks", MORE)).split("\n") == list(PROSE)


def test_a_table_is_an_article() -> None:
    rows = "".join(f"<tr><td>{n}:00 Mill</td><td>{n}:40 Lock</td></tr>" for n in range(24))
    table = f"<table><tr><th>From</th><th>To</th></tr>{rows}</table>"
    for body in (
        f"<main><h1>Pumps</h1>{table}</main>",
        f'<div class="x"><h1>Pumps</h1>{table}</div>',
    ):
        text = text_of(f'<nav><a href="/">Home</a></nav>{body}<footer>By us</footer>')
        assert "From\tTo" in text and "23:00 Mill\t23:40 Lock" in text and "By us" not in text


def test_a_list_is_an_article() -> None:
    items = "".join(f"<li>Valve {n}</li>" for n in range(40))
    assert "Valve 39" in text_of(f"<main><h1>Pumps</h1><p>All of them.</p><ul>{items}</ul></main>")


def test_a_line_is_an_article() -> None:
    for body in (
        "<article><h1>Pumps</h1><p>The mill is shut today.</p></article>",
        '<div class="entry"><h1>Pumps</h1><p>The mill is shut today.</p></div>',
    ):
        assert text_of(f'<nav><a href="/">Home</a></nav>{body}<footer>By us</footer>') == (
            "The mill is shut today."
        )
