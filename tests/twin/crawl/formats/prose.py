"""Articles around a piece of markup: prose before and after it, as pages have it."""

from twin.crawl.formats.html import extract_html

URL = "https://ada.example/posts/pumps"
PROSE = (
    "The pump house was built before the canal, and for two years it had nothing at all to pump.",
    "Every valve in it has a number that was given in the order of its making, not of its place.",
    "I copied the plan by hand three times, since no machine of ours could take a sheet that wide.",
    "What I learned is that a pipe nobody draws is a pipe that somebody will dig through one day.",
    "The water board paid for the paper, and asked for nothing but that its name be spelt rightly.",
)


def paragraphs(*sentences: str) -> str:
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)


def page(markup: str, *, head: str = "", lang: str = "en", below: str = "") -> str:
    """A page whose article has ``markup`` between its paragraphs, and ``below`` behind them."""
    return (
        f'<!DOCTYPE html><html lang="{lang}"><head><title>Pumps of the old canal</title>{head}'
        '</head><body><header><nav><a href="/">Home</a><a href="/all">All</a></nav></header><main>'
        f"<article><h1>Pumps of the old canal</h1>{paragraphs(*PROSE[:2])}{markup}"
        f"{paragraphs(*PROSE[2:])}{below}</article></main><footer><p>Imprint</p></footer></body>"
        "</html>"
    )


def content(markup: str, *, head: str = "", lang: str = "en", below: str = "") -> str:
    """Markdown of the article of such a page, where all its prose must be."""
    text = extract_html(page(markup, head=head, lang=lang, below=below), URL).article.content
    for sentence in PROSE:
        assert sentence in text
    return text


def between(markup: str, **more: str) -> str:
    """Markdown of what stands between the paragraphs."""
    text = content(markup, **more)
    return text[text.index(PROSE[1]) + len(PROSE[1]) : text.index(PROSE[2])].strip()
