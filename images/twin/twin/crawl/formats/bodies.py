"""Where the article of a page is, when it is in several places, or in one without prose.

A page may split its article around inserts, put other articles below it, or have one that is a
table, a timetable or two lines long.
"""

from collections.abc import Iterable, Sequence

from twin.crawl.formats.element_text import HEADINGS, has_prose_beside
from twin.crawl.formats.furniture import DOUBTFUL, FURNITURE, READERS
from twin.crawl.formats.html_runs import Place, Run
from twin.crawl.formats.run_kinds import (
    MAX_LINK_SHARE,
    bare_text,
    is_boilerplate,
    is_heading_of_another,
    is_prose,
)

_APART = FURNITURE | READERS | DOUBTFUL
_APART_TAGS = frozenset({"nav", "footer", "aside", "form", "header"})
_MAX_STEPS = 4  # elements from a title to what holds its article
_MAX_SHORT = 600  # characters: more that was found is an article
_MIN_SHARE_OF_BODY = 0.45
# Beside a sentence or two that were found, a table or list of this share is the article.
_MIN_SHARE_OF_LISTS = 0.5


# ------------------------------------------------------------------------------- other articles


def without_other_articles(runs: list[Run], titles: set[str]) -> list[Run]:
    """The runs of a page without those of further articles, each under a title of its own.

    Such an article stands beside the one that the page is about, in an element of the same kind.
    """
    title = next((run for run in runs if _is_title(run, titles)), None)
    if title is None:
        return runs
    for own in list(title.place.above())[1:_MAX_STEPS]:
        if own.parent is None or own.tag in ("body", "main", "html"):
            break
        others = _like(runs, own, title.place.heading)
        if others:
            return [run for run in runs if others.isdisjoint(run.place.above())]
    return runs


def _is_title(run: Run, titles: set[str]) -> bool:
    return run.place.heading in (1, 2) and not run.place.hidden and bare_text(run.text) in titles


def _like(runs: Iterable[Run], own: Place, heading: int) -> set[Place]:
    """Siblings of a place, called as it is, that have a title of the same rank and prose."""
    titled: set[Place] = set()
    written: set[Place] = set()
    for run in runs:
        beside = next((p for p in run.place.above() if p.parent is own.parent), None)
        if beside is None or beside is own or beside.tag != own.tag:
            continue
        if own.tag != "article" and beside.names != own.names:
            continue
        if run.place.heading == heading:
            titled.add(beside)
        elif is_prose(run):
            written.add(beside)
    return titled & written if own.tag == "article" or own.names else set()


# ----------------------------------------------------------------------------------- other parts


def other_parts(runs: Sequence[Run], region: Place, kept: set[Run]) -> tuple[Place, set[Run]]:
    """The place that holds all parts of an article that a page splits, and the prose in them.

    Args:
        region: where the text is that was found.
        kept: its runs.
    """
    for own in region.above():
        if own.tag in ("body", "html", "article", "main") or own.parent is None:
            break
        name = own.element.get("class")
        if not name or own.names & _APART:
            continue
        parts = _parts_called(runs, own, name)
        if parts:
            holder = _common(own, parts)
            prose = {
                run for run in runs if is_prose(run) and not parts.isdisjoint(run.place.above())
            }
            return holder, prose - kept
    return region, set()


def _parts_called(runs: Iterable[Run], own: Place, name: str) -> set[Place]:
    """Other places of the same tag and class that hold prose, and no title of another page."""
    parts: set[Place] = set()
    others: set[Place] = set()
    for run in runs:
        above = list(run.place.above())
        part = next((p for p in above if p.tag == own.tag and p.element.get("class") == name), None)
        if part is None or part is own or own in above or part in set(own.above()):
            continue
        if run.place.heading == 1 or is_heading_of_another(run) or _is_apart(part):
            others.add(part)
        elif is_prose(run):
            parts.add(part)
    return parts - others


def _is_apart(place: Place) -> bool:
    return any(
        above.tag in _APART_TAGS or (above.names & (FURNITURE | READERS))
        for above in place.above()
        if above.tag not in ("body", "html")
    )


def _common(own: Place, parts: Iterable[Place]) -> Place:
    """The innermost place that holds all of these."""
    around = list(own.above())
    for part in parts:
        above = set(part.above())
        around = [place for place in around if place in above]
    return around[0]


# ----------------------------------------------------------------------------- without any prose


def whole_body(runs: Sequence[Run], chosen: list[Run]) -> list[Run]:
    """The runs of the page's body, where far less was chosen than it holds, and little at all.

    So are tables, timetables and texts of a line or two, in which no extractor sees an article.
    """
    found = sum(len(run.squeezed) for run in chosen)
    if found >= _MAX_SHORT:
        return chosen
    body = _body(runs)
    size = sum(len(run.squeezed) for run in body)
    linked = sum(run.linked for run in body)
    if not size or linked >= MAX_LINK_SHARE * size or found >= _MIN_SHARE_OF_BODY * size:
        return chosen
    inside = set(body)
    if found and not any(run in inside for run in chosen):
        return chosen
    listed = sum(len(run.squeezed) for run in body if run.place.table or run.place.in_list)
    if any(map(is_prose, chosen)) and listed < _MIN_SHARE_OF_LISTS * size:
        return chosen
    return body


def _body(runs: Sequence[Run]) -> list[Run]:
    """Runs of the one ``article`` or ``main``, or of what holds the title, furniture aside."""
    holders = {
        place for run in runs for place in run.place.above() if place.tag in ("article", "main")
    } | {p for run in runs for p in run.place.above() if p.element.get("role") == "main"}
    outer = [h for h in holders if holders.isdisjoint(list(h.above())[1:])]
    if len(outer) == 1:
        inner = [h for h in holders if h.tag == "article"]
        holder = inner[0] if len(inner) == 1 else outer[0]
    else:
        title = next((run for run in runs if run.place.heading == 1), None)
        if outer or title is None or title.place.parent is None:
            return []
        holder = title.place.parent
        if holder.tag in ("header", "hgroup") and holder.parent is not None:
            holder = holder.parent
    return [run for run in runs if _is_of_body(run, holder)]


def _is_of_body(run: Run, holder: Place) -> bool:
    if run.place.hidden or run.place.caption or run.place.heading == 1 or is_boilerplate(run):
        return False
    for above in run.place.above():
        if above is holder:
            return True
        if above.tag in _APART_TAGS or above.names & _APART:
            return False
    return False


# ------------------------------------------------------------------------------- lists of links


def is_own_link(run: Run) -> bool:
    """Whether a line of links is in a list of the author's: without a name, among paragraphs."""
    items = next((place for place in run.place.above() if place.tag in ("ul", "ol")), None)
    if items is None or items.names or run.link_share < MAX_LINK_SHARE or run.place.hidden:
        return False
    before, after = items.element.getprevious(), items.element.getnext()
    if before is None or after is None:
        return False
    if before.tag not in HEADINGS | {"p"} or after.tag not in HEADINGS | {"p", "pre", "ul", "ol"}:
        return False
    return has_prose_beside(items.element, both=True)
