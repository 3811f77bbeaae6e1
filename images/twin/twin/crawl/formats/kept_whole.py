"""What stays with the text it belongs to: headings, tables, captions, notes, images."""

from collections.abc import Sequence
from itertools import takewhile

from twin.crawl.formats.captions import CAPTION_OF
from twin.crawl.formats.html_runs import Event, Image, Place, Run
from twin.crawl.formats.notes import NOTE, REFERENCE
from twin.crawl.formats.run_kinds import ABSOLVING_SHARE, PROSE_WORDS, homes_of, is_named_apart

# What pictures of persons and marks are called.
_NO_PICTURES = frozenset({"avatar", "author", "byline", "logo", "icon", "profile"})


def keep_headings(runs: list[Run]) -> None:
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


def keep_tables_whole(runs: list[Run]) -> None:
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


def keep_images(events: Sequence[Event]) -> None:
    """Images between the first and the last chosen run, and those beside the text around it."""
    positions = [n for n, event in enumerate(events) if isinstance(event, Run) and event.keep]
    if not positions:
        return
    runs = [event for event in events if isinstance(event, Run) and event.keep]
    total = sum(len(run.squeezed) for run in runs)
    homes = {home for run in runs if run.words >= PROSE_WORDS for home in homes_of(run.place)}
    for position, event in enumerate(events):
        if not isinstance(event, Image) or event.place.hidden:
            continue
        inside = positions[0] < position < positions[-1]
        if inside or _holder_of(event.place) in homes:
            beside = takewhile(
                lambda place: place.weight <= ABSOLVING_SHARE * total, event.place.above()
            )
            event.keep = not any(map(is_named_apart, beside))


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


def keep_notes(runs: Sequence[Run]) -> None:
    """A note stays if the text refers to it, or another note that stays does.

    So do notes that nothing but notes refers to, as paragraphs that refer to one another in a
    circle: there is no text that was left out with them.
    """
    notes: dict[str, list[Run]] = {}
    waiting: list[Run] = []
    elsewhere: set[str] = set()
    for run in runs:
        label = _note_of(run)
        if label is not None:
            notes.setdefault(label, []).append(run)
            run.keep = False
        elif run.keep:
            waiting.append(run)
        else:
            elsewhere.update(REFERENCE.findall(run.text))
    _follow(notes, waiting)
    _follow(notes, [run for label in notes.keys() - elsewhere for run in notes[label]])


def _follow(notes: dict[str, list[Run]], waiting: list[Run]) -> None:
    """Keep what texts refer to, and take it out of the notes."""
    while waiting and notes:
        for label in REFERENCE.findall(waiting.pop().text):
            for note in notes.pop(label, ()):
                note.keep = True
                waiting.append(note)


def _note_of(run: Run) -> str | None:
    """The label of the note that a run is in."""
    for above in run.place.above():
        if (label := above.element.get(NOTE)) is not None:
            return str(label)
        if above.tag in ("body", "article", "main", "ol"):
            return None
    return None


def keep_captions(runs: Sequence[Run]) -> None:
    """The caption of a listing, a table or a quotation stays with it."""
    for number, run in enumerate(runs):
        side = _caption_side(run)
        if side is None:
            continue
        beside = (
            runs[number + 1 : number + 3]
            if side == "next"
            else reversed(runs[max(0, number - 2) : number])
        )
        of = next((other for other in beside if _caption_side(other) is None), None)
        run.keep = of is not None and of.keep and not run.place.hidden


def _caption_side(run: Run) -> str | None:
    return next(
        (
            side
            for above in (run.place, run.place.parent)
            if above is not None and (side := above.element.get(CAPTION_OF)) is not None
        ),
        None,
    )
