"""One article on two platforms is one document, in whatever order it is crawled."""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from twin.crawl.cross_posts import unite_cross_posts
from twin.domain.document import Document, DocumentStatus, document_id, revision_of
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse

ORDER = ("blog", "medium", "substack")
DAY = datetime(2026, 3, 1, tzinfo=UTC)
FOOTER = " Thanks for reading on this platform, subscribe for more of the same kind."


def text(topic: str, words: int = 200) -> str:
    """Words that no other topic has."""
    return " ".join(f"{topic}{number}" for number in range(words))


def post(
    source: str,
    url: str,
    content: str,
    *,
    published: datetime | None = None,
    original: str | None = None,
    kind: str = "article",
) -> Document:
    now = datetime.now(UTC)
    return Document(
        id=document_id("tester", url), author_id="tester", author_name="Tess", source=source,
        url=url, title="T", content=f"{content}\n", revision=revision_of("T", content),
        published=published, original_url=original, kind=kind, first_seen=now, last_changed=now,
    )  # fmt: skip


BLOG = post("blog", "https://e.org/a/", text("a"), published=DAY)
MEDIUM = post("medium", "https://medium.com/@t/a-1", text("a") + FOOTER, published=DAY)
SUBSTACK = post(
    "substack", "https://t.substack.com/p/a", text("a"), published=DAY + timedelta(days=1)
)
OTHER = post("medium", "https://medium.com/@t/b-2", text("b"), published=DAY)


@pytest.fixture
def warehouse(stores_settings: Settings) -> Iterator[Warehouse]:
    with open_warehouse(stores_settings) as opened:
        opened.prepare()
        yield opened


def state(warehouse: Warehouse) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {item.url: (item.status.value, item.also_at) for item in warehouse.summaries("tester")}


def test_any_order_of_crawls_gives_the_same(warehouse: Warehouse) -> None:
    expected = {
        BLOG.url: ("live", (MEDIUM.url, SUBSTACK.url)),
        MEDIUM.url: ("duplicate", (BLOG.url,)),
        SUBSTACK.url: ("duplicate", (BLOG.url,)),
        OTHER.url: ("live", ()),
    }
    for order in itertools.permutations([BLOG, MEDIUM, SUBSTACK, OTHER]):
        for item in order:
            warehouse.upsert(item)
            unite_cross_posts(warehouse, "tester", ORDER)
        assert state(warehouse) == expected
        again = unite_cross_posts(warehouse, "tester", ORDER)
        assert (again.texts, again.duplicates, again.changed) == (1, 2, 0)
        warehouse._database.drop_collection("documents")


def test_crawling_again_changes_nothing(warehouse: Warehouse) -> None:
    for item in (BLOG, MEDIUM):
        warehouse.upsert(item, fetched="digest")
    unite_cross_posts(warehouse, "tester", ORDER)
    before = state(warehouse)
    assert [warehouse.upsert(item, "digest").value for item in (MEDIUM, BLOG)] == ["unchanged"] * 2
    assert state(warehouse) == before, "before cross-posts are looked for again, too"
    assert warehouse.fetched_digests("tester", "medium") == {MEDIUM.id: "digest"}
    assert list(warehouse.live_revisions("tester")) == [BLOG.id]


def test_who_is_called_the_original_is_kept(warehouse: Warehouse) -> None:
    """Whatever the dates: the import of an old text is dated back by some platforms."""
    late = BLOG.model_copy(update={"published": DAY + timedelta(days=9)})
    said = MEDIUM.model_copy(update={"original_url": "http://www.e.org/a"})
    for item in (late, said, SUBSTACK):
        warehouse.upsert(item)
    unite_cross_posts(warehouse, "tester", ORDER)
    assert state(warehouse)[BLOG.url] == ("live", (MEDIUM.url, SUBSTACK.url))


def test_without_dates_the_source_named_first_is_kept(warehouse: Warehouse) -> None:
    for item in (MEDIUM, SUBSTACK):
        warehouse.upsert(item.model_copy(update={"published": None}))
    unite_cross_posts(warehouse, "tester", ("substack", "medium"))
    assert state(warehouse)[SUBSTACK.url][0] == "live"
    unite_cross_posts(warehouse, "tester", ("medium", "substack"))
    assert state(warehouse) == {
        MEDIUM.url: ("live", (SUBSTACK.url,)), SUBSTACK.url: ("duplicate", (MEDIUM.url,)),
    }  # fmt: skip


def test_the_other_takes_over_when_the_kept_one_is_gone_or_changed(warehouse: Warehouse) -> None:
    for item in (BLOG, MEDIUM):
        warehouse.upsert(item)
    unite_cross_posts(warehouse, "tester", ORDER)
    gone = {"status": DocumentStatus.GONE.value}
    warehouse.collection("documents").update_one({"_id": BLOG.id}, {"$set": gone})
    assert unite_cross_posts(warehouse, "tester", ORDER).changed == 1
    assert state(warehouse)[MEDIUM.url] == ("live", ())
    # It comes back, as another text.
    warehouse.upsert(post("blog", BLOG.url, text("rewritten"), published=DAY))
    unite_cross_posts(warehouse, "tester", ORDER)
    assert {status for status, _ in state(warehouse).values()} == {"live"}


def test_a_page_that_calls_everything_its_original_makes_nothing_one(warehouse: Warehouse) -> None:
    """A template's mistake: every page names the home page of another site."""
    home = post("blog", "https://e.org/", text("home"), published=DAY)
    wrong = [
        post("medium", f"https://medium.com/@t/{n}", text(f"n{n}x"), original="https://e.org/")
        for n in range(3)
    ]
    for item in (home, *wrong):
        warehouse.upsert(item)
    assert unite_cross_posts(warehouse, "tester", ORDER).texts == 0


def test_a_copy_with_much_added_is_one_only_if_it_says_so(warehouse: Warehouse) -> None:
    longer = post("medium", MEDIUM.url, text("a") + " " + text("more", 90), published=DAY)
    warehouse.upsert(BLOG)
    warehouse.upsert(longer)
    assert unite_cross_posts(warehouse, "tester", ORDER).texts == 0
    warehouse.upsert(longer.model_copy(update={"original_url": BLOG.url}))
    assert unite_cross_posts(warehouse, "tester", ORDER).texts == 1


def test_texts_of_one_place_and_code_are_left_alone(warehouse: Warehouse) -> None:
    weekly = [post("blog", f"https://e.org/week/{n}", text("a")) for n in range(2)]
    code = [post(f"code{n}", f"https://h{n}.org/LICENSE", text("l"), kind="code") for n in range(2)]
    for item in (*weekly, *code, OTHER):
        warehouse.upsert(item)
    assert unite_cross_posts(warehouse, "tester", ORDER).texts == 0


def test_other_authors_are_not_compared(warehouse: Warehouse) -> None:
    theirs = MEDIUM.model_copy(update={"id": "other", "author_id": "guest"})
    warehouse.upsert(BLOG)
    warehouse.upsert(theirs)
    assert unite_cross_posts(warehouse, "tester", ORDER).texts == 0


def test_what_another_crawl_changes_meanwhile_is_judged_anew(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for item in (BLOG, MEDIUM):
        warehouse.upsert(item)
    read = warehouse.standing
    changes = iter([post("medium", MEDIUM.url, text("new"), published=DAY)])

    def standing(author_id: str) -> list[Document]:
        found = read(author_id)
        for change in changes:  # a crawl of the other source, just now
            warehouse.upsert(change)
        return found

    monkeypatch.setattr(warehouse, "standing", standing)
    unite_cross_posts(warehouse, "tester", ORDER)
    assert state(warehouse) == {BLOG.url: ("live", ()), MEDIUM.url: ("live", ())}
