"""Code comes through extraction letter by letter."""

import html

from hypothesis import given
from hypothesis import strategies as st
from lxml.html import document_fromstring

from tests.twin.crawl.site_server import article
from twin.crawl.formats.code_blocks import put_code_back, take_code
from twin.crawl.formats.html import read_html

CODE = "import os\n\n\ndef f(x):\n\treturn x_1 * `2`  # $a_b$\n\n# not a heading"


def blocks(body: str) -> list[str]:
    return take_code(document_fromstring(f"<html><body>{body}</body></html>"))


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")) | st.just("\n")))
def test_any_code_survives_the_way_through_a_page(code: str) -> None:
    code = code.strip("\n").rstrip()
    if not code.strip("0123456789 \n"):
        return  # taken for line numbers
    tree = document_fromstring(f"<html><body><pre>\n{html.escape(code)}</pre></body></html>")
    taken = take_code(tree)
    assert code in put_code_back("codeblock0begins\ncodeblock0ends", taken)


def test_code_with_its_language_in_an_extracted_page() -> None:
    body = (
        f'<h2>Code</h2><pre><code class="hljs language-python">{CODE}</code></pre><p>Then, on.</p>'
    )
    content = read_html(article("Coding", body=body), "https://e.org/a").content
    assert f"## Code\n\n```python\n{CODE}\n```\n" in content
    assert "Then, on." in content and "codeblock" not in content


def test_line_numbers_are_dropped_and_their_table_with_them() -> None:
    listing = (
        '<div class="highlight language-go"><table><tr><td><pre>1\n2</pre></td>'
        "<td><pre><span>a</span>\n<span>b</span></pre></td></tr></table></div>"
    )
    assert blocks(listing) == ["```go\na\nb\n```"]


def test_fences_are_longer_than_those_inside() -> None:
    assert blocks("<pre>```\nx\n```</pre>") == ["````\n```\nx\n```\n````"]


def test_line_breaks_within_code() -> None:
    assert blocks("<pre>one<br>two<br/>three</pre>") == ["```\none\ntwo\nthree\n```"]
