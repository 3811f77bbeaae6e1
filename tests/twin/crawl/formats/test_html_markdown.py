"""The Markdown that is written of a page says what the page says."""

import html

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml.html import document_fromstring
from markdown_it import MarkdownIt

from twin.crawl.formats.html_markdown import to_markdown, to_text
from twin.crawl.formats.html_rewrite import rewrite
from twin.crawl.formats.html_runs import Image, Run, events_of

BASE = "https://e.org/posts/a/"


def written(body: str, *, links: bool = True) -> str:
    """All of a page as Markdown."""
    events = events_of(rewrite(document_fromstring(f"<html><body>{body}</body></html>")))
    for event in events:
        if isinstance(event, Run | Image):
            event.keep = not event.place.hidden and not event.place.caption
    return to_markdown(events, BASE, links=links)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<h2>On <em>rivers</em></h2><p>Text.</p>", "## On *rivers*\n\nText."),
        ("<p>one<br>two</p>", "one\ntwo"),
        ("<div>one<br><br>two</div>", "one\n\ntwo"),
        ("<p>a <b> bold </b> word</p>", "a **bold** word"),
        ("<p><b>a<i>b</i></b></p>", "**a*b***"),
        ('<p>see <a href="../b?x=(1)">that <b>b</b></a>.</p>',
         "see [that **b**](https://e.org/posts/b?x=%281%29)."),
        ('<p><a href="javascript:x()">no</a> <a href="#top">top</a></p>', "no top"),
        ("<p>use <code>a_b*c</code>.</p>", "use `a_b*c`."),
        ("<ul><li>one<ul><li>two</li></ul></li><li>three</li></ul>", "- one\n  - two\n- three"),
        ("<ol start=4><li>four</li><li><p>five</p><p>more</p></li></ol>",
         "4. four\n\n5. five\n\n   more"),
        ("<blockquote><p>said</p><p>again</p></blockquote>", "> said\n>\n> again"),
        ("<table><tr><th>a</th><th>b|c</th></tr><tr><td>1</td></tr></table>",
         "| a | b\\|c |\n| --- | --- |\n| 1 |  |"),
        ("<table><tr><td><p>left</p></td></tr></table>", "left"),
        ('<pre class="language-go">x\n  y</pre>', "```go\nx\n  y\n```"),
        ("<p># no heading</p><p>1. no item</p><p>- neither</p>",
         "\\# no heading\n\n1\\. no item\n\n\\- neither"),
        ("<p>a_b_c 2*3 <b>x</b> [1](2) &lt;b></p>", "a_b_c 2\\*3 **x** [1\\](2) \\<b>"),
        (r"<p>let $a_1 * b_2$ and \(c_1\) be</p>", "let $a_1 * b_2$ and $c_1$ be"),
    ],
)  # fmt: skip
def test_structure(page: str, expected: str) -> None:
    assert written(page) == expected


def test_an_image_that_a_script_loads() -> None:
    page = '<p><img src="data:x" data-srcset="/s.png 1x, /l.png 2x" alt="A map"></p>'
    assert written(page) == "![A map](https://e.org/s.png)"


def test_images_with_their_captions() -> None:
    figure = (
        '<p>Before.</p><figure><img data-src="/i.png" src="data:x" alt="A [map]"><figcaption>The '
        '"old" town</figcaption></figure><p>After.</p>'
    )
    assert written(figure) == (
        "Before.\n\n![A (map)](https://e.org/i.png \"The 'old' town\")\n\nAfter."
    )
    assert written(figure, links=False) == "Before.\n\nAfter."


def test_links_are_kept_only_where_they_are_wanted() -> None:
    assert written('<p>see <a href="/b">that</a></p>', links=False) == "see that"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<p>so <script type="math/tex">a_1</script> is</p>', "so $a_1$ is"),
        ('<p><script type="math/tex; mode=display">a</script></p>', "$$a$$"),
        ('<p>so <span class="katex"><span class="katex-mathml"><math><semantics><mi>a</mi>'
         '<annotation encoding="application/x-tex">a^2</annotation></semantics></math></span>'
         '<span class="katex-html" aria-hidden="true">a2</span></span> is</p>', "so $a^2$ is"),
        ('<p><span class="mwe-math-element"><span style="display:none"><math alttext='
         r'"{\displaystyle x}"><mi>x</mi></math></span><img class="mwe-math-fallback-image" '
         'src="x.svg"></span></p>', "$x$"),
        ('<p>so <img class="latex" alt="x_1" src="l.png"> is</p>', "so $x_1$ is"),
        ("<p><math display='block'><mi>x</mi><mo>=</mo></math></p>", "$$x =$$"),
        ('<p>a<span class="MathJax_Preview">x</span><span class="MathJax">x</span>'
         '<script type="math/tex">x</script></p>', "a$x$"),
    ],
)  # fmt: skip
def test_formulas_of_every_typesetter(page: str, expected: str) -> None:
    assert written(page) == expected


def test_plain_text_has_rows_on_lines() -> None:
    page = "<p>one <b>two</b></p><table><tr><th>a<th>b<tr><td>1<td>2</table><pre>x\n y</pre>"
    events = events_of(document_fromstring(page))
    for event in events:
        if isinstance(event, Run):
            event.keep = True
    assert to_text(events) == "one two\na\tb\n1\t2\nx\n y"


INLINE = st.sampled_from(
    ["<b>", "</b>", "<em>", "</em>", "<code>", "</code>", "<a href='/x'>", "</a>"]
)
WORDS = st.text(st.sampled_from("ab *_`[]()<>#+-.!\\~|&;1"), max_size=12).map(html.escape)


@settings(max_examples=400, deadline=None)
@given(st.lists(INLINE | WORDS, min_size=1, max_size=12).map("".join))
def test_what_markdown_shows_is_what_the_page_shows(body: str) -> None:
    """Whatever the author wrote, no character of it becomes a mark of Markdown or is lost."""
    tree = document_fromstring(f"<html><body><p>{body}</p></body></html>")
    events = events_of(tree)
    runs = [event for event in events if isinstance(event, Run)]
    # A backslash before a bracket may begin a formula, which is written in dollars.
    assume(not any("\\(" in run.text or "\\[" in run.text for run in runs))
    for run in runs:
        run.keep = True
    shown = document_fromstring(
        MarkdownIt("commonmark")
        .enable("strikethrough")
        .render(to_markdown(events, BASE, links=True))
        or "<p></p>"
    ).text_content()
    expected = "".join(run.squeezed for run in runs)
    assert "".join(shown.split()).replace("*", "") == expected.replace("*", "")


def test_raised_digits_and_cells_that_span() -> None:
    page = "<p>10<sup>2</sup> m<sup>-1</sup>, the 4<sup>th</sup>.<sup><a href='#n'>12</a></sup></p>"
    assert written(page) == "10² m⁻¹, the 4th.¹²"
    table = (
        "<table><tr><th rowspan=2>Year</th><th colspan=2>Height</th></tr><tr><th>low</th>"
        "<th>high</th></tr><tr><td>1961</td><td>1</td><td>2</td></tr></table>"
    )
    assert written(table) == (
        "| Year | Height |  |\n| --- | --- | --- |\n|  | low | high |\n| 1961 | 1 | 2 |"
    )
    vast = (
        "<table><tr><th colspan=9999999 rowspan=x>a</th><th>b</th></tr><tr><td>1</td></tr></table>"
    )
    assert written(vast).count("|") < 300


def test_a_bracket_at_the_end_of_a_line_needs_no_backslash() -> None:
    assert written("<p>[said in May]<br>[and in June]</p>") == "[said in May]\n[and in June]"
    assert written("<p>a \\ ]</p>") == "a \\ ]"
