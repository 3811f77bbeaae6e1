"""Fenced code blocks, and the language of a block by what its page calls it."""

import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.html import HtmlElement

# `language-python`, `lang-python`, `highlight-source-python`, `highlight-python`, `brush: python`,
# `type-python`, `lang:python`
_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language|lang|highlight-source|brush|highlight|type)[-:]\s?([\w+#.-]+)"
)
_NAME = re.compile(r"[\w+#.-]+")
_ATTRIBUTES = (
    "data-lang", "data-language", "data-enlighter-language", "data-code-language",
    "data-code-lang", "data-syntax", "data-highlight-language",
)  # fmt: skip
# Beside these, one word of a class is the language: `<figure class="highlight python">`.
_HIGHLIGHTERS = frozenset(
    {"highlight", "hljs", "sourcecode", "syntaxhighlighter", "src", "prettyprint", "code"}
    | {"codehilite", "crayon", "brush", "chroma", "codeblock", "code-block", "listing"}
)
_NO_LANGUAGES = frozenset(
    {"default", "none", "plain", "plaintext", "nohighlight", "no-highlight", "auto", "undefined"}
    | {"notranslate", "raw", "txt", "source", "text"}
)
_WRAPPERS = frozenset({"div", "figure", "section", "span", "td", "tr", "tbody", "table", "code"})
_MAX_WRAPPERS = 8


def language_of(block: "HtmlElement") -> str:
    """The language of a block: from its attributes, those of what is in it, or what wraps it."""
    wrappers = []
    for above in block.iterancestors():
        if above.tag not in _WRAPPERS or len(wrappers) == _MAX_WRAPPERS:
            break
        wrappers.append(above)
    for element in (block, *block.xpath("./code | ./table"), *wrappers):
        if language := _stated(element):
            return language
    return ""


def _stated(element: "HtmlElement") -> str:
    """The language that an element names."""
    called = element.get("class") or ""
    for stated in (match[1] for match in _LANGUAGE.finditer(called)):
        if stated.lower() not in _NO_LANGUAGES and not _is_no_language(stated):
            return stated
    for attribute in _ATTRIBUTES:
        name = (element.get(attribute) or "").strip()
        if _NAME.fullmatch(name) and name.lower() not in _NO_LANGUAGES:
            return name
    if element.tag in ("pre", "code"):
        name = (element.get("lang") or "").lower()
        if name in _known() and len(name) > 2:  # `lang="de"` is that of its comments
            return name
    words = called.lower().split()
    if not words or (_HIGHLIGHTERS.isdisjoint(words) and element.tag not in ("pre", "code")):
        return ""
    bare = (word.removeprefix("src-").rstrip(";") for word in words)
    return next((w for w in bare if w in _known() and w not in _HIGHLIGHTERS | _NO_LANGUAGES), "")


def _is_no_language(name: str) -> bool:
    """A part of a class such as ``highlight-box``."""
    return name.lower() in {"box", "wrapper", "container", "block", "line", "inner", "code"}


@cache
def _known() -> frozenset[str]:
    """The names of languages that Pygments has a lexer for."""
    from pygments.lexers import get_all_lexers

    return frozenset(
        alias for _, aliases, _, _ in get_all_lexers(plugins=False) for alias in aliases
    )


def fenced(code: str, language: str) -> str:
    """A fenced code block, its fence longer than any run of backticks inside (CommonMark 4.5)."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"
