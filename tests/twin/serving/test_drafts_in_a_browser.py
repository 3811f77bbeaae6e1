"""The page's second tab in a real Chromium: what a person writes, sees, changes and takes away."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from pydantic import SecretStr

from tests import servers
from tests.chromium import launched, needs_chromium
from tests.twin.drafts import WHALES, ScriptedWriting, dated, verifier
from tests.twin.serving.conftest import served
from tests.twin.serving.drafting import DraftingBackend
from tests.twin.serving.page_browser import opened
from twin.serving.answer_book import AnswerBook
from twin.settings import get_settings

pytestmark = needs_chromium
TOPIC = "Why every job runs in a pod, and what it costs"
WAITS = "A job waits {} seconds for the warehouse before it gives up."


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def known():
    return verifier()


@pytest.fixture
def backend(known) -> DraftingBackend:
    return DraftingBackend(known)


@pytest.fixture
def address(backend, warehouse_uri) -> Iterator[str]:
    own = {"mongo_uri": SecretStr(warehouse_uri), "mongo_database": f"tab_{servers.free_port()}"}
    with served(backend, book=AnswerBook(get_settings().model_copy(update=own))) as url:
        yield url
    backend.holds.set()


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    with opened(browser, address) as page:
        page.get_by_role("tab", name="Draft").click()
        yield page


def write(page: Page, topic: str = TOPIC, length: str = "short") -> None:
    page.get_by_label("Topic").fill(topic)
    page.get_by_label("Length").select_option(length)
    page.get_by_role("button", name="Write the draft").click()


def said(page: Page, text: str) -> None:
    expect(page.locator("#status")).to_have_text(text)


def test_tabs_are_gone_through_by_keys(page):
    talk, draft = page.get_by_role("tab", name="Talk"), page.get_by_role("tab", name="Draft")
    expect(draft).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Draft")).to_be_visible()
    expect(page.get_by_label("Your question")).to_be_hidden()
    draft.press("ArrowRight")
    expect(talk).to_be_focused()
    expect(talk).to_have_attribute("aria-selected", "true")
    expect(page.get_by_label("Your question")).to_be_visible()
    expect(page.get_by_role("tabpanel", name="Draft")).to_be_hidden()
    assert [tab.get_attribute("tabindex") for tab in (talk, draft)] == ["0", "-1"]
    talk.press("End")
    expect(draft).to_be_focused()


def test_a_draft_with_its_sources_and_what_was_found_of_it(page):
    write(page)
    said(page, "Draft complete, 2 sections, 1 unsupported sentence.")
    draft = page.get_by_role("article", name=f"Draft: {TOPIC}")
    assert draft.locator(".heading").all_text_contents() == ["What a pod states", "What it costs"]
    assert draft.locator("mark.unsupported").all_text_contents() == [
        "Nine cats have invented it on the moon.",
        "Marked",
    ]
    assert draft.locator("mark.copied").first.text_content() == WHALES
    expect(draft.get_by_label("What was found")).to_contain_text("stand in the author's texts")
    expect(draft.locator(".text").first).to_contain_text("(no source supports this)")
    sources = draft.get_by_role("complementary", name="Sources of the section What it costs")
    assert sources.locator("details").count() == 2
    cited = draft.locator(".pair").nth(1).get_by_role("button", name="Source")
    cited.first.click()
    expect(sources.locator("mark")).to_be_focused()


def test_contradictions_are_marked_and_older_views_named(page, backend):
    old, new = dated("old", WAITS.format(90), 2020), dated("new", WAITS.format(30), 2024)
    backend.writing = ScriptedWriting(corpus=(old, new), texts={"Waiting": WAITS.format(30)})
    page.get_by_label("Outline").fill("Waiting")
    write(page)
    found = page.get_by_label("What was found")
    expect(found).to_contain_text(f"An older view, not followed: “{WAITS.format(90)}” (On old")
    expect(found).to_contain_text("2020-01-01")
    backend.writing = ScriptedWriting(corpus=(new,), texts={"Waiting": WAITS.format(90)})
    write(page, "Again")
    draft = page.get_by_role("article", name="Draft: Again")
    assert draft.locator("mark.contradicts").first.text_content() == WAITS.format(90)
    expect(draft).to_contain_text(f"The draft contradicts “{WAITS.format(30)}”")


def test_a_slow_draft_is_shown_as_it_comes_and_can_be_stopped(page, backend):
    backend.holds.clear()
    write(page)
    draft = page.locator(".draft")
    expect(draft.locator(".outline li")).to_have_text(["What a pod states", "What it costs"])
    expect(draft.locator(".text")).to_have_text("Every")
    expect(draft.locator(".said")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Write the draft")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(draft.get_by_text("Stopped.", exact=True)).to_be_visible()
    expect(draft.locator(".said")).to_have_attribute("aria-busy", "false")
    servers.wait_until(lambda: backend.left == 1, "the writing ends")


def test_a_failure_is_said_and_tried_again(page, backend):
    backend.breaks = 3
    write(page)
    expect(page.get_by_role("alert").filter(has_text="can't answer now")).to_be_visible()
    backend.breaks = None
    page.get_by_role("button", name="Try again").last.click()
    said(page, "Draft complete, 2 sections, 1 unsupported sentence.")
    assert page.locator(".draft").count() == 1


def test_a_section_is_revised_and_the_draft_exported(page, backend, tmp_path):
    write(page)
    first = page.locator(".draft").first
    first.get_by_label("How it is to change").fill("Shorter.")
    first.get_by_label("What changes").select_option("2")
    first.get_by_role("button", name="Revise").click()
    second = page.get_by_role("article", name="Draft: Shorter.")
    expect(second.locator(".text").nth(1)).to_contain_text(backend.writing.revised)
    expect(second.locator(".text").first).to_contain_text(WHALES)
    with page.expect_download() as download:
        second.get_by_role("button", name="Export as Markdown").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.suffix == ".md"
    text = Path(file).read_text(encoding="utf-8")
    assert text.startswith(WHALES)
    assert "Sources:" in text


def test_what_is_refused_is_no_draft(page):
    write(page, "Paris")
    said(page, "Draft complete, 0 sections, 0 unsupported sentences.")
    draft = page.locator(".draft")
    expect(draft).to_contain_text("I have not written about that")
    expect(draft.get_by_role("button", name="Revise")).to_have_count(0)


def test_a_thumb_goes_to_the_store(page, backend):
    write(page)
    page.locator(".draft").get_by_role("button", name="Good answer").click()
    expect(page.locator(".draft .told").last).to_have_text("Thank you.")


def test_two_drafts_are_compared_blindly(page, backend):
    page.get_by_label("Topic").fill(TOPIC)
    page.get_by_role("button", name="Compare two drafts").click()
    said(page, "Two drafts are there: say which is better.")
    both = page.get_by_role("article", name=f"Comparison: {TOPIC}")
    expect(both.get_by_role("region", name="Draft A")).to_contain_text(WHALES)
    expect(both.get_by_role("region", name="Draft B")).to_contain_text(WHALES)
    assert "twin-tiny" not in both.inner_text()
    both.get_by_role("button", name="B is better").click()
    expect(both.get_by_role("status")).to_contain_text("Thank you. A: twin-tiny, version")
    expect(both.get_by_role("button", name="A is better")).to_be_disabled()
    seeds = [query.seed for _, query in backend.asked]
    assert len(set(seeds)) == 2
