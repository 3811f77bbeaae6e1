# ruff: noqa: E501, RUF001 - markup and other languages as they are
"""Which parts of a page are taken for its article."""

import json

import pytest
from lxml.html import fromstring

from twin.crawl.formats.furniture import is_boilerplate
from twin.crawl.formats.html import extract_html
from twin.crawl.formats.html_runs import Run, events_of
from twin.crawl.formats.main_text import choose

SENTENCES = [
    f"Paragraph {n} tells of the {what}, which took years to build and was paid for twice."
    for n, what in enumerate(["bridge", "harbour", "orchard", "archive", "ferry", "barrier"])
]


def text_of(article: str, around: str = "", head: str = "") -> list[str]:
    """Lines of the text that is extracted from a page with a title and this article."""
    page = (
        f"<html><head><title>The Works</title>{head}</head><body><nav><a href='/'>Home</a></nav>"
        f"<div class='page'><h1>The Works</h1><div class='entry-content'>{article}</div>{around}"
        "</div></body></html>"
    )
    return extract_html(page, "https://e.org/works").text.split("\n")


def paragraphs(sentences: list[str]) -> str:
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


@pytest.mark.parametrize(
    "furniture",
    [
        "<div class='share-bar'><p>Tell all of your friends about this fine story today.</p></div>",
        "<div class='newsletter-signup'><p>Our letter comes to your inbox once every week.</p></div>",
        "<figure><img src='a.png'><figcaption>The bridge as it was seen in 1961.</figcaption></figure>",
        "<p>Read more: <a href='/b'>How the harbour was paid for by the town, twice</a></p>",
        "<aside><h3>Most read</h3><p>A story about something else that has words in it.</p></aside>",
        "<div style='display:none'><p>This is hidden from every reader of the whole page.</p></div>",
        "<p>Photo: Ines Marsh/Weir Pictures</p>",
        "<div id='consent-sdk'><p>We and our 742 partners store information on your device.</p></div>",
        "<p>Get unlimited access to every story for only one pound a week.</p>",
        "<p>Already a subscriber? <a href='/in'>Log in</a></p>",
        "<p class='visually-hidden'>This is said aloud to those who can not see the page.</p>",
    ],
)
def test_furniture_between_paragraphs_is_left_out(furniture: str) -> None:
    body = paragraphs(SENTENCES[:3]) + furniture + paragraphs(SENTENCES[3:])
    assert text_of(body) == SENTENCES


RULES = [
    "Comments are moderated. Please be civil and stay on topic; anything else will be removed.",
    "All comments on this site will be reviewed by a person before they appear, within a day or two.",
    "Please keep comments civil, as you would if you met the people whom you write to in the street.",
    "Be kind. Whoever is not will find that their comment was removed, and is not told of the reason.",
    "Your email address will not be published, nor given to anyone else who might want to have it.",
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "box",
    ["<div class='x1'><p>{}</p></div>", "<div>{}</div>",
     "<section><h3>Comments</h3><p>{}</p></section>"],
)  # fmt: skip
def test_rules_for_comments_in_a_box_at_the_end_are_left_out(box: str, rule: str) -> None:
    assert text_of(paragraphs(SENTENCES) + box.format(rule)) == SENTENCES


@pytest.mark.parametrize("rule", RULES)
def test_an_article_may_speak_of_such_rules(rule: str) -> None:
    box = f"<div class='x1'><p>{rule}</p></div>"
    within = text_of(paragraphs(SENTENCES[:3]) + box + paragraphs(SENTENCES[3:]))
    assert within == [*SENTENCES[:3], rule, *SENTENCES[3:]]
    told = f"The site has one rule. {rule}"
    assert text_of(paragraphs([*SENTENCES, told])) == [*SENTENCES, told]
    assert text_of(paragraphs([*SENTENCES, rule])) == [*SENTENCES, rule]
    assert text_of(f"<div><p>{SENTENCES[0]}</p><p>{rule}</p></div>") == [SENTENCES[0], rule]


@pytest.mark.parametrize(
    "piece",
    [
        "<p>It rained.</p>",
        "<ul><li>one thing</li><li>another thing</li></ul>",
        "<div>Text right in a division, as some editors write it, without a paragraph.</div>",
        "<pre>make bridge\n  --twice</pre>",
        "<h2>On Harbours</h2>",
        "<blockquote>We would do it again, said the mayor of the town.</blockquote>",
        "<table><tr><th>Year</th><th>Cost</th></tr><tr><td>1961</td><td>12</td></tr></table>",
        "$$ E = m c^2 $$",
    ],
)
def test_what_stands_between_paragraphs_is_kept(piece: str) -> None:
    lines = text_of(paragraphs(SENTENCES[:3]) + piece + paragraphs(SENTENCES[3:]))
    assert lines[:3] == SENTENCES[:3] and lines[-3:] == SENTENCES[3:]
    assert len(lines) > len(SENTENCES)


def test_what_stands_around_the_article_is_left_out() -> None:
    comments = "".join(
        f"<li class='comment'><p>{sentence} Or so I have heard it told by others.</p></li>"
        for sentence in SENTENCES * 2
    )
    teasers = "".join(
        f"<div class='card'><h3><a href='/{n}'>Story {n}</a></h3><p>{sentence[:40]}…</p></div>"
        for n, sentence in enumerate(SENTENCES)
    )
    around = (
        f"<ol id='comments' class='comment-list'>{comments}</ol><div class='related'>{teasers}</div>"
        "<div class='author-bio bio'><p>Ines Marsh has written about rivers for many years.</p></div>"
        "<footer><p>© 2024 The Weir. All rights reserved.</p></footer>"
    )
    before = "<p class='byline'>By Ines Marsh</p><p>3 May 2021</p>"
    assert text_of(before + paragraphs(SENTENCES), around) == SENTENCES


@pytest.mark.parametrize("label", ["Disclaimer:", "【免责声明】", "LEGAL DISCLAIMER:"])
def test_a_disclaimer_is_no_article_however_long_it_is(label: str) -> None:
    """Nor is a footer, if there is little else on the page."""
    disclaimer = f"<p>{label} {' '.join(SENTENCES)} {' '.join(SENTENCES)}</p>"
    footer = (
        "<div class='footer'><p>"
        + "Call us at any hour of the day or the night. " * 9
        + "</p></div>"
    )
    page = f"<div class='text'><p>{SENTENCES[0]}</p></div><div class='x'>{disclaimer}</div>{footer}"
    assert chosen(page, " ".join([label, *SENTENCES, *SENTENCES])) == SENTENCES[:1]
    assert text_of(paragraphs(SENTENCES) + disclaimer) == SENTENCES


def test_sections_under_first_rank_headings_keep_them() -> None:
    """Also where the page's data has only the first part of the text."""
    data = json.dumps({"@type": "Article", "articleBody": " ".join(SENTENCES[:4])})
    head = f"<script type='application/ld+json'>{data}</script>"
    body = paragraphs(SENTENCES[:4]) + "<h1>On Ferries</h1>" + paragraphs(SENTENCES[4:])
    assert text_of(body, head=head) == [*SENTENCES[:4], "On Ferries", *SENTENCES[4:]]


def test_a_heading_over_nothing_goes_and_the_title_is_not_repeated() -> None:
    body = "<h2>The Works</h2>" + paragraphs(SENTENCES) + "<h2>Also of Interest</h2>"
    assert text_of(body) == SENTENCES


CHINESE = [
    "市议会星期二就新桥的建设进行了长时间的讨论，最后以九票对八票通过了这一方案，尽管费用比原计划高出许多。",
    "市长在会议结束后表示，已经没有别的选择，工程将于明年春天开始，预计需要大约两年时间才能全部完成。",
    "附近的居民担心施工带来的噪音，也担心孩子们上学的路会变得更远，他们希望渡船在此期间能够继续运行。",
]


def chosen(page: str, found: str) -> list[str]:
    """Lines that are chosen of a page when trafilatura has found this."""
    events = events_of(fromstring(f"<html><body>{page}</body></html>"))
    choose(events, found, None, ["The Works"])
    return [event.text for event in events if isinstance(event, Run) and event.keep]


def test_lists_of_headlines_are_no_match_for_prose() -> None:
    headlines = [f"{number}{sentence[:24]}" for number, sentence in enumerate(CHINESE * 12)]
    aside = "".join(f"<li><a href='/x'>{line[:-2]}</a>{line[-2:]}</li>" for line in headlines)
    origin = "<p>（原标题：新桥终于获得通过）</p>"
    page = f"<div class='text'>{origin}{paragraphs(CHINESE)}</div><div class='col'><ul>{aside}</ul></div>"
    assert chosen(page, "\n".join(headlines)) == CHINESE


def test_boxes_of_a_linked_heading_and_a_line_are_teasers() -> None:
    others = [sentence.replace("Paragraph", "Elsewhere") for sentence in SENTENCES[:4]]
    teasers = "".join(
        f"<div class='item'><h3><a href='/a'>Another story</a></h3><p>{other}</p></div>"
        for other in others
    )
    page = f"<div class='text'>{paragraphs(SENTENCES)}</div><div class='x'>{teasers}</div>"
    assert chosen(page, "\n".join([*SENTENCES, "Another story", *others])) == SENTENCES
    whole = ["Another story", others[0], *SENTENCES]
    inner = f"<div>{teasers[: len(teasers) // 4]}{paragraphs(SENTENCES)}</div>"
    assert chosen(inner, "\n".join(whole)) == whole, "what text follows on is a part of it"
    linked = page.replace("href='/a'", "href='#a'")
    lines = chosen(linked, "\n".join([*SENTENCES, "Another story", *others]))
    assert lines[-1] == others[-1], "a heading that leads to itself"


def test_cells_of_a_linked_line_and_text_under_it_are_teasers() -> None:
    others = [sentence.replace("Paragraph", "Elsewhere") for sentence in SENTENCES[:4]]
    cells = "".join(
        f"<tr><td><a href='/a'>Another story</a><br>{other}</td></tr>" for other in others
    )
    page = f"<table><tr><td>{'<br><br>'.join(SENTENCES)}</td><td><table>{cells}</table></td></tr></table>"
    assert chosen(page, "\n".join([*SENTENCES, "Another story", *others])) == SENTENCES


def test_bold_lines_between_paragraphs_are_headings() -> None:
    bold = "<p><b>Who paid for it</b></p><p>Not so bold</p>"
    page = f"<div>{paragraphs(SENTENCES[:3])}{bold}{paragraphs(SENTENCES[3:])}</div>"
    lines = [*SENTENCES[:3], "Who paid for it", *SENTENCES[3:]]
    assert chosen(page, "\n".join(SENTENCES)) == lines


def test_a_first_sentence_too_short_for_prose_is_text() -> None:
    short = "Some traders found the note a bit gloomier than they had expected."
    page = f"<div>{paragraphs([short, *SENTENCES])}</div>"
    assert chosen(page, "\n".join(SENTENCES)) == [short, *SENTENCES]


def test_what_describes_a_film_is_left_out_and_a_page_of_film_keeps_its_text() -> None:
    said = "<div class='ui-video'><p>Travellers speak of the bridge and of what it cost them.</p></div>"
    assert text_of(paragraphs(SENTENCES[:3]) + said + paragraphs(SENTENCES[3:])) == SENTENCES
    assert text_of(f"<div class='video-story'>{paragraphs(SENTENCES)}</div>") == SENTENCES


def test_a_lead_in_a_box_of_its_own_is_text() -> None:
    lead = (
        "After years of quarrels the town has built the bridge, and nobody knows who paid for it."
    )
    page = (
        "<html><head><title>The Works</title></head><body><article><h1>The Works</h1>"
        f"<div class='article-lead'>{lead}</div><div class='tools'><a href='/p'>Print</a></div>"
        f"<div class='article-text'>{paragraphs(SENTENCES)}</div></article></body></html>"
    )
    assert extract_html(page, "https://e.org/works").text.split("\n") == [lead, *SENTENCES]


def test_short_lines_before_the_last_sentences_are_no_furniture() -> None:
    body = paragraphs(
        [*SENTENCES, "But what one gets in return is", "a quieter town.", "Sleep well."]
    )
    assert text_of(body)[len(SENTENCES) :] == [
        "But what one gets in return is",
        "a quieter town.",
        "Sleep well.",
    ]


def test_the_title_with_the_name_of_the_site_is_not_repeated() -> None:
    title = "How the Bridge over the River Wye Was Paid for Twice"
    page = (
        f"<html><head><title>{title}Weir Daily</title></head><body><div class='c'><h3>{title}</h3>"
        f"<p>Ines Marsh | Hay-on-Wye | 08/01/2014</p>{paragraphs(SENTENCES)}</div></body></html>"
    )
    assert extract_html(page, "https://e.org/works").text.split("\n") == SENTENCES


def test_the_id_of_a_heading_says_nothing_of_its_place() -> None:
    body = "".join(
        f"<h2 id='{name}'>{name.replace('-', ' ').capitalize()}</h2><p>{sentence}</p>"
        for name, sentence in zip(
            ["related-work", "parameter-sharing", "video-models", "image-caption-sets"],
            SENTENCES,
            strict=False,
        )
    )
    headings = ["Related work", "Parameter sharing", "Video models", "Image caption sets"]
    lines = text_of(paragraphs(SENTENCES[4:]) + body)
    assert [line for line in lines if line in headings] == headings


def test_lines_between_breaks_are_paragraphs() -> None:
    assert text_of("<br><br>".join(SENTENCES)) == SENTENCES


def test_an_article_that_a_script_is_to_show_is_no_furniture() -> None:
    hidden = f"<div style='visibility: hidden'>{paragraphs(SENTENCES)}</div>"
    assert text_of(hidden) == SENTENCES


def test_data_of_the_page_tells_its_text_from_others() -> None:
    """Nothing in this markup says which half is the article, but its data does."""

    def division(sentences: list[str]) -> str:
        return f"<div class='x'><div class='y'>{paragraphs(sentences)}</div></div>"

    others = [sentence.replace("Paragraph", "Section") for sentence in SENTENCES]
    data = json.dumps({"@type": "NewsArticle", "articleBody": "\n".join(SENTENCES)})
    head = f'<script type="application/ld+json">{data}</script>'
    assert text_of(division(others) + division(SENTENCES), head=head) == SENTENCES


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("By Ines Marsh", True),
        ("3 May 2021", True),
        ("Published 3 May 2021 at 14:00", True),
        ("Sign up for our weekly newsletter", True),
        ("Share this article", True),
        ("© 2024 The Weir", True),
        ("Tags: rivers, weirs", True),
        ("Lire aussi : le pont qui a coûté deux fois son prix", True),
        ("Lesen Sie auch: Die Brücke, die zweimal bezahlt wurde", True),
        ("图片来源：视觉中国", True),
        ("責任編輯：王小明", True),
        ("関連記事：橋はなぜ高くなったのか", True),
        ("It was first published on 12 June 1999.", False),
        ("Topics that nobody reads are the best ones.", False),
        ("Sign in to the console and open the settings.", False),
        ("By default the job is a pod.", False),
        ("Copyright law is older than the press.", False),
        ("More on this later.", False),
        ("Photography is an art.", False),
    ],
)
def test_lines_that_are_no_text(line: str, expected: bool) -> None:
    assert is_boilerplate(line, len(line.split())) is expected
