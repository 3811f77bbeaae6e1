"""A real Chromium with the page open in it."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, expect

from tests.twin.serving.conftest import KEY


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """The page, opened with the key; nothing of it may have failed or asked elsewhere."""
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    elsewhere: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
    page.on("request", lambda r: None if address in r.url else elsewhere.append(r.url))
    page.goto(address)
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    yield page
    assert faults == []
    assert elsewhere == []
    context.close()
