"""The page in a real Chromium: what a person sees, does, and is kept from."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import servers
from tests.chromium import launched, needs_chromium
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.page_browser import opened
from tests.twin.serving.scripted import NOTICE, ScriptedBackend
from twin.domain.feedback import Feedback
from twin.serving.answer_book import AnswerBook
from twin.serving.routing import RoutingTable

pytestmark = needs_chromium
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
def address(backend) -> Iterator[str]:
    with served(backend) as url:
        yield url
    backend.go.set()


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    with opened(browser, address) as page:
        yield page


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def test_an_answer_with_its_sources_and_what_no_source_supports(page, backend):
    assert "An AI answers" not in page.content()
    expect(page.get_by_text(NOTICE)).to_be_visible()
    expect(page.get_by_role("heading", name="The twin of Ann")).to_be_visible()
    ask(page, "Why pods?")
    expect(page.locator("#status")).to_have_text(
        "Answer complete, 2 sources, 2 unsupported sentences."
    )
    answer = page.locator(".text")
    expect(answer.locator("strong")).to_have_text("pod of its own")
    assert answer.locator("mark.unsupported").all_text_contents() == [
        "It was invented on the Moon by nine cats.",
        "It never sleeps at night.",
    ]
    assert answer.locator("li").count() == 2
    expect(answer.locator("pre code")).to_have_text("pod = 1\n")
    assert not re.search("[⸨⸩]", answer.inner_text())
    page.get_by_role("button", name="Source 1: On whales").first.click()
    quote = page.locator(".sources mark").first
    expect(quote).to_be_focused()
    assert quote.text_content() == "Every job is a 🐳 pod of its own, says Ann."
    assert page.locator(".sources details").count() == 2
    assert page.locator(".sources a").all_text_contents() == ["https://ann.example/whales"]


def test_a_slow_answer_is_shown_as_it_comes_and_can_be_stopped(page, backend):
    ask(page, "slow")
    expect(page.locator(".text")).to_have_text("Every")
    expect(page.locator(".said")).to_have_attribute("aria-busy", "true")
    expect(page.get_by_role("button", name="Ask")).to_be_hidden()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()
    expect(page.locator(".said")).to_have_attribute("aria-busy", "false")
    servers.wait_until(lambda: backend.left == 1, "the generation ends")
    expect(page.get_by_role("button", name="Ask")).to_be_visible()


def test_escape_stops_and_several_turns_make_a_conversation(page, backend):
    ask(page, "Why pods?")
    expect(page.locator(".sources")).to_have_count(1)
    ask(page, "slow")
    expect(page.locator(".text").nth(1)).to_have_text("Every")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped.", exact=True)).to_be_visible()
    ask(page, "And then?")
    expect(page.locator(".sources")).to_have_count(2)
    history = [(turn.role, turn.content[:5]) for turn in backend.asked[-1].history]
    assert history == [
        ("user", "Why p"), ("assistant", "Every"), ("user", "slow"), ("assistant", "Every"),
    ]  # fmt: skip
    page.get_by_role("button", name="New conversation").click()
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "Anew")
    expect(page.locator(".sources")).to_have_count(1)
    assert backend.asked[-1].history == ()


def test_a_conversation_that_is_left_while_it_is_answered_leaves_nothing(page, backend):
    ask(page, "slow")
    expect(page.locator(".text")).to_have_text("Every")
    page.get_by_role("button", name="New conversation").click()
    servers.wait_until(lambda: backend.left == 1, "the generation ends")
    ask(page, "Anew")
    expect(page.locator(".sources")).to_have_count(1)
    assert backend.asked[-1].history == ()


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("busy", "too many requests are waiting: try again in a few seconds (try again in 5 s)"),
        ("fails", "twin-tiny-v1 can't answer now"),
        ("breaks", "The connection is lost in the middle of the answer."),
    ],
)
def test_what_fails_says_so_and_can_be_tried_again(page, backend, question, says):
    page.get_by_label("Model").select_option("twin-tiny-v1")
    ask(page, question)
    expect(page.get_by_role("alert").filter(has_text=says)).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    servers.wait_until(lambda: len(backend.asked) == 2, "the question is asked again")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert page.locator(".turn").count() == 1
    assert backend.asked[-1].history == ()


def test_an_endpoint_that_is_gone_is_told_and_found_again(browser, backend):
    port = servers.free_port()
    page = browser.new_page()
    with served(backend, port=port) as address:
        page.goto(address)
        page.get_by_label("API key").fill(KEY)
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
    ask(page, "Why pods?")
    expect(page.get_by_role("alert").filter(has_text="The connection is lost.")).to_be_visible()
    with served(backend, port=port):
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".sources")).to_have_count(1)
    page.close()


def test_an_endpoint_with_nothing_in_service_says_so_until_something_is(page, backend):
    full, backend.table = backend.table, RoutingTable.empty()
    page.reload()
    expect(page.get_by_role("alert").filter(has_text="No model is in service.")).to_be_visible()
    backend.table = full
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_label("Model")).to_be_enabled()
    expect(page.get_by_text("No model is in service.")).to_be_hidden()
    page.route("**/v1/models", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert").filter(has_text="The connection is lost.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_a_wrong_key_is_refused_in_words_and_the_right_one_is_kept_in_the_tab_only(
    browser, address
):
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    value = page.get_by_label("API key")
    value.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This key is not valid.")).to_be_visible()
    value.fill("clé à moi")
    page.keyboard.press("Enter")
    expect(page.get_by_text("This is no key: it has blanks")).to_be_visible()
    value.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.reload()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_label("Model")).to_be_enabled()
    assert page.url == f"{address}/"
    assert KEY not in str(context.cookies())
    assert page.evaluate("Object.values(localStorage)") == []
    other = context.new_page()
    other.goto(address)
    expect(other.get_by_role("dialog")).to_be_visible()
    context.close()


def test_hostile_answers_and_sources_are_only_text(page):
    ask(page, "hostile")
    expect(page.locator(".sources")).to_have_count(1)
    page.locator(".sources summary").click()
    expect(page.locator(".sources")).to_contain_text("<img src=x onerror=window.hacked=6>")
    expect(page.locator(".text")).to_contain_text("<script>window.hacked = 1</script>")
    for selector in ("img", "iframe", ".text svg", "style"):
        assert page.locator(f".turn {selector}").count() == 0
    links = [link.get_attribute("href") for link in page.locator(".turn a").all()]
    assert [link for link in links if link] == ["https://ann.example/good"]
    assert page.locator(".text a[href]").get_attribute("rel") == "noopener noreferrer nofollow"
    assert page.evaluate("window.hacked") is None


def test_the_policy_stops_a_script_that_gets_in(page):
    stopped = page.evaluate(
        "() => { try { document.body.innerHTML += '<img src=x onerror=window.hacked=1>' }"
        " catch (error) { return error.name } }"
    )
    assert stopped == "TypeError"
    assert page.evaluate("window.hacked") is None


def test_thumb_and_correction_reach_the_store(browser, backend, stores_settings):
    book = AnswerBook(stores_settings)
    with served(backend, book=book) as address:
        page = browser.new_page()
        page.goto(address)
        page.get_by_label("API key").fill(KEY)
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_hidden()
        ask(page, "Why pods?")
        thumb = page.get_by_role("button", name="Bad answer")
        thumb.click()
        expect(thumb).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_text("Thank you.")).to_be_visible()
        page.get_by_role("button", name="Correct it").click()
        expect(page.get_by_label("What the answer should have been")).to_be_focused()
        page.keyboard.type("A pod is <b>given back</b>.")
        page.get_by_label("Comment").fill("no cats")
        with page.expect_response("**/feedback") as answered:
            page.get_by_role("button", name="Send").click()
        expect(page.get_by_label("Comment")).to_be_hidden()
        assert (
            answered.value.json()["feedback"]
            == Feedback(
                thumb="down", correction="A pod is <b>given back</b>.", comment="no cats"
            ).model_dump()
        )
        page.close()


def test_feedback_that_can_not_be_kept_says_so(page):
    ask(page, "Why pods?")
    page.get_by_role("button", name="Good answer").click()
    expect(page.get_by_text("Not sent: answers are not kept here")).to_be_visible()
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute(
        "aria-pressed", "false"
    )


def test_a_version_may_be_chosen(page, backend):
    page.get_by_label("Model").select_option("twin-tiny-v2")
    with page.expect_request("**/v1/chat/completions") as asked:
        ask(page, "Why pods?")
    assert asked.value.post_data_json["model"] == "twin-tiny-v2"
    page.reload()
    expect(page.get_by_label("Model")).to_have_value("twin-tiny-v2")


def test_everything_is_reached_by_keyboard(page):
    ask(page, "Why pods?")
    expect(page.locator(".sources")).to_have_count(1)
    page.locator("body").press("Home")
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "() => { const e = document.activeElement;"
                "return e.id || e.className || e.dataset.thumb || e.tagName }"
            )
        )
    for wanted in ("skip", "model", "fresh", "key", "theme", "cite", "up", "down", "SUMMARY",
                   "question", "send"):  # fmt: skip
        assert wanted in reached or any(wanted in each for each in reached), (wanted, reached)


def test_dark_mode_follows_the_system_and_is_kept_when_it_is_chosen(page):
    def ground():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.emulate_media(color_scheme="dark")
    dark = ground()
    assert dark != light
    page.get_by_role("button", name="Dark mode").click()
    assert ground() == light
    page.reload()
    assert ground() == light


@pytest.mark.parametrize("viewport", [PHONE, {"width": 320, "height": 600}])
def test_on_a_phone_nothing_is_cut_off(page, viewport):
    page.set_viewport_size(viewport)
    ask(page, "Why pods? " + "x" * 200)
    expect(page.locator(".sources")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    expect(page.get_by_role("button", name="Ask")).to_be_in_viewport()
