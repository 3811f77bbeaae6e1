"""Code comes through extraction letter by letter."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring, fragment_fromstring

from tests.twin.crawl.site_server import article
from twin.crawl.formats.code_blocks import fenced, language_of
from twin.crawl.formats.code_listings import unwrap_listings
from twin.crawl.formats.html import read_html

CODE = "import os\n\n\ndef f(x):\n\treturn x_1 * `2`  # $a_b$\n\n# not a heading"
PROSE = "<p>A paragraph before the code says what it is for, in plain words and at some length.</p>"


def content(body: str) -> str:
    return read_html(article("Coding", body=body), "https://e.org/a").content


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")) | st.just("\n")))
def test_any_code_survives_the_way_through_a_page(code: str) -> None:
    code = "\n".join(line.rstrip() for line in code.strip("\n").rstrip().split("\n"))
    if not code.strip("0123456789 \n"):
        return  # taken for line numbers
    assert fenced(code, "") in content(f"{PROSE}<pre>\n{html.escape(code)}</pre>{PROSE}")


def test_code_with_its_language_in_an_extracted_page() -> None:
    body = (
        f'<h2>Code</h2><pre><code class="hljs language-python">{CODE}</code></pre><p>Then, on.</p>'
    )
    assert f"## Code\n\n```python\n{CODE}\n```\n" in content(body)
    assert "Then, on." in content(body)


def test_line_numbers_are_dropped_and_their_table_with_them() -> None:
    tree = document_fromstring(
        '<div class="highlight language-go"><table><tr><td><pre>1\n2</pre></td>'
        "<td><pre><span>a</span>\n<span>b</span></pre></td></tr></table></div>"
    )
    unwrap_listings(tree)
    [pre] = tree.xpath("//pre")
    assert pre.text_content() == "a\nb" and language_of(pre) == "go"
    assert not tree.xpath("//table")


def test_languages_as_generators_write_them() -> None:
    for block in (
        '<pre class="brush: python">x</pre>',
        '<pre><code data-lang="python">x</code></pre>',
        '<pre><code class="lang-python">x</code></pre>',
    ):
        assert language_of(fragment_fromstring(block)) == "python"
    assert language_of(fragment_fromstring("<pre>x</pre>")) == ""


def test_fences_are_longer_than_those_inside() -> None:
    assert fenced("```\nx\n```", "") == "````\n```\nx\n```\n````"


def test_line_breaks_within_code() -> None:
    assert "```\none\ntwo\nthree\n```" in content(f"{PROSE}<pre>one<br>two<br/>three</pre>{PROSE}")


@pytest.mark.parametrize(
    ("markup", "language"),
    [
        ('<div class="highlight"><pre tabindex="0" class="chroma"><code class="language-sh" '
         'data-lang="sh">{}</code></pre></div>', "sh"),
        ('<div class="language-sh highlighter-rouge"><div class="highlight"><pre '
         'class="highlight"><code>{}</code></pre></div></div>', "sh"),
        ('<figure class="highlight"><pre><code class="language-sh">{}</code></pre></figure>', "sh"),
        ('<div class="highlight highlight-source-sh"><pre>{}</pre><div class="copy"><button>Copy'
         "</button></div></div>", "sh"),
        ('<div class="highlight"><table class="lntable"><tr><td><pre><code>1\n2</code></pre></td>'
         '<td><pre><code class="language-sh">{}</code></pre></td></tr></table></div>', "sh"),
        ('<section class="code"><span><pre>{}</pre></span></section>', ""),
    ],
)  # fmt: skip
def test_a_short_block_in_a_highlighter_s_wrapper_is_part_of_the_text(
    markup: str, language: str
) -> None:
    code = "make it\n  --twice"
    assert f"```{language}\n{code}\n```" in content(PROSE + markup.format(code) + PROSE)


def test_a_block_among_other_text_stays_where_it_is() -> None:
    box = "<div class='box'><p>In the box.</p><pre>make it</pre></div>"
    tree = document_fromstring(f"<html><body>{box}</body></html>")
    unwrap_listings(tree)
    assert [place.tag for place in tree.iter("p", "pre")] == ["p", "pre"]
    assert tree.xpath("//div[@class='box']/pre")
