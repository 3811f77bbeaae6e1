"""What stands before and behind an article: titles, bylines, teasers, links."""

import re
from collections.abc import Iterable, Sequence

from twin.crawl.formats.html_runs import Place, Run
from twin.crawl.formats.run_kinds import (
    INNER,
    PROSE_WORDS,
    SENTENCE_END,
    bare_text,
    is_heading_of_another,
    is_prose,
    is_text,
)

_GOES_ON = (*SENTENCE_END, *",;，、；،")  # noqa: RUF001
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_MAX_OUTLIER_SHARE = 0.08
_MIN_GAP = 12  # runs
_MAX_TEASER = 500  # characters
# A page with more of its text in teasers leads to articles, and they are what it says.
_MAX_SHARE_OF_TEASERS = 0.5
_MAX_WORDS_OF_BYLINE = 14
# Share of the longer that the shorter of two forms of a title has.
_MIN_SHARE_OF_TITLE = 0.6
_MIN_FORM_OF_TITLE = 30  # bytes, ten characters of Chinese; a shorter one is another heading


def without_outliers(runs: list[Run], chosen: list[Run]) -> list[Run]:
    """Chosen runs without the few that lie far behind the others: teasers, notes, forms."""
    if not chosen:
        return chosen
    numbers = {run: number for number, run in enumerate(runs)}
    total = sum(len(run.squeezed) for run in chosen)
    tail = 0
    for position in range(len(chosen) - 1, 0, -1):
        tail += len(chosen[position].squeezed)
        if tail > _MAX_OUTLIER_SHARE * total:
            break
        gap = numbers[chosen[position]] - numbers[chosen[position - 1]]
        if gap > _MIN_GAP:
            return without_outliers(runs, chosen[:position])
    return chosen


def without_teasers(chosen: list[Run]) -> list[Run]:
    """Chosen runs without what ends them: boxes of a linked heading and a line or two under it."""
    boxes = {run.place.parent for run in chosen if is_heading_of_another(run)}
    inside: dict[Place, list[Run]] = {}
    for run in chosen if boxes else ():
        box = next((place for place in run.place.above() if place in boxes), None)
        if box is not None:
            inside.setdefault(box, []).append(run)
    small = {
        run
        for runs in inside.values()
        if sum(len(run.squeezed) for run in runs) <= _MAX_TEASER
        for run in runs
    }
    small |= {run for run in chosen if len(run.squeezed) <= _MAX_TEASER and _is_teaser(run)}
    # Such boxes are a list in the article where more of it follows.
    end = max((n for n, run in enumerate(chosen) if run not in small and is_prose(run)), default=0)
    teasers = {run for run in chosen[end:] if run in small}
    size = sum(len(run.squeezed) for run in chosen)
    if sum(len(run.squeezed) for run in teasers) > _MAX_SHARE_OF_TEASERS * size:
        return chosen
    return [run for run in chosen if run not in teasers]


def _is_teaser(run: Run) -> bool:
    """A line that is a link, and text under it, as tables of layout hold them."""
    linked = False
    for text, marks in run.pieces:
        if ("br", "") in marks:
            return linked
        if text.strip():
            linked = any(name == "a" and not link.startswith("#") for name, link in marks)
            if not linked:
                return False
    return False


def drop_titles(runs: Sequence[Run], titles: set[str]) -> None:
    """The title where it is repeated: as a heading, or before the text."""
    for number, run in enumerate(run for run in runs if run.keep):
        heading = run.place.heading
        if number >= 4 and heading != 1:
            continue
        bare = bare_text(run.text)
        if bare in titles or (heading and any(_is_form_of(bare, title) for title in titles)):
            run.keep = False


def _is_form_of(heading: str, title: str) -> bool:
    """Whether one is the other and the name of the site, or of a section."""
    shorter, longer = sorted((heading, title), key=len)
    least = max(_MIN_FORM_OF_TITLE, _MIN_SHARE_OF_TITLE * len(longer.encode()))
    return len(shorter.encode()) >= least and shorter in longer


def is_edge_like(run: Run) -> bool:
    """Short and no sentence: a date, a name, a label."""
    dated = run.words <= _MAX_WORDS_OF_BYLINE and _YEAR.search(run.text) is not None
    return (
        (run.words < PROSE_WORDS or dated)
        and not run.place.in_list
        and not run.place.heading
        and run.place.table is None
        and not run.place.pre
        and not run.text.rstrip("]").endswith(_GOES_ON)
    )


def has_own_box(run: Run, kept: Iterable[Run]) -> bool:
    """Whether what holds a run, lists and paragraphs aside, holds no other text of the article."""
    box = next((place for place in run.place.above() if place.tag not in INNER), None)
    return not any(
        other.keep and other is not run and is_text(other) and box in set(other.place.above())
        for other in kept
    )
