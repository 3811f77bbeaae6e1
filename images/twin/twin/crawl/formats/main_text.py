"""Which runs of a page are its article.

Three opinions are asked. trafilatura, tuned for precision, is the best single extractor we know;
it loses list items, short paragraphs and what stands between two widgets, and lets captions,
bylines and teasers through. The text that many news pages carry as JSON-LD (``articleBody``) is
right where it is whole. The page's own shape (where the prose is, and what its elements are
called) mends both: what lies between two chosen paragraphs and reads like prose comes in, what is
called share, related or byline goes out.
"""

from collections.abc import Iterable, Mapping, Sequence

from twin.crawl.formats.bodies import is_own_link, other_parts, whole_body, without_other_articles
from twin.crawl.formats.furniture import (
    APART,
    APART_FOR_SURE,
    DOUBTFUL,
    EMBEDS,
    FURNITURE,
    LEADS,
    READERS,
    is_comment_rule,
)
from twin.crawl.formats.html_runs import Event, Place, Run
from twin.crawl.formats.kept_whole import (
    keep_captions,
    keep_headings,
    keep_images,
    keep_notes,
    keep_tables_whole,
)
from twin.crawl.formats.own_words import mark_own_words
from twin.crawl.formats.page_ends import (
    drop_titles,
    has_own_box,
    is_edge_like,
    without_outliers,
    without_teasers,
)
from twin.crawl.formats.run_kinds import (
    ABSOLVING_SHARE,
    LONE_LINK,
    MAX_LINK_SHARE,
    PROSE_WORDS,
    SENTENCE_END,
    bare_text,
    homes_of,
    is_boilerplate,
    is_disclaimer,
    is_heading,
    is_long,
    is_prose,
    is_prose_with_links,
    is_sentence,
    is_short_sentence,
    is_strong,
    is_text,
    named_apart,
)
from twin.crawl.formats.text_formulas import is_formula

_WIDGETS = FURNITURE | {"subscription"}
_NAMED_APART = FURNITURE | DOUBTFUL
_READERS_ABSOLVING_SHARE = 0.7
_REGION_SHARE = 0.92
_MAX_TAIL = 40  # runs
_SENTENCES_OF_TEXT = 2  # between which no line is furniture
_MAX_LEAD_DISTANCE = 12  # runs
_MAX_STEPS_TO_LEAD = 5  # elements
_SHORT = 24
_PART = 28
# The page's prose is believed against trafilatura when that found less than this share of it.
_MIN_FOUND_SHARE = 0.45
_MIN_BODY_CHARACTERS = 250
# Share of the data's text that must be on the page, and of that which trafilatura must have found.
_WHOLE_BODY = 0.8
_MIN_AGREEMENT = 0.8
# Data that has less of what trafilatura found is a summary, or a first part.
_MIN_SHARE_OF_BODY = 0.4
# When trafilatura found less than this of the data's text, the data is believed.
_MAX_SHARE_MISSED = 0.6


def choose(events: Sequence[Event], found: str, body: str | None, titles: Sequence[str]) -> None:
    """Mark the runs and images of the article (`Run.keep`).

    Args:
        events: of the page.
        found: text of the article by trafilatura, blocks on lines of their own; may be empty.
        body: ``articleBody`` of the page's JSON-LD.
        titles: title and subtitle, which are no part of the text.
    """
    runs = [event for event in events if isinstance(event, Run)]
    mark_own_words(runs)
    names = {bare_text(title) for title in titles if title}
    _Choice(runs, found, body, names).make()
    drop_titles(runs, names)
    keep_tables_whole(runs)
    keep_notes(runs)
    keep_captions(runs)
    keep_headings(runs)
    keep_images(events)


def choose_all(events: Sequence[Event], title: str = "") -> None:
    """Mark all of a text that is an article by itself, but for captions, furniture and its title.

    A post as an API or a feed gives it has no page around; widgets to subscribe or share it has.
    """
    runs = [event for event in events if isinstance(event, Run) and not event.place.hidden]
    total = sum(len(run.squeezed) for run in runs)
    for run in runs:
        for place in run.place.above():
            place.weight += len(run.squeezed)
    mark_own_words(runs)
    for run in runs:
        widgets = [place for place in run.place.above() if place.names & _WIDGETS]
        inside = any(place.weight < ABSOLVING_SHARE * total for place in widgets)
        run.keep = not (inside or run.place.caption or is_boilerplate(run))
    if title:
        drop_titles([run for run in runs if run.place.heading][:1], {bare_text(title)})
    keep_tables_whole(runs)
    keep_images(events)


class _Choice:
    """One page's runs and what the opinions say about them."""

    def __init__(self, runs: list[Run], found: str, body: str | None, titles: set[str]) -> None:
        self.runs = without_other_articles(runs, titles)
        self.found = _Text(found)
        self.body = _Text(body or "")
        self.total = 0
        self.by_data = False

    def make(self) -> None:
        runs = self._visible()
        chosen = [run for run in runs if self.found.holds(run) and not is_disclaimer(run)]
        prose = [run for run in runs if is_prose(run) and not named_apart(run.place)]
        chosen = without_teasers(self._better(runs, chosen, prose))
        chosen = without_outliers(runs, chosen)
        chosen = whole_body(runs, chosen)
        if not chosen:
            return
        self.total = sum(len(run.squeezed) for run in chosen)
        for run in chosen:
            for place in run.place.above():
                place.weight += len(run.squeezed)
        region = _region(chosen, self.total)
        inside = {run for run in chosen if region in set(run.place.above())}
        text = "\n".join(run.squeezed for run in runs if run in inside)
        kept = inside | {
            run
            for run in chosen
            if run not in inside and run.words >= PROSE_WORDS and run.squeezed not in text
        }
        kept = _without_lone_links(run for run in kept if not self._is_junk(run))
        if not self.by_data:
            region, parts = other_parts(runs, region, kept)
            kept |= parts
        kept |= self._missing(region, kept)
        for run in kept:
            run.keep = True
        self._trim()

    def _visible(self) -> list[Run]:
        """All runs but hidden ones; all, where a script is to show the article that is hidden."""
        visible = [run for run in self.runs if not run.place.hidden]
        size = sum(len(run.squeezed) for run in visible)
        if size < _MIN_FOUND_SHARE * len(self.found.squeezed):
            for run in self.runs:
                run.place.hidden = False
            return self.runs
        return visible

    def _better(self, runs: list[Run], chosen: list[Run], prose: list[Run]) -> list[Run]:
        """The runs to start from: what trafilatura found, unless it missed the article."""
        size = sum(len(run.squeezed) for run in chosen)
        if len(self.body.squeezed) >= _MIN_BODY_CHARACTERS:
            by_body = [run for run in runs if self.body.holds(run)]
            found = sum(len(run.squeezed) for run in by_body)
            whole = found >= _WHOLE_BODY * len(self.body.squeezed)
            agreed = sum(len(run.squeezed) for run in by_body if self.found.holds(run))
            self.by_data = whole
            if whole and size < _MAX_SHARE_MISSED * found:
                return by_body
            if whole and agreed >= _MIN_AGREEMENT * found and found >= _MIN_SHARE_OF_BODY * size:
                return _around(runs, by_body, chosen)
        home = _home_of_prose(prose)
        if home is None:
            return chosen
        own = [run for run in prose if home in set(run.place.above())]
        # Lists of headlines are much text as well: only what reads like prose counts.
        size = sum(len(run.squeezed) for run in chosen if is_text(run))
        if size < _MIN_FOUND_SHARE * sum(len(run.squeezed) for run in own):
            return own
        return chosen

    def _is_junk(self, run: Run) -> bool:
        """Whether a chosen run is furniture after all."""
        if run.place.caption or is_boilerplate(run):
            return True
        return self._is_apart(run.place, FURNITURE | EMBEDS, APART_FOR_SURE)

    def _missing(self, region: Place, kept: set[Run]) -> set[Run]:
        """Runs of the region that read like text of the article and were left out."""
        inside = [run for run in self.runs if region in set(run.place.above())]
        positions = [number for number, run in enumerate(inside) if run in kept]
        if not positions:
            return set()
        first, last = positions[0], positions[-1]
        homes = {home for run in kept if run.words >= PROSE_WORDS for home in homes_of(run.place)}
        alike = {(home.parent, home.names) for home in homes if home.names}
        missing = set()
        for number, run in enumerate(inside):
            if run in kept or not (self._reads_like_text(run) or is_own_link(run)):
                continue
            if not any(
                home in homes or (home.parent, home.names) in alike for home in homes_of(run.place)
            ):
                continue
            beside = number in (first - 1, last + 1)
            if (
                first < number < last
                or is_sentence(run)
                or (beside and is_short_sentence(run, kept))
            ):
                missing.add(run)
        missing |= self._lead(inside[first])
        return missing | self._missing_headings(inside, kept | missing, homes)

    def _lead(self, first: Run) -> set[Run]:
        """Sentences over the text that are called its lead, and stand in a box of their own."""
        position = self.runs.index(first)
        near = set(list(first.place.above())[:_MAX_STEPS_TO_LEAD])
        return {
            run
            for run in self.runs[max(0, position - _MAX_LEAD_DISTANCE) : position]
            if any(place.names & LEADS for place in (run.place, run.place.parent) if place)
            and is_prose(run)
            and run.text.endswith(SENTENCE_END)
            and not self._is_apart(run.place, FURNITURE, APART_FOR_SURE)
            and any(place in near for place in run.place.above())
        }

    def _missing_headings(self, inside: list[Run], kept: set[Run], homes: set[Place]) -> set[Run]:
        """Headings right over text of the article, and beside it."""
        missing = set()
        follows = False
        first = next((number for number, run in enumerate(inside) if run in kept), 0)
        for number, run in reversed(list(enumerate(inside))):
            place = run.place
            if run in kept:
                follows = True
            elif place.heading == 1 and number < first:  # the page's title, in whatever form
                break
            elif place.caption or self._is_apart(place, FURNITURE, APART):
                continue
            elif not is_heading(run) or not any(home in homes for home in homes_of(place)):
                follows = False
            elif follows and not self._is_apart(place, _NAMED_APART, APART):
                missing.add(run)
        return missing

    def _reads_like_text(self, run: Run) -> bool:
        place = run.place
        if place.hidden or place.caption or place.heading or is_boilerplate(run):
            return False
        if self._is_apart(place, _NAMED_APART, APART):
            return False
        if is_formula(run.text):
            return True
        if place.pre or place.table is not None or place.in_list or is_long(run):
            return run.link_share < MAX_LINK_SHARE
        if place.tag != "p" or run.link_share > 0:
            return False
        return run.text.endswith(SENTENCE_END) or is_strong(run)

    def _is_apart(self, place: Place, names: frozenset[str], tags: frozenset[str]) -> bool:
        """Whether a place is within something that is called furniture."""
        for above in place.above():
            if above.tag in ("body", "html"):
                break
            readers = above.names & READERS
            share = _READERS_ABSOLVING_SHARE if readers else ABSOLVING_SHARE
            if above.weight > share * self.total:
                break
            if readers or above.tag in tags or above.names & names:
                return True
        return False

    def _trim(self) -> None:
        """Bylines and dates at the beginning, links and notes at the end."""
        kept = [run for run in self.runs if run.keep]
        for run in kept[:6]:
            if is_prose(run):
                break
            if is_edge_like(run):
                run.keep = False
        sentences = 0
        for run in reversed(kept[-_MAX_TAIL:]):
            if is_comment_rule(run.text, run.words) and has_own_box(run, kept):
                run.keep = False
                continue
            if is_prose(run) or is_prose_with_links(run) or sentences == _SENTENCES_OF_TEXT:
                break
            if run.link_share >= MAX_LINK_SHARE or is_edge_like(run):
                run.keep = False
            else:
                sentences += 1


class _Text:
    """A text to look runs up in, without regard to spaces."""

    def __init__(self, text: str) -> None:
        self.squeezed = "".join(text.split())
        self.lines = {"".join(line.split()) for line in text.split("\n")}

    def holds(self, run: Run) -> bool:
        """Whether the run, or most of it, is in the text; a short one as a line of its own."""
        squeezed = run.squeezed
        if len(squeezed) < _SHORT:
            return squeezed in self.lines
        if squeezed in self.squeezed:
            return True
        parts = [squeezed[start : start + _PART] for start in range(0, len(squeezed), _PART)]
        parts = [part for part in parts if len(part) == _PART]
        return sum(part in self.squeezed for part in parts) > 0.6 * max(1, len(parts))


def _region(chosen: Iterable[Run], total: int) -> Place:
    """The innermost place that holds nearly all chosen text."""
    # Of the places that hold nearly all of it, each run's own innermost; the root always does.
    holders = [
        next(place for place in run.place.above() if place.weight >= _REGION_SHARE * total)
        for run in chosen
    ]
    return max(holders, key=lambda place: place.depth)


def _without_lone_links(chosen: Iterable[Run]) -> set[Run]:
    """Chosen runs without those that are nothing but links and have no prose beside them."""
    runs = set(chosen)
    homes = {home for run in runs if is_prose(run) for home in homes_of(run.place)}
    return {
        run
        for run in runs
        if run.link_share < LONE_LINK or any(home in homes for home in homes_of(run.place))
    }


def _around(runs: list[Run], by_body: list[Run], chosen: list[Run]) -> list[Run]:
    """What the page's data has, and what else was chosen among it or right beside it."""
    numbers = {run: number for number, run in enumerate(runs)}
    first, last = numbers[by_body[0]], numbers[by_body[-1]]
    homes = {home for run in by_body if run.words >= PROSE_WORDS for home in homes_of(run.place)}
    wanted = set(by_body) | {
        run
        for run in chosen
        if first < numbers[run] < last
        or (
            any(home in homes for home in homes_of(run.place))
            and not _is_above(run, numbers, first)
        )
    }
    return [run for run in runs if run in wanted]


def _is_above(run: Run, numbers: Mapping[Run, int], first: int) -> bool:
    """Whether a run is a heading of the first rank above the text: the page's title."""
    return run.place.heading == 1 and numbers[run] < first


def _home_of_prose(prose: Iterable[Run]) -> Place | None:
    """The place with the most prose of its own: in its paragraphs, or theirs."""
    scores: dict[Place, float] = {}
    for run in prose:
        size = len(run.squeezed)
        share = 1.0
        for place in run.place.above():
            scores[place] = scores.get(place, 0.0) + size * share
            share *= 0.7 if share < 1.0 or place.tag != "p" else 1.0
            if share < 0.2:
                break
    if not scores:
        return None
    return max(scores, key=lambda place: scores[place])
