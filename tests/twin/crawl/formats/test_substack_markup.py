"""What Substack's editor writes, in posts of its API, in its feeds and on its pages."""

import json
from html import escape

import pytest

from tests.twin.crawl.site_server import article
from twin.crawl.formats.html import read_fragment, read_html
from twin.crawl.page import UnusableError

URL = "https://tess.substack.com/p/tides"
PROSE = "<p>A paragraph of the post, in plain words and at some length, about the tides.</p>"


def data(**fields: object) -> str:
    return escape(json.dumps(fields), quote=True)


def written(markup: str) -> str:
    """The same from a post of the API and from its page."""
    body = f"{PROSE}{markup}{PROSE.replace('A para', 'The last para')}"
    found = read_fragment(body, URL)
    page = read_html(article("Tides", body=body), URL).content
    assert found.strip() in page
    first, last = (found.index(words) for words in ("A paragraph", "The last"))
    return found[first:last].partition("\n\n")[2].strip()


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        (f'<div class="latex-rendered" data-attrs="{data(persistentExpression="a_b < c")}" '
         'data-component-name="LatexBlockToDOM"></div>', "$$a_b < c$$"),
        (f'<p>As <span class="mention-wrap" data-attrs="{data(name="Gus Guest", id=1)}" '
         'data-component-name="MentionToDOM"></span> told me one day on the pier.</p>',
         "As Gus Guest told me one day on the pier."),
        ('<p>It rose.<a class="footnote-anchor" data-component-name="FootnoteAnchorToDOM" '
         'id="footnote-anchor-12" href="#footnote-12">12</a> Then it fell again.</p>',
         "It rose.\u00b9\u00b2 Then it fell again."),
        ('<div class="footnote" data-component-name="FootnoteToDOM"><a id="footnote-1" '
         'href="#footnote-anchor-1" class="footnote-number">1</a><div class="footnote-content">'
         "<p>So said the harbour master in that year.</p><p>And his wife.</p></div></div>",
         "\u00b9 So said the harbour master in that year.\n\nAnd his wife."),
        ('<div class="preformatted-block" data-component-name="PreformattedTextBlockToDOM">'
         '<label class="hide-text">Text within this block will maintain its original spacing '
         'when published</label><pre class="text">A line\n   of verse</pre></div>',
         "```\nA line\n   of verse\n```"),
        ('<p class="button-wrapper" data-component-name="ButtonCreateButton"><a class="button '
         'primary" href="https://e.org/"><span>Get 20% off for a year</span></a></p>', ""),
        ('<div class="captioned-button-wrap" data-component-name="CaptionedButtonToDOM"><div '
         'class="preamble"><p class="cta-caption">This post is public, so pass it on to all.</p>'
         '</div><p class="button-wrapper"><a>Share</a></p></div>', ""),
        ('<div class="embedded-post-wrap" data-component-name="EmbeddedPostToDOM"><a '
         'class="embedded-post" href="https://other.substack.com/p/b"><div '
         'class="embedded-post-title">Another title</div><div class="embedded-post-body">The '
         "beginning of the post of somebody else, who is not the author…</div></a></div>", ""),
        ('<div class="subscription-widget-wrap-editor" data-component-name="SubscribeWidgetToDOM">'
         '<div class="subscription-widget show-subscribe"><div class="preamble"><p '
         'class="cta-caption">Thanks for reading! Subscribe for free to support my work.</p></div>'
         '<form><input type="email"></form></div></div>', ""),
        ('<div class="latex-rendered" data-attrs="{no json" data-component-name="L"></div>', ""),
        ('<div class="latex-rendered" data-attrs="[1]" data-component-name="L"></div>', ""),
    ],
)  # fmt: skip
def test_what_it_writes_for_scripts_is_text_or_nothing(markup: str, expected: str) -> None:
    assert written(markup) == expected


def test_elements_of_the_same_names_on_other_sites_are_left_alone() -> None:
    wrapped = "<p class='button-wrapper'>A sentence that stands in a wrapper of some site.</p>"
    assert "stands in a wrapper" in read_html(article("A", body=PROSE + wrapped), URL).content


def test_a_fragment_of_nothing_else_is_unusable() -> None:
    button = '<p class="button-wrapper" data-component-name="B"><a href="/x">Join</a></p>'
    with pytest.raises(UnusableError):
        read_fragment(button, URL)
