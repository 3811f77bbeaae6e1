"""Articles that are no pages go the way of pages: rights, forgetting, quarantine, bookkeeping."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.twin.crawl.formats.pages import words
from tests.twin.crawl.sources.jobs import documents, held, job
from tests.twin.stores.commands import Commands, warehouse_of
from twin.crawl.intake import Intake
from twin.crawl.known_pages import PAGES_PER_WRITE
from twin.crawl.page import Article, Page, UnusableError, now
from twin.crawl.tally import Outcome
from twin.domain.crawl import Change
from twin.domain.document import Forgotten, document_id
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse

URL = "https://e.org/post"


def article(**fields: object) -> Article:
    return Article(**{"title": "Tides", "content": f"{words()}\n", **fields})


@pytest.fixture
def warehouse(stores_settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(stores_settings) as opened:
        opened.prepare()
        yield opened


@pytest.fixture
def intake(stores_settings: Settings, warehouse: Warehouse) -> Intake:
    one = job(stores_settings, {"kind": "linkedin_export", "path": "export.zip"})
    return Intake(one, warehouse, one.recipe.sources[0])


def again(intake: Intake) -> Intake:
    return Intake(intake.job, intake.warehouse, intake.source)


def test_it_is_stored_once_and_not_read_again(intake: Intake, stores_settings: Settings) -> None:
    assert intake.take_article(URL, b"1", article) == (Outcome.STORED, URL)
    assert documents(stores_settings)[URL].platform == "linkedin"
    intake.settle()
    intake.close()

    def never() -> Article:
        raise AssertionError("was read again")

    second = again(intake)
    assert second.take_article(URL, b"1", never) == (Outcome.STORED, URL)
    assert (second.tally.unchanged, second.tally.failed) == (1, 0)
    second.take_article(URL, b"2", lambda: article(content=f"New. {words()}\n"))
    assert second.job.counts.failed == 0
    assert documents(stores_settings)[URL].content.startswith("New.")


def test_what_was_forgotten_stays_away(intake: Intake, stores_settings: Settings) -> None:
    intake.take_article(URL, b"1", article)
    identity = document_id("tester", URL)
    note = Forgotten(
        id=identity, author_id="tester", url=URL, reason="asked", when=datetime.now(UTC)
    )
    intake.warehouse.forget(note)
    second = again(intake)
    assert second.take_article(URL, b"1", article)[0] is Outcome.SKIPPED
    # Nor does it come back under the name that it gives itself.
    renamed = second.take_article("x:1", b"1", lambda: article(canonical_url=URL))
    assert renamed[0] is Outcome.SKIPPED
    assert documents(stores_settings) == {}


def test_what_is_reserved_is_not_stored(intake: Intake, stores_settings: Settings) -> None:
    outcome, reason = intake.take_article(URL, b"1", lambda: article(reserved=("noai",)))
    assert (outcome, reason) == (Outcome.SKIPPED, "reserved by its publisher: noai")
    assert documents(stores_settings) == {}


@pytest.mark.parametrize(("expected", "outcome"), [(True, "failed"), (False, "skipped")])
def test_unusable_and_broken_ones_are_quarantined(
    intake: Intake, stores_settings: Settings, expected: bool, outcome: str
) -> None:
    def unusable() -> Article:
        raise UnusableError("no text")

    def broken() -> Article:
        raise ZeroDivisionError("a defect")

    assert intake.take_article(URL, b"1", unusable, expected=expected)[0] == outcome
    assert intake.take_article("x:2", b"1", broken, expected=expected)[0] is Outcome.FAILED
    short = intake.take_article("x:3", b"1", lambda: article(content="word"), expected=expected)
    assert short[0] == outcome
    intake.settle()
    assert held(stores_settings) == {
        URL: "no text",
        "x:2": "cannot be read: ZeroDivisionError: a defect",
        "x:3": "1 words, fewer than crawl.min_words = 20",
    }
    second = again(intake)
    second.take_article("x:3", b"2", article)
    second.settle()
    assert set(held(stores_settings)) == {URL, "x:2"}


def test_documents_that_are_gone_take_few_commands(stores_settings: Settings) -> None:
    """Each that writes is remembered by the embedded server, and gone through at every other."""
    sent = Commands()
    one = job(stores_settings, {"kind": "linkedin_export", "path": "export.zip"})
    with warehouse_of(stores_settings, sent) as warehouse:
        first = Intake(one, warehouse, one.recipe.sources[0])
        counts = []
        for number in (1, 60):
            urls = [f"{URL}/{number}/{n}" for n in range(number)]
            for url in urls:
                first.take_article(url, b"1", article)
            sent.names.clear()
            first.bury({document_id("tester", url): now() for url in urls})
            counts.append(sent.writes)
        # To note it; that what was added in the same crawl is gone; and to bury it.
        assert counts == [3, 3]
        assert first.tally.gone == 61 and documents(stores_settings) == {}
        changes = first.books.store.changes(first.books.id)
        assert {change.kind for change in changes} == {Change.GONE} and len(changes) == 61
        first.bury({document_id("tester", URL): now()})
        assert first.tally.gone == 61, "what does not stand is not buried"


def test_what_becomes_reserved_is_gone_and_takes_few_commands(stores_settings: Settings) -> None:
    sent = Commands()
    one = job(stores_settings, {"kind": "web", "start_urls": [URL]})
    with warehouse_of(stores_settings, sent) as warehouse:
        intake = Intake(one, warehouse, one.recipe.sources[0])
        html = f"<html><body><article><h1>Tides</h1><p>{words()}</p></article></body></html>"
        pages = [Page(f"{URL}/{n}", html.encode(), "text/html") for n in range(40)]
        outcomes = intake.taken([intake.taking(page) for page in pages])
        assert outcomes == [(Outcome.STORED, page.url) for page in pages]
        sent.names.clear()
        reserved = [replace(page, reserved=("noai",)) for page in pages]
        outcomes = intake.taken([intake.taking(page) for page in reserved])
        assert set(outcomes) == {(Outcome.SKIPPED, "reserved by its publisher: noai")}
        assert sent.writes == 3 and documents(stores_settings) == {}


def test_a_kill_loses_nothing_that_was_set_aside(intake: Intake, stores_settings: Settings) -> None:
    """A page that is known to be no document is not read again: nothing would set it aside."""

    def page(name: str, text: str) -> Page:
        body = f"# {name}\n\n{text}\n"
        return Page(f"https://e.org/{name}", body.encode(), "text/markdown", expected=False)

    assert intake.take(page("short", ""))[0] is Outcome.SKIPPED
    for number in range(1, PAGES_PER_WRITE):
        outcome = intake.take(page(f"p{number}", f"{number} {words()}"))
        assert outcome == (Outcome.STORED, f"https://e.org/p{number}")
    # What the process holds in memory is gone here.
    later = again(intake)
    known = later.pages.get("https://e.org/short")
    assert known is not None and known.outcome == Outcome.SKIPPED
    assert held(stores_settings).keys() == {"https://e.org/short"}
