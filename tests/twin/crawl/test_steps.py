"""Pages that are taken together ask for what they need together."""

import pytest

from twin.crawl.page import Article, Page, UnusableError, now
from twin.crawl.steps import Bury, Read, Step, Steps, at_once, carried_out


class Work:
    """Reads and buries, and remembers what was asked at once."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def read(self, steps: list[Read]) -> list[object]:
        self.asked.append([step.page.url for step in steps])
        return [
            UnusableError("empty") if "bad" in step.page.url else Article(step.page.url, "text")
            for step in steps
        ]

    def bury(self, steps: list[Bury]) -> list[object]:
        self.asked.append([step.identity for step in steps])
        return [None] * len(steps)

    def of(self, *takings: Steps[str]) -> list[str]:
        return carried_out(takings, {Read: self.read, Bury: self.bury})


def taking(url: str, *, buries: bool = False) -> Steps[str]:
    try:
        article = yield Read(Page(url, b"", "text/html"))
    except UnusableError as error:
        return f"{url}: {error}"
    if buries:
        yield Bury(url, now())
    return f"{url}: {article.title}"


def test_each_gets_its_own_answer_and_all_are_asked_at_once() -> None:
    work = Work()
    found = work.of(
        taking("a"), taking("bad"), at_once(lambda: "at once"), taking("b", buries=True),
        taking("c"), taking("d", buries=True),
    )  # fmt: skip
    assert found == ["a: a", "bad: empty", "at once", "b: b", "c: c", "d: d"]
    assert work.asked == [["a", "bad", "b", "c", "d"], ["b", "d"]]


def test_who_reads_again_is_asked_again() -> None:
    def twice() -> Steps[str]:
        first = yield from taking("a", buries=True)
        second = yield from taking("b")
        return f"{first}, {second}"

    work = Work()
    assert work.of(twice(), taking("c")) == ["a: a, b: b", "c: c"]
    assert work.asked == [["a", "c"], ["a"], ["b"]]


def test_nothing_is_asked_for_nobody() -> None:
    work = Work()
    assert work.of() == [] and work.of(at_once(lambda: "x")) == ["x"]
    assert work.asked == []


def test_an_error_of_the_work_ends_all() -> None:
    def away(_steps: list[Step]) -> list[object]:
        raise ConnectionError("away")

    takings = [taking("a"), taking("b")]
    with pytest.raises(ConnectionError):
        carried_out(takings, {Read: away})
    assert carried_out([taking("c")], {Read: Work().read}) == ["c: c"]
