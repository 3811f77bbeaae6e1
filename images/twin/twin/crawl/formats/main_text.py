"""Which runs of a page are its article.

Three opinions are asked. trafilatura, tuned for precision, is the best single extractor we know;
it loses list items, short paragraphs and what stands between two widgets, and lets captions,
bylines and teasers through. The text that many news pages carry as JSON-LD (``articleBody``) is
right where it is whole. The page's own shape (where the prose is, and what its elements are
called) mends both: what lies between two chosen paragraphs and reads like prose comes in, what is
called share, related or byline goes out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile

from twin.crawl.formats.furniture import (
    APART,
    APART_FOR_SURE,
    DOUBTFUL,
    EMBEDS,
    FURNITURE,
    LEADS,
    READERS,
    is_boilerplate,
    is_comment_rule,
    is_disclaimer,
)
from twin.crawl.formats.html_runs import Event, Image, Place, Run
from twin.crawl.formats.own_words import mark_own_words
from twin.crawl.formats.text_formulas import is_formula

_WIDGETS = FURNITURE | {"subscription"}
# What pictures of persons and marks are called.
_NO_PICTURES = frozenset({"avatar", "author", "byline", "logo", "icon", "profile"})
_NEVER_PROSE = FURNITURE | READERS | {"footer"}
_NAMED_APART = FURNITURE | DOUBTFUL
_READERS_ABSOLVING_SHARE = 0.7
_SENTENCE_END = tuple('.!?…"”’»。！？:：)）।۔؟')  # noqa: RUF001
_GOES_ON = (*_SENTENCE_END, *",;，、；،")  # noqa: RUF001
_YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")

_MAX_LINK_SHARE = 0.5
_LONE_LINK = 0.9
_MAX_SHARE_OF_REFERENCE = 0.75
_PROSE_WORDS = 8
_PROSE_CHARACTERS = 45
# A piece that is called furniture and holds this share of the text is called so by mistake.
_ABSOLVING_SHARE = 0.25
_REGION_SHARE = 0.92
_INNER = frozenset(
    {"p", "ul", "ol", "li", "dl", "dt", "dd", "table", "tbody", "thead", "tr", "td", "th"}
    | {"blockquote", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}
)
_MAX_OUTLIER_SHARE = 0.08
_MIN_GAP = 12  # runs
_MAX_TAIL = 40  # runs
_SENTENCES_OF_TEXT = 2  # between which no line is furniture
_MAX_TEASER = 500  # characters
# A page with more of its text in teasers leads to articles, and they are what it says.
_MAX_SHARE_OF_TEASERS = 0.5
_MAX_WORDS_OF_BYLINE = 14
# Share of the longer that the shorter of two forms of a title has.
_MIN_SHARE_OF_TITLE = 0.6
_MIN_FORM_OF_TITLE = 30  # bytes, ten characters of Chinese; a shorter one is another heading
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
    _Choice(runs, found, body).make()
    _drop_titles(runs, {_bare(title) for title in titles if title})
    _keep_tables_whole(runs)
    _keep_headings(runs)
    _keep_images(events)


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
        inside = any(place.weight < _ABSOLVING_SHARE * total for place in widgets)
        run.keep = not (inside or run.place.caption or _is_boilerplate(run))
    if title:
        _drop_titles([run for run in runs if run.place.heading][:1], {_bare(title)})
    _keep_tables_whole(runs)
    _keep_images(events)


class _Choice:
    """One page's runs and what the opinions say about them."""

    def __init__(self, runs: list[Run], found: str, body: str | None) -> None:
        self.runs = runs
        self.found = _Text(found)
        self.body = _Text(body or "")
        self.total = 0

    def make(self) -> None:
        runs = self._visible()
        chosen = [run for run in runs if self.found.holds(run) and not _is_disclaimer(run)]
        prose = [run for run in runs if _is_prose(run) and not _named_apart(run.place)]
        chosen = _without_teasers(self._better(runs, chosen, prose))
        chosen = _without_outliers(runs, chosen)
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
            if run not in inside and run.words >= _PROSE_WORDS and run.squeezed not in text
        }
        kept = _without_lone_links(run for run in kept if not self._is_junk(run))
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
            if whole and size < _MAX_SHARE_MISSED * found:
                return by_body
            if whole and agreed >= _MIN_AGREEMENT * found and found >= _MIN_SHARE_OF_BODY * size:
                return _around(runs, by_body, chosen)
        home = _home_of_prose(prose)
        if home is None:
            return chosen
        own = [run for run in prose if home in set(run.place.above())]
        # Lists of headlines are much text as well: only what reads like prose counts.
        size = sum(len(run.squeezed) for run in chosen if _is_text(run))
        if size < _MIN_FOUND_SHARE * sum(len(run.squeezed) for run in own):
            return own
        return chosen

    def _is_junk(self, run: Run) -> bool:
        """Whether a chosen run is furniture after all."""
        if run.place.caption or _is_boilerplate(run):
            return True
        return self._is_apart(run.place, FURNITURE | EMBEDS, APART_FOR_SURE)

    def _missing(self, region: Place, kept: set[Run]) -> set[Run]:
        """Runs of the region that read like text of the article and were left out."""
        inside = [run for run in self.runs if region in set(run.place.above())]
        positions = [number for number, run in enumerate(inside) if run in kept]
        if not positions:
            return set()
        first, last = positions[0], positions[-1]
        homes = {home for run in kept if run.words >= _PROSE_WORDS for home in _homes(run.place)}
        alike = {(home.parent, home.names) for home in homes if home.names}
        missing = set()
        for number, run in enumerate(inside):
            if run in kept or not self._reads_like_text(run):
                continue
            if not any(
                home in homes or (home.parent, home.names) in alike for home in _homes(run.place)
            ):
                continue
            beside = number in (first - 1, last + 1)
            if (
                first < number < last
                or _is_sentence(run)
                or (beside and _is_short_sentence(run, kept))
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
            and _is_prose(run)
            and run.text.endswith(_SENTENCE_END)
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
            elif not _is_heading(run) or not any(home in homes for home in _homes(place)):
                follows = False
            elif follows and not self._is_apart(place, _NAMED_APART, APART):
                missing.add(run)
        return missing

    def _reads_like_text(self, run: Run) -> bool:
        place = run.place
        if place.hidden or place.caption or place.heading or _is_boilerplate(run):
            return False
        if self._is_apart(place, _NAMED_APART, APART):
            return False
        if is_formula(run.text):
            return True
        if place.pre or place.table is not None or place.in_list or _is_long(run):
            return run.link_share < _MAX_LINK_SHARE
        if place.tag != "p" or run.link_share > 0:
            return False
        return run.text.endswith(_SENTENCE_END) or _is_strong(run)

    def _is_apart(self, place: Place, names: frozenset[str], tags: frozenset[str]) -> bool:
        """Whether a place is within something that is called furniture."""
        for above in place.above():
            if above.tag in ("body", "html"):
                break
            readers = above.names & READERS
            share = _READERS_ABSOLVING_SHARE if readers else _ABSOLVING_SHARE
            if above.weight > share * self.total:
                break
            if readers or above.tag in tags or above.names & names:
                return True
        return False

    def _trim(self) -> None:
        """Bylines and dates at the beginning, links and notes at the end."""
        kept = [run for run in self.runs if run.keep]
        for run in kept[:6]:
            if _is_prose(run):
                break
            if _is_edge_like(run):
                run.keep = False
        sentences = 0
        for run in reversed(kept[-_MAX_TAIL:]):
            if is_comment_rule(run.text, run.words) and _has_own_box(run, kept):
                run.keep = False
                continue
            if _is_prose(run) or _is_prose_with_links(run) or sentences == _SENTENCES_OF_TEXT:
                break
            if run.link_share >= _MAX_LINK_SHARE or _is_edge_like(run):
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


def _without_outliers(runs: list[Run], chosen: list[Run]) -> list[Run]:
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
            return _without_outliers(runs, chosen[:position])
    return chosen


def _without_teasers(chosen: list[Run]) -> list[Run]:
    """Chosen runs without what ends them: boxes of a linked heading and a line or two under it."""
    boxes = {run.place.parent for run in chosen if _is_heading_of_another(run)}
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
    end = max((n for n, run in enumerate(chosen) if run not in small and _is_prose(run)), default=0)
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


def _is_heading_of_another(run: Run) -> bool:
    """A heading that leads to another page."""
    if not run.place.heading or run.link_share < _LONE_LINK:
        return False
    links = [value for _, marks in run.pieces for name, value in marks if name == "a"]
    return not any(link.startswith("#") for link in links)


def _without_lone_links(chosen: Iterable[Run]) -> set[Run]:
    """Chosen runs without those that are nothing but links and have no prose beside them."""
    runs = set(chosen)
    homes = {home for run in runs if _is_prose(run) for home in _homes(run.place)}
    return {
        run
        for run in runs
        if run.link_share < _LONE_LINK or any(home in homes for home in _homes(run.place))
    }


def _homes(place: Place) -> list[Place]:
    """What a paragraph, list or table stands in; for text right in a ``div``, that too."""
    if place.tag == "div":
        return [place] if place.parent is None else [place, place.parent]
    for above in place.above():
        if above.tag not in _INNER or (above.tag in ("td", "th") and above.table is None):
            return [above]
    return [place]


def _bare(text: str) -> str:
    return "".join(re.findall(r"\w+", text.casefold()))


def _drop_titles(runs: Sequence[Run], titles: set[str]) -> None:
    """The title where it is repeated: as a heading, or before the text."""
    for number, run in enumerate(run for run in runs if run.keep):
        heading = run.place.heading
        if number >= 4 and heading != 1:
            continue
        bare = _bare(run.text)
        if bare in titles or (heading and any(_is_form_of(bare, title) for title in titles)):
            run.keep = False


def _is_form_of(heading: str, title: str) -> bool:
    """Whether one is the other and the name of the site, or of a section."""
    shorter, longer = sorted((heading, title), key=len)
    least = max(_MIN_FORM_OF_TITLE, _MIN_SHARE_OF_TITLE * len(longer.encode()))
    return len(shorter.encode()) >= least and shorter in longer


def _is_prose(run: Run) -> bool:
    """Whether a run is a sentence or more, and not a line of links."""
    if run.place.hidden or run.place.caption or run.place.heading:
        return False
    long = run.words >= 2 * _PROSE_WORDS or len(run.squeezed) >= 2 * _PROSE_CHARACTERS
    return long and run.link_share < _MAX_LINK_SHARE and not _is_boilerplate(run)


def _is_long(run: Run) -> bool:
    return run.words >= _PROSE_WORDS or len(run.squeezed) >= _PROSE_CHARACTERS


def _is_text(run: Run) -> bool:
    """Long enough for prose, and not a line of links."""
    return _is_long(run) and run.link_share < _MAX_LINK_SHARE


def _is_strong(run: Run) -> bool:
    """Whether all of it is bold, as headings are where nobody made them headings."""
    return all(("strong", "") in marks for text, marks in run.pieces if text.strip())


def _is_short_sentence(run: Run, kept: Iterable[Run]) -> bool:
    """A sentence too short for prose, among paragraphs of the text."""
    return (
        run.place.tag == "p"
        and run.words >= _PROSE_WORDS
        and run.link_share < _MAX_LINK_SHARE / 2
        and run.text.endswith(_SENTENCE_END)
        and any(other.place.tag == "p" and other.place.parent is run.place.parent for other in kept)
    )


def _is_sentence(run: Run) -> bool:
    """Prose, or a whole sentence in a list, with few links."""
    whole = run.place.in_list and run.words >= _PROSE_WORDS and run.text.endswith(_SENTENCE_END)
    return (_is_prose(run) or whole) and run.link_share < _MAX_LINK_SHARE / 2


def _is_prose_with_links(run: Run) -> bool:
    return (
        run.words >= 2 * _PROSE_WORDS
        and run.link_share < _MAX_SHARE_OF_REFERENCE
        and run.text.endswith(_SENTENCE_END)
    )


def _named_apart(place: Place) -> bool:
    for above in place.above():
        if above.tag in ("body", "html"):
            return False
        if _is_named_apart(above):
            return True
    return False


def _is_named_apart(place: Place) -> bool:
    return (
        place.tag in APART_FOR_SURE
        or place.tag == "aside"
        or not place.names.isdisjoint(_NEVER_PROSE)
    )


def _around(runs: list[Run], by_body: list[Run], chosen: list[Run]) -> list[Run]:
    """What the page's data has, and what else was chosen among it or right beside it."""
    numbers = {run: number for number, run in enumerate(runs)}
    first, last = numbers[by_body[0]], numbers[by_body[-1]]
    homes = {home for run in by_body if run.words >= _PROSE_WORDS for home in _homes(run.place)}
    wanted = set(by_body) | {
        run
        for run in chosen
        if first < numbers[run] < last
        or (any(home in homes for home in _homes(run.place)) and not _is_above(run, numbers, first))
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


def _is_disclaimer(run: Run) -> bool:
    """No evidence of where the article is."""
    return not run.place.pre and is_disclaimer(run.text)


def _is_boilerplate(run: Run) -> bool:
    return not run.place.pre and not run.own and is_boilerplate(run.text, run.words)


def _is_heading(run: Run) -> bool:
    """A heading of an article, and not one that is a link or a control."""
    return (
        bool(run.place.heading)
        and not run.place.hidden
        and len(run.squeezed) > 1
        and run.link_share < 1
        and not _is_boilerplate(run)
    )


def _is_edge_like(run: Run) -> bool:
    """Short and no sentence: a date, a name, a label."""
    dated = run.words <= _MAX_WORDS_OF_BYLINE and _YEAR.search(run.text) is not None
    return (
        (run.words < _PROSE_WORDS or dated)
        and not run.place.in_list
        and not run.place.heading
        and run.place.table is None
        and not run.place.pre
        and not run.text.rstrip("]").endswith(_GOES_ON)
    )


def _has_own_box(run: Run, kept: Iterable[Run]) -> bool:
    """Whether what holds a run, lists and paragraphs aside, holds no other text of the article."""
    box = next((place for place in run.place.above() if place.tag not in _INNER), None)
    return not any(
        other.keep and other is not run and _is_text(other) and box in set(other.place.above())
        for other in kept
    )


def _keep_headings(runs: list[Run]) -> None:
    """A heading stays if text follows that it is over, and goes if none does."""
    covered = 7
    for run in reversed(runs):
        level = run.place.heading
        if not level:
            if run.keep:
                covered = 0
            continue
        # Text or a kept heading of a lower rank follows before one of this rank.
        run.keep = run.keep and covered < level


def _keep_tables_whole(runs: list[Run]) -> None:
    """A table of data stays if most of it was chosen, and then all of it."""
    sizes: dict[Place, list[int]] = {}
    for run in runs:
        if run.place.table is not None and not run.place.hidden:
            size = sizes.setdefault(run.place.table, [0, 0])
            size[0] += len(run.squeezed)
            size[1] += len(run.squeezed) * run.keep
    for run in runs:
        if run.place.table in sizes and not run.place.hidden:
            all_of_it, chosen = sizes[run.place.table]
            run.keep = 2 * chosen >= all_of_it and not run.place.caption


def _keep_images(events: Sequence[Event]) -> None:
    """Images between the first and the last chosen run, and those beside the text around it."""
    positions = [n for n, event in enumerate(events) if isinstance(event, Run) and event.keep]
    if not positions:
        return
    runs = [event for event in events if isinstance(event, Run) and event.keep]
    total = sum(len(run.squeezed) for run in runs)
    homes = {home for run in runs if run.words >= _PROSE_WORDS for home in _homes(run.place)}
    for position, event in enumerate(events):
        if not isinstance(event, Image) or event.place.hidden:
            continue
        inside = positions[0] < position < positions[-1]
        if inside or _holder_of(event.place) in homes:
            beside = takewhile(
                lambda place: place.weight <= _ABSOLVING_SHARE * total, event.place.above()
            )
            event.keep = not any(map(_is_named_apart, beside))


def _holder_of(image: Place) -> Place | None:
    """The innermost place around an image, or its figure, that has words in it; None for
    pictures of persons and marks."""
    for place in image.above():
        if not place.names.isdisjoint(_NO_PICTURES):
            return None
        words = place.element.xpath(
            "boolean(.//text()[normalize-space() and not(ancestor::figure)])"
        )
        if words:
            return place
    return None
