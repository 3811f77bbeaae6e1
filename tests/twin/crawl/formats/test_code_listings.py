"""Listings of every highlighter are one fenced block each, letter by letter."""

import pytest
from lxml.html import document_fromstring

from tests.twin.crawl.formats.prose import between
from twin.crawl.formats.code_listings import unwrap_listings

CODE = "def prime(pump):\n    if pump.dry:\n        pump.fill(3)\n\n    return pump"
FENCED = f"```python\n{CODE}\n```"
LINES = CODE.split("\n")


def _rows(cells: str) -> str:
    return "".join(f"<tr>{cells.format(n + 1, line)}</tr>" for n, line in enumerate(LINES))


HIGHLIGHTERS = {
    "plain": f'<pre><code class="language-python">{CODE}</code></pre>',
    "lang- class": f'<pre class="lang-python">{CODE}</pre>',
    "pre lang": f'<pre lang="python"><code>{CODE}</code></pre>',
    "data-lang": f'<pre><code data-lang="python">{CODE}</code></pre>',
    "data-language": f'<pre data-language="python"><code>{CODE}</code></pre>',
    "enlighter": f'<pre class="EnlighterJSRAW" data-enlighter-language="python">{CODE}</pre>',
    "brush": f'<pre class="brush: python; title: ; notranslate">{CODE}</pre>',
    "sphinx": f'<div class="highlight-python notranslate"><div class="highlight"><pre>{CODE}</pre>'
    "</div></div>",
    "pandoc": f'<div class="sourceCode"><pre class="sourceCode python"><code>{CODE}</code></pre>'
    "</div>",
    "org": f'<div class="org-src-container"><pre class="src src-python">{CODE}</pre></div>',
    "hljs": f'<pre><code class="hljs python">{CODE}</code></pre>',
    "github": f'<div class="highlight highlight-source-python"><pre>{CODE}</pre></div>',
    "figure": f'<figure class="highlight python"><pre>{CODE}</pre></figure>',
    "two cells": '<figure class="highlight python"><table><tr><td class="gutter"><pre>1\n2\n3\n4\n5'
    f'</pre></td><td class="code"><pre>{CODE}</pre></td></tr></table></figure>',
    "line spans": '<pre class="shiki language-python"><code>'
    + "\n".join(f'<span class="line"><span>{line}</span></span>' for line in LINES)
    + "</code></pre>",
    "line spans without line ends": '<pre class="language-python"><code>'
    + "".join(f'<span class="line">{line}</span>' for line in LINES)
    + "</code></pre>",
    "line breaks": f'<pre class="language-python">{"<br>".join(LINES)}</pre>',
    "divs": '<pre class="prism-code language-python">'
    + "".join(f'<div class="token-line">{line}</div>' for line in LINES)
    + "</pre>",
    "divs with gutters": '<pre data-language="python"><code>'
    + "".join(
        f'<div class="ec-line"><div class="gutter"><div class="ln">{n}</div></div>'
        f'<div class="code">{line}</div></div>'
        for n, line in enumerate(LINES, 1)
    )
    + "</code></pre>",
    "list in pre": '<pre class="prettyprint lang-python"><ol class="linenums">'
    + "".join(f"<li>{line}</li>" for line in LINES)
    + "</ol></pre>",
    "table in pre": '<pre><code class="hljs language-python"><table class="hljs-ln">'
    + _rows('<td class="hljs-ln-numbers" data-line-number="{0}"></td><td>{1}</td>')
    + "</table></code></pre>",
    "gist": '<div class="gist"><div class="blob-wrapper data type-python"><table class="highlight">'
    + _rows('<td class="blob-num" data-line-number="{0}"></td><td class="blob-code">{1}</td>')
    + '</table></div><div class="gist-meta"><a href="/raw">view raw</a> hosted</div></div>',
    "numbers in spans": '<pre class="language-python">'
    + "\n".join(f'<span class="linenos">{n}</span>{line}' for n, line in enumerate(LINES, 1))
    + "</pre>",
    "numbers in spans of no name": '<pre class="language-python">'
    + "\n".join(f"<span>{n}</span>{line}" for n, line in enumerate(LINES, 1))
    + "</pre>",
    "syntaxhighlighter": '<div class="syntaxhighlighter python"><table><tr><td class="gutter">'
    + "".join(f'<div class="line number{n}">{n}</div>' for n in range(1, 6))
    + '</td><td class="code"><div class="container">'
    + "".join(
        f'<div class="line"><code class="python plain">{line.replace(" ", "&nbsp;")}</code></div>'
        for line in LINES
    )
    + "</div></td></tr></table></div>",
    "code as a block": '<code class="language-python" style="display:block;white-space:pre">'
    + "<br>".join(line.replace(" ", "&nbsp;") for line in LINES)
    + "</code>",
    "button": f'<div class="codeblock"><button>Copy</button>'
    f'<pre class="language-python">{CODE}</pre>'
    "</div>",
    "popup": '<pre class="language-python"><code>'
    + CODE.replace("pump.dry", '<span class="tooltip-popup">bool: is it dry?</span>pump.dry')
    + "</code></pre>",
}


@pytest.mark.parametrize("name", HIGHLIGHTERS)
def test_a_listing_is_one_block_with_its_language(name: str) -> None:
    assert between(HIGHLIGHTERS[name]) == FENCED


@pytest.mark.parametrize(
    "markup",
    [
        "<figure><figcaption>{0}</figcaption>{1}</figure>",
        "<figure>{1}<figcaption>{0}</figcaption></figure>",
        '<div class="code-block"><div class="code-block-caption"><span class="caption-text">{0}'
        "</span></div>{1}</div>",
        '<div class="expressive-code"><figure><figcaption class="header"><span class="title">{0}'
        "</span></figcaption>{1}</figure></div>",
    ],
)
def test_the_caption_of_a_listing_stays(markup: str) -> None:
    text = between(markup.format("Listing 4: priming", HIGHLIGHTERS["plain"]))
    assert FENCED in text and text.replace(FENCED, "").strip() == "Listing 4: priming"


def test_a_listing_of_numbers_is_no_gutter() -> None:
    assert between("<pre>3\n1\n4\n1\n5</pre>") == "```\n3\n1\n4\n1\n5\n```"


def test_a_table_of_numbered_rows_is_a_table() -> None:
    rows = "".join(f"<tr><td>{n}</td><td>valve {n}</td></tr>" for n in range(1, 5))
    assert between(f"<table><tr><th>No</th><th>What</th></tr>{rows}</table>").startswith("| No |")


def test_classes_that_are_no_language() -> None:
    for name in ("language-none", "highlight-default", "wp-block-code", "hljs", "highlight"):
        assert between(f'<pre class="{name}">{CODE}</pre>') == f"```\n{CODE}\n```"


def test_four_thousand_listings() -> None:
    assert between('<div class="highlight"><pre>x = 1</pre></div>' * 4_000).count("x = 1") == 4_000


def test_a_listing_of_fifty_thousand_lines() -> None:
    lines = "".join(f'<span class="line">x{n}</span>' for n in range(50_000))
    tree = document_fromstring(f"<p>Thus:</p><pre>{lines}</pre>")
    unwrap_listings(tree)
    assert tree.xpath("//pre")[0].text.split() == [f"x{n}" for n in range(50_000)]
