"""Packing the units of a document into chunks.

As TeX breaks a paragraph into lines (Knuth and Plass, 1981): among all ways to break a document,
the one whose chunks are together the fullest and end at the mildest places. Filling chunks one
by one would leave a tiny rest at the end of every section instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from twin.features.splitting import Unit

HARSH = 0.5
"""Cost of breaking at the harshest place, where an empty chunk costs 1."""

PARAGRAPH = 0.05
"""Cost of breaking between the paragraphs of one section."""

CROSSING = 0.8
"""Cost of joining two sections: worth it only if each is under a third of the budget."""

Path = tuple[str, ...]


@dataclass(frozen=True)
class UnitsOfSection:
    """A section as it is packed.

    ``heading_starts`` are the places of its last headings, those that stand right before its
    units; headings further out have text of their own before. ``heading_tokens`` are theirs.
    """

    path: Path
    units: Sequence[Unit]
    heading_starts: tuple[int, ...] = ()
    heading_tokens: int = 0


@dataclass(frozen=True)
class Span:
    """A chunk to be: a span of the text and the headings over it.

    ``opening`` and ``closing`` stand around it where it cuts a table or a listing (`frames`).
    """

    start: int
    end: int
    path: Path
    opening: str = ""
    closing: str = ""


def pack(
    sections: Sequence[UnitsOfSection], budget: int, tokens_of: Callable[[Path], int]
) -> list[Span]:
    """The cheapest chunks of at most ``budget`` tokens, in order.

    A chunk is a part of one section, or several whole small sections; then what their paths
    share stands over it, and the rest of their headings stands in it.

    Args:
        sections: of one document, in order; each unit fits the budget under its path.
        budget: tokens of a chunk with its path.
        tokens_of: tokens that a path adds, with title and special tokens.
    """
    return _Packing(sections, budget, tokens_of).cheapest()


@dataclass(frozen=True)
class _Place:
    """A unit and the section that it is in."""

    unit: Unit
    section: int
    first: bool
    last: bool


class _Packing:
    def __init__(
        self,
        sections: Sequence[UnitsOfSection],
        budget: int,
        tokens_of: Callable[[Path], int],
    ) -> None:
        self.sections = sections
        self.budget = budget
        self.tokens_of = tokens_of

    @cached_property
    def places(self) -> list[_Place]:
        return [
            _Place(unit, number, place == 0, place == len(section.units) - 1)
            for number, section in enumerate(self.sections)
            for place, unit in enumerate(section.units)
        ]

    def cheapest(self) -> list[Span]:
        """Dynamic programming from the end: the best rest after each unit is known."""
        count = len(self.places)
        costs = [0.0] * (count + 1)
        ends: list[tuple[int, Path]] = [(0, ())] * count
        for begin in reversed(range(count)):
            options = [
                (cost + costs[end + 1], end, path) for end, path, cost in self._chunks_from(begin)
            ]
            cost, end, path = min(options, key=lambda option: option[:2])
            costs[begin], ends[begin] = cost, (end, path)
        return list(self._spans(ends))

    def _spans(self, ends: list[tuple[int, Path]]) -> Iterator[Span]:
        begin = 0
        while begin < len(ends):
            end, path = ends[begin]
            first, last = self.places[begin], self.places[end]
            section = self.sections[first.section]
            start = first.unit.start
            if missing := len(section.path) - len(path):
                start = section.heading_starts[-missing]
            yield Span(start, last.unit.end, path)
            begin = end + 1

    def _chunks_from(self, begin: int) -> Iterator[tuple[int, Path, float]]:
        """Every chunk that begins with a unit: the last unit, the path over it, the cost."""
        first = self.places[begin]
        own = self.sections[first.section]
        path, tokens, crossings = own.path, 0, 0
        for end in range(begin, len(self.places)):
            place = self.places[end]
            if end > begin and place.first:
                if not first.first:
                    return
                crossings += 1
                path = _shared(path, self.sections[place.section].path)
                tokens += self.sections[place.section].heading_tokens
            tokens += place.unit.tokens
            if end > begin and tokens > self.budget:
                return
            if crossings and not (place.last and self._keeps_headings(own, path)):
                continue
            size = tokens + self.tokens_of(path)
            size += own.heading_tokens if len(path) < len(own.path) else 0
            if size <= self.budget or end == begin:
                yield end, path, self._cost(place, size, crossings)

    def _keeps_headings(self, section: UnitsOfSection, path: Path) -> bool:
        """Whether the headings that ``path`` lacks stand right before the section."""
        return len(section.path) - len(path) <= len(section.heading_starts)

    def _cost(self, last: _Place, size: int, crossings: int) -> float:
        slack = max(0.0, 1 - size / self.budget)
        end = 0.0 if last.last else PARAGRAPH + HARSH * last.unit.harshness
        return slack * slack + end + CROSSING * crossings


def _shared(one: Path, other: Path) -> Path:
    """The headings that two paths have in common, from the outside."""
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        length += 1
    return one[:length]
