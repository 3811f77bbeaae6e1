"""Pages that are taken together: each in steps, so that those of many pages are done as one.

What takes a page is a generator. It yields what it needs of others (an article read, a document
stored) and is given the answer. `carried_out` brings many of them forward side by side: it asks
the reader, and then the warehouse, once for all. A thread a page could wait as well, but would
spend more time on waking up than on the page.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from twin.crawl.page import Page
from twin.domain.document import Document

Result = TypeVar("Result")


@dataclass(frozen=True)
class Read:
    """Make an article of a page; the answer is an `Article`, or the exception to be raised."""

    page: Page


@dataclass(frozen=True)
class Store:
    """Store a document, made of bytes of this digest; the answer is a `Change`."""

    document: Document
    digest: str


@dataclass(frozen=True)
class Bury:
    """Mark a document as gone since then; the answer is whether it stood."""

    identity: str
    when: datetime


Step = Read | Store | Bury
Steps = Generator[Step, Any, Result]
#: Kind of step to what does several of it, and returns an answer for each.
Work = Mapping[type[Step], Callable[[Sequence[Any]], Sequence[object]]]


def at_once(function: Callable[[], Result]) -> Steps[Result]:
    """Steps of what needs nobody else."""
    yield from ()
    return function()


def carried_out(takings: Sequence[Steps[Any]], work: Work) -> list[Any]:
    """The result of each, in their order.

    Args:
        takings: generators that have not begun.
        work: kinds of steps, in the order in which they are done.

    Raises:
        Exception: what one of them, or the work, has raised.
    """
    results: dict[int, Any] = {}
    waiting: dict[int, Step] = {}

    def go_on(key: int, resume: Callable[[], Step]) -> None:
        try:
            waiting[key] = resume()
        except StopIteration as end:
            results[key] = end.value

    for key, steps in enumerate(takings):
        go_on(key, partial(next, steps))
    while waiting:
        for kind, carry_out in work.items():
            keys = [key for key, step in waiting.items() if isinstance(step, kind)]
            if not keys:
                continue
            answers = carry_out([waiting.pop(key) for key in keys])
            for key, answer in zip(keys, answers, strict=True):
                give = takings[key].throw if isinstance(answer, Exception) else takings[key].send
                go_on(key, partial(give, answer))
    return [results[key] for key in range(len(takings))]
