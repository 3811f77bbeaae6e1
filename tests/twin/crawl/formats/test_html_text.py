"""HTML that is all text, to Markdown."""

import pytest
from lxml.html import document_fromstring

from twin.crawl.formats.html_text import to_markdown


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("<h2>A <b>bold</b> head</h2><p>x</p>", "## A bold head\n\nx\n"),
        ("<p>one<br>two <a href='https://e.org/'>link</a></p>",
         "one\ntwo [link](https://e.org/)\n"),
        ("<a href='javascript:alert(1)'>text</a>", "text\n"),
        ("<ul><li>a<ul><li>b</li></ul></li><li><p>c</p></li></ul>", "- a\n  - b\n- c\n"),
        ("<ol><li><p>a</p><p>b</p></li></ol>", "1. a\n\n   b\n"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b\n"),
        ("<pre>  x\n\n  y<br>z</pre>", "```\n  x\n\n  y\nz\n```\n"),
        ("<div>loose <i> text </i>end<p>par</p>tail</div>", "loose *text* end\n\npar\n\ntail\n"),
        ("<p># not a heading</p>", "\\# not a heading\n"),
        ("<p><code>a_b</code> &amp; &lt;tag&gt;</p>", "`a_b` & \\<tag>\n"),
        ("<script>x()</script><style>p{}</style><p>a</p>", "a\n"),
        ("<table><tr><th>a<th>b<tr><td>1</table>", "| a | b |\n| --- | --- |\n| 1 |  |\n"),
        ("<table><tr><td>a frame</table>", "a frame\n"),
        ("<img src='data:x' alt='a map'><img src='y.png'>", "![a map]()\n"),
        ("<p>10<sup>2</sup>, 4<sup>th</sup></p>", "10², 4th\n"),
        ("<p> </p>", ""),
    ],
)  # fmt: skip
def test_elements(html: str, markdown: str) -> None:
    assert to_markdown(document_fromstring(f"<html><body>{html}</body></html>")) == markdown
