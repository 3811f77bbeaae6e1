"""Dead links wait for the site's lists."""

from twin.crawl.web.dead_links import DeadLinks

URL, OTHER = "https://ada.example/a", "https://ada.example/b"


def test_a_list_that_is_read_later_takes_a_dead_page_back() -> None:
    links = DeadLinks()
    links.found[URL] = 404
    links.found[OTHER] = 410
    assert links.list(URL) == 404
    assert links.found == {OTHER: 410}
    assert links.list(URL) is None
    assert links.is_listed(URL) and not links.is_listed(OTHER)


def test_a_page_is_listed_whichever_way_it_is_written() -> None:
    links = DeadLinks()
    links.list("https://ada.example/a/")
    assert links.is_listed("http://www.ada.example/a") == links.is_listed("http://ada.example/a")
    assert links.is_listed(URL)


def test_it_goes_on_after_a_pause() -> None:
    before, after = DeadLinks(), DeadLinks()
    before.found[URL] = 404
    before.list(OTHER)
    after.go_on(before.state())
    assert after == before
