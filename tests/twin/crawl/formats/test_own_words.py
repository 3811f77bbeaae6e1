"""What looks like furniture and is the author's: by where it stands, and what speaks for it."""

# ruff: noqa: E501 - markup as it is written

import pytest

from tests.twin.crawl.formats.prose import between, content

SENTENCE = "The old valves were taken out one by one and laid in a row along the northern wall."


@pytest.mark.parametrize(
    "name",
    ["related-work", "sharing-memory", "pagination", "comments-in-code", "newsletter-of-1911", "popular-mistakes",
     "copyright-of-maps", "follow-the-water", "credits-and-debits", "author-and-reader", "cookies-of-the-session"],
)  # fmt: skip
@pytest.mark.parametrize("tag", ["section", "div"])
def test_a_section_is_not_what_its_heading_says(name: str, tag: str) -> None:
    heading = name.replace("-", " ").capitalize()
    markup = f'<{tag} id="{name}"><h2>{heading}</h2><p>{SENTENCE}</p></{tag}>'
    assert between(markup) == f"## {heading}\n\n{SENTENCE}"


@pytest.mark.parametrize(
    "furniture",
    [
        '<section id="comments"><h2>Comments</h2><p>I was there too and it was just as you say it was.</p></section>',
        '<div id="related-posts"><h3>Related posts</h3><ul><li><a href="/b">About another thing</a></li></ul></div>',
        '<section id="newsletter"><h2>Newsletter</h2><form><input><button>Go</button></form></section>',
    ],
)
def test_a_section_of_readers_or_links_is_furniture_still(furniture: str) -> None:
    text = content("", below=furniture)
    assert text.rstrip().endswith("spelt rightly.")


@pytest.mark.parametrize(
    "sentence",
    [
        "We use cookies to carry the number of the session from one valve to the next.",
        "To keep reading the gauge after a fault, turn the valve back to its first mark.",
        "Subscribe to the alerts of your own pump, and they arrive in the order of writing.",
        "Read more than one gauge at a time, since each of them is wrong in a way of its own.",
        "Share this pipe with the neighbour only if the pressure at the gate is high enough.",
        "Follow me down the stairs in your mind, past the boiler and the row of brass taps.",
        "Continue reading at the second mark once the first of the two pumps has been primed.",
    ],
)
def test_a_sentence_among_others_is_the_authors(sentence: str) -> None:
    assert between(f"<p>{sentence}</p>") == sentence


@pytest.mark.parametrize(
    "line",
    [
        '<p>Read more: <a href="/b">How the mill was paid for by the town</a></p>',
        "<p>Sign up for our newsletter to get the best of the canal in your inbox.</p>",
        "<p>Advertisement</p>",
        "<p>Get unlimited access to every story for only one pound a week.</p>",
        "<p>This website uses cookies to give you the best experience of our site.</p>",
    ],
)
def test_a_line_that_sells_or_leads_away_is_furniture_still(line: str) -> None:
    assert between(line) == ""


@pytest.mark.parametrize("heading", ["Search", "Report", "Menu", "Next", "Related content"])
def test_a_heading_over_prose_is_the_authors(heading: str) -> None:
    assert between(f"<h2>{heading}</h2><p>{SENTENCE}</p>") == f"## {heading}\n\n{SENTENCE}"


@pytest.mark.parametrize(
    "attributes",
    ['role="tabpanel" hidden', 'hidden="until-found"', 'role="tabpanel" style="display:none"',
     'role="tabpanel" aria-hidden="true"', 'id="p2" hidden'],
)  # fmt: skip
def test_hidden_panels_are_shown(attributes: str) -> None:
    markup = f'<button aria-controls="p2">More</button><div {attributes}><p>{SENTENCE}</p></div>'
    assert between(markup) == SENTENCE


def test_panels_bear_the_names_of_their_tabs() -> None:
    tabs = '<div><ul role="tablist"><li role="tab">Brass</li><li role="tab">Iron</li></ul>'
    panels = f'<div role="tabpanel"><p>{SENTENCE}</p></div><div role="tabpanel" hidden><pre>rust()</pre></div></div>'
    assert between(tabs + panels) == f"**Brass**\n\n{SENTENCE}\n\n**Iron**\n\n```\nrust()\n```"


@pytest.mark.parametrize(
    "hidden",
    ['<div role="dialog" hidden><p>{}</p></div>', '<div hidden><p>{}</p></div>', '<p style="display:none">{}</p>',
     '<nav id="p2" hidden aria-label="x"><p>{}</p></nav>'],
)  # fmt: skip
def test_what_else_is_hidden_stays_so(hidden: str) -> None:
    assert between('<button aria-controls="p2">More</button>' + hidden.format(SENTENCE)) == ""


@pytest.mark.parametrize(
    ("box", "quote"),
    [
        ('<div class="admonition warning"><p class="admonition-title">Warning</p><p>Mind the eel.</p></div>',
         "> **Warning**\n>\n> Mind the eel."),
        ('<div class="theme-admonition alert"><div class="admonitionHeading_x">danger</div><div><p>Mind the eel.</p>'
         "</div></div>", "> **danger**\n>\n> Mind the eel."),
        ('<div class="markdown-alert"><p class="markdown-alert-title"><svg></svg>Tip</p><p>Mind the eel.</p></div>',
         "> **Tip**\n>\n> Mind the eel."),
        ('<div class="kg-card kg-callout-card"><div class="kg-callout-emoji">💡</div><div class="kg-callout-text">'
         "Mind the eel.</div></div>", "> 💡 Mind the eel."),
        ('<div class="alert alert-info">Mind the <b>eel</b>.</div>', "> Mind the **eel**."),
        ('<div role="note"><p>Mind the eel.</p></div>', "> Mind the eel."),
        (f"<aside><p>{SENTENCE}</p></aside>", f"> {SENTENCE}"),
    ],
)  # fmt: skip
def test_callouts_and_asides_are_quotes(box: str, quote: str) -> None:
    assert between(box) == quote


@pytest.mark.parametrize(
    "box",
    [
        '<div class="alert cookie-alert"><p>We and our partners store data.</p><button>OK</button></div>',
        '<div class="notice newsletter"><p>Our letter comes to your inbox once every week.</p></div>',
        "<aside><h3>Most read</h3><p>A story about something else that has words in it.</p></aside>",
        '<aside class="related"><p>A story about something else that has words in it.</p></aside>',
    ],
)
def test_boxes_that_are_no_callouts(box: str) -> None:
    assert between(box) == ""


def test_a_list_of_links_among_paragraphs_is_the_authors() -> None:
    text = between(
        '<ul><li><a href="/x">Brass and its uses</a></li><li><a href="/y">Iron</a></li></ul>'
    )
    assert "Brass and its uses" in text and "Iron" in text


def test_a_list_of_links_with_a_name_is_furniture_still() -> None:
    assert between('<ul class="related"><li><a href="/x">Brass and its uses</a></li></ul>') == ""
