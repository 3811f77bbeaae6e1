"""What kind of text a run is: prose, a heading, a line of links, furniture."""

import re
from collections.abc import Iterable

from twin.crawl.formats import furniture
from twin.crawl.formats.furniture import APART_FOR_SURE, FURNITURE, READERS
from twin.crawl.formats.html_runs import Place, Run

_NEVER_PROSE = FURNITURE | READERS | {"footer"}
SENTENCE_END = tuple('.!?…"”’»。！？:：)）।۔؟')  # noqa: RUF001
MAX_LINK_SHARE = 0.5
LONE_LINK = 0.9
_MAX_SHARE_OF_REFERENCE = 0.75
PROSE_WORDS = 8
_PROSE_CHARACTERS = 45
# A piece that is called furniture and holds this share of the text is called so by mistake.
ABSOLVING_SHARE = 0.25
INNER = frozenset(
    {"p", "ul", "ol", "li", "dl", "dt", "dd", "table", "tbody", "thead", "tr", "td", "th"}
    | {"blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}
)


def homes_of(place: Place) -> list[Place]:
    """What a paragraph, list or table stands in; for text right in a ``div``, that too, and what
    is around it but for boxes without any name."""
    if place.tag == "div":
        homes = [place]
        while (around := homes[-1].parent) is not None:
            homes.append(around)
            if around.tag != "div" or around.names:
                break
        return homes
    for above in place.above():
        if above.tag not in INNER or (above.tag in ("td", "th") and above.table is None):
            return [above]
    return [place]


def bare_text(text: str) -> str:
    """The letters and digits of a text alone, for comparing."""
    return "".join(re.findall(r"\w+", text.casefold()))


def is_prose(run: Run) -> bool:
    """Whether a run is a sentence or more, and not a line of links."""
    if run.place.hidden or run.place.caption or run.place.heading:
        return False
    long = run.words >= 2 * PROSE_WORDS or len(run.squeezed) >= 2 * _PROSE_CHARACTERS
    return long and run.link_share < MAX_LINK_SHARE and not is_boilerplate(run)


def is_long(run: Run) -> bool:
    """Whether a run has the words, or the characters, of a sentence."""
    return run.words >= PROSE_WORDS or len(run.squeezed) >= _PROSE_CHARACTERS


def is_text(run: Run) -> bool:
    """Long enough for prose, and not a line of links."""
    return is_long(run) and run.link_share < MAX_LINK_SHARE


def is_strong(run: Run) -> bool:
    """Whether all of it is bold, as headings are where nobody made them headings."""
    return all(("strong", "") in marks for text, marks in run.pieces if text.strip())


def is_short_sentence(run: Run, kept: Iterable[Run]) -> bool:
    """A sentence too short for prose, among paragraphs of the text."""
    return (
        run.place.tag == "p"
        and run.words >= PROSE_WORDS
        and run.link_share < MAX_LINK_SHARE / 2
        and run.text.endswith(SENTENCE_END)
        and any(other.place.tag == "p" and other.place.parent is run.place.parent for other in kept)
    )


def is_sentence(run: Run) -> bool:
    """Prose, or a whole sentence in a list, with few links."""
    whole = run.place.in_list and run.words >= PROSE_WORDS and run.text.endswith(SENTENCE_END)
    return (is_prose(run) or whole) and run.link_share < MAX_LINK_SHARE / 2


def is_prose_with_links(run: Run) -> bool:
    """Whether a run is a long sentence of which much is links."""
    return (
        run.words >= 2 * PROSE_WORDS
        and run.link_share < _MAX_SHARE_OF_REFERENCE
        and run.text.endswith(SENTENCE_END)
    )


def named_apart(place: Place) -> bool:
    """Whether a place is in an element that is called furniture."""
    for above in place.above():
        if above.tag in ("body", "html"):
            return False
        if is_named_apart(above):
            return True
    return False


def is_named_apart(place: Place) -> bool:
    """Whether an element is called furniture, or is one that holds no text of an article."""
    return (
        place.tag in APART_FOR_SURE
        or place.tag == "aside"
        or not place.names.isdisjoint(_NEVER_PROSE)
    )


def is_disclaimer(run: Run) -> bool:
    """No evidence of where the article is."""
    return not run.place.pre and furniture.is_disclaimer(run.text)


def is_boilerplate(run: Run) -> bool:
    """Whether a run is a line of furniture by its words, and by where it stands."""
    return not run.place.pre and not run.own and furniture.is_boilerplate(run.text, run.words)


def is_heading(run: Run) -> bool:
    """A heading of an article, and not one that is a link or a control."""
    return (
        bool(run.place.heading)
        and not run.place.hidden
        and len(run.squeezed) > 1
        and run.link_share < 1
        and not is_boilerplate(run)
    )


def is_heading_of_another(run: Run) -> bool:
    """A heading that leads to another page."""
    if not run.place.heading or run.link_share < LONE_LINK:
        return False
    links = [value for _, marks in run.pieces for name, value in marks if name == "a"]
    return not any(link.startswith("#") for link in links)
