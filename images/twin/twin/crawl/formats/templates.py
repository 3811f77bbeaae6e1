"""Template tags of site generators in Markdown: Liquid (Jekyll), shortcodes (Hugo, Zola), Jinja
and Nunjucks (Eleventy), and kramdown's attributes. They are instructions to a program, not text.

What they enclose is the author's and stays; highlighted code becomes a fence, a figure an image.
"""

import re
from collections.abc import Callable

from twin.text.code import CODE

#: Takes a piece of text away and gives the mark that stands in its place.
Keep = Callable[[str], str]

#: A tag ends before another begins, so that a file of openings is read once.
_LIQUID = r"\{%-?\s*(?P<liquid>(?:(?!\{%|%\}).){0,1000}?)\s*-?%\}"
_SHORTCODE = r"\{\{(?P<mark>[<%])\s*(?P<code>(?:(?!\{\{[<%]|[>%]\}\}).){0,1000}?)\s*[>%]\}\}"
_OUTPUT = r"(?<![$\\])\{\{-?(?P<output>(?:(?!\{\{|\}\}).){0,500})-?\}\}"
_COMMENT = r"\{#(?:(?!\{#|#\}).){0,1000}#\}"
_TAG = re.compile(rf"{_LIQUID}|{_SHORTCODE}|{_OUTPUT}|{_COMMENT}", re.DOTALL)

#: Jekyll and Eleventy make an address of a path so: {{ "/img/a.png" | relative_url }}.
_ADDRESS = re.compile(r"\s*[\"'](?P<path>[^\"']*)[\"']\s*\|\s*(?:relative_url|absolute_url|url)\s*")

_FENCED = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?^ {0,3}(?P=fence)[`~]*[ \t]*$|.*)",
    re.MULTILINE | re.DOTALL,
)

_OPENING = re.compile(
    r"\{%-?\s*(?P<liquid>highlight|code|codeblock|raw|verbatim|comment)\b(?P<how>[^%\n]{0,300}?)-?%\}"
    r"|\{\{[<%]\s*(?P<short>highlight|code)\b(?P<hugo>[^{}\n]{0,300}?)[>%]\}\}"
)

_QUOTED = re.compile(r"(?P<key>[a-z]+)\s*=\s*(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)')")

#: kramdown's attributes on a line of their own, behind a block or behind a heading.
_ATTRIBUTES = re.compile(
    r"^[ \t]*(?:[*-][ \t]+\w[^\n]{0,60}\n[ \t]*)?\{:[ \t]*toc\b[^{}\n]{0,200}\}[ \t]*$\n?"
    r"|^[ \t]*\{:[^{}\n]{0,300}\}[ \t]*$\n?"
    r"|(?<=\S)\{:[^{}\n]{0,300}\}"
    r"|(?<=\S)[ \t]+\{[#.][^{}\n]{0,200}\}[ \t]*$"
    r"|^[ \t]*<!--[ \t]*(?:more|truncate|excerpt|end_excerpt)[ \t]*-->[ \t]*$\n?",
    re.MULTILINE | re.IGNORECASE,
)

_ESCAPED = re.compile(r"(\{\{[<%])/\*(.{0,1000}?)\*/([>%]\}\})", re.DOTALL)


def without_templates(markdown: str) -> str:
    """Markdown of a file with front matter, as its site would show it.

    Code, formulas and what `raw` encloses stay as they are, and so does Hugo's escaped form, which
    is how such a page writes about shortcodes.
    """
    if "{" not in markdown and "<!--" not in markdown:
        return markdown
    kept: list[str] = []

    def keep(text: str) -> str:
        kept.append(text)
        return f"\x00{len(kept) - 1}\x00"

    text = _with_fences(markdown.replace("\x00", ""), keep)
    text = _outside(CODE, text, keep)
    text = _ESCAPED.sub(lambda tag: keep(f"{tag[1]}{tag[2]}{tag[3]}"), text)
    text = _ATTRIBUTES.sub("", _TAG.sub(_replaced, text))
    for _ in range(3):  # what is kept may hold what was kept before it
        text = re.sub(r"\x00(\d+)\x00", lambda place: kept[int(place[1])], text)
    return re.sub(r"\n{4,}", "\n\n\n", text)


def _outside(pattern: re.Pattern[str], text: str, keep: Keep) -> str:
    return pattern.sub(lambda found: keep(found.group()), text)


def _with_fences(text: str, keep: Keep) -> str:
    """Blocks of code as fences, and what is to stay raw kept."""
    text = _outside(
        _FENCED, text, lambda fence: keep(re.sub(r"\{%-?\s*(?:end)?raw\s*-?%\}\n?", "", fence))
    )
    parts, position = [], 0
    unclosed: set[str] = set()
    for opening in _OPENING.finditer(text):
        name = opening["liquid"] or opening["short"]
        if opening.start() < position or name in unclosed:
            continue
        closing = re.compile(
            rf"\{{%-?\s*end{name}\s*-?%\}}"
            if opening["liquid"]
            else rf"\{{\{{[<%]\s*/\s*{name}\s*[>%]\}}\}}"
        ).search(text, opening.end())
        if closing is None:
            unclosed.add(name)  # nor is any that follows
            continue
        parts.append(text[position : opening.start()])
        inside = text[opening.end() : closing.start()]
        parts.append(_block(name, opening["how"] or opening["hugo"] or "", inside, keep))
        position = closing.end()
    return "".join([*parts, text[position:]])


def _block(name: str, how: str, inside: str, keep: Keep) -> str:
    if name == "comment":
        return ""
    if name in ("raw", "verbatim"):
        return keep(inside)
    words = how.replace('"', " ").replace("lang:", " ").split()
    language = words[0] if words and re.fullmatch(r"[\w+#.-]+", words[0]) else ""
    body = inside.strip("\n")
    least = 4 if "\x00" in body else 3  # a fence in it is kept apart already
    marks = "`" * max(least, max(map(len, re.findall(r"`+", body)), default=0) + 1)
    return keep(f"{marks}{language}\n{body}\n{marks}")


def _replaced(tag: re.Match[str]) -> str:
    """What stands in a tag's place: an address, a figure's image, or nothing."""
    if tag["output"] is not None:
        address = _ADDRESS.fullmatch(tag["output"])
        return address["path"] if address else ""
    name, _, rest = (tag["liquid"] or tag["code"] or "").partition(" ")
    if name in ("ref", "relref", "link", "post_url"):
        return rest.strip().strip("\"'`")
    if name == "figure":
        said = {
            found["key"]: found["double"] or found["single"] or ""
            for found in _QUOTED.finditer(rest)
        }
        words = said.get("alt") or said.get("caption") or said.get("title") or ""
        return f"![{words}]({said['src']})" if said.get("src") else words
    return ""
