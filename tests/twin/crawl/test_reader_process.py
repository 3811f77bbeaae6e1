"""Reading in another process: the same articles, and a page that kills it dies alone."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.servers import wait_until
from tests.twin.crawl.site_server import article
from twin.crawl import reader_process
from twin.crawl.page import Article, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.crawl.reader_process import BrokenReaderError, ReaderProcess
from twin.recipes import CrawlSection

LIMITS = CrawlSection(min_words=20)


def page(text: str, **fields) -> Page:
    return Page("https://a.example/x", text.encode(), "text/html", **fields)


def read(reader: ReaderProcess, one: Page, limits: CrawlSection) -> Article:
    """The article of one page, or what there is in its place."""
    (answer,) = reader.read_all([one], limits)
    if isinstance(answer, Exception):
        raise answer
    return answer


@pytest.fixture
def reader() -> Iterator[ReaderProcess]:
    with ReaderProcess() as running:
        yield running


def reader_pids() -> list[int]:
    children = psutil.Process().children()
    return [one.pid for one in children if "reader_process" in " ".join(one.cmdline())]


def test_the_same_article_and_the_same_reasons(reader: ReaderProcess) -> None:
    good = page(article("Good"))
    assert read(reader, good, LIMITS) == read_article(good, LIMITS)
    with pytest.raises(UnusableError, match="empty"):
        read(reader, page(" "), LIMITS)
    with pytest.raises(UnusableError, match="neither HTML, Markdown nor"):
        read(reader, Page("https://a.example/x", b"x", "image/png"), LIMITS)
    assert len(reader_pids()) == 1


def test_a_reader_that_dies_takes_one_page_with_it(reader: ReaderProcess) -> None:
    good = page(article("Good"))
    read(reader, good, LIMITS)
    (pid,) = reader_pids()
    os.kill(pid, signal.SIGSTOP)  # it has the page, and will not get further
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(BrokenReaderError) as caught:
        read(reader, good, LIMITS)
    assert caught.value.reason == "the reader's process died (SIGKILL)"
    assert read(reader, good, LIMITS).title == "Good"
    assert len(reader_pids()) == 1 and reader_pids() != [pid]


def test_a_page_that_takes_for_ever_is_given_up(
    reader: ReaderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = page(article("Good"))
    read(reader, good, LIMITS)
    monkeypatch.setattr(reader_process, "MAX_SECONDS", 0.5)
    (pid,) = reader_pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BrokenReaderError) as caught:
        read(reader, good, LIMITS)
    assert caught.value.reason.startswith("not read within")
    monkeypatch.undo()
    assert read(reader, good, LIMITS).title == "Good"


def test_of_pages_that_are_read_together_only_the_one_that_breaks_its_reader_fails(
    reader: ReaderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those before it have their articles, those behind it get them of another process."""
    read(reader, page(article("First")), LIMITS)
    monkeypatch.setattr(reader_process, "MAX_SECONDS", 1.0)
    monkeypatch.setattr(reader_process, "BYTES_A_SECOND", 10**12)
    monkeypatch.setattr(reader_process, "LARGEST_BYTES", 10_000_000)
    (pid,) = reader_pids()
    pages = [page(article(f"Number {number}")) for number in range(9)]
    pages[4] = page(article("Slow", words=1_000_000))
    found = dict(enumerate(reader.read_all(pages, LIMITS)))
    broken = found.pop(4)
    assert isinstance(broken, BrokenReaderError)
    assert broken.reason == "not read within 1 s"
    titles = {number: one.title for number, one in found.items() if isinstance(one, Article)}
    assert titles == {number: f"Number {number}" for number in range(9) if number != 4}
    assert len(reader_pids()) == 1 and reader_pids() != [pid]


def test_a_large_page_goes_alone() -> None:
    sizes = (10, 600_000, 300_000, 200_000, 3_000_000, 10)
    asked = [page("x" * size) for size in sizes]
    taken = []
    while asked:
        portion = reader_process._portion(asked)
        taken.append([len(one.body) for one in portion])
        asked = asked[len(portion) :]
    assert taken == [[10, 600_000, 300_000], [200_000], [3_000_000], [10]]


def test_many_threads_share_the_reader(reader: ReaderProcess) -> None:
    titles: list[str] = []

    def take(number: int) -> None:
        titles.append(read(reader, page(article(f"Number {number}")), LIMITS).title)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(titles) == sorted(f"Number {number}" for number in range(12))
    assert len(reader_pids()) == 1


def test_a_reader_ends_with_its_parent() -> None:
    """Even one that was killed with -9."""
    program = (
        "import time; from twin.crawl.reader_process import *; from twin.crawl.page import Page;"
        "from twin.recipes import CrawlSection; r = ReaderProcess();"
        "r.read_all([Page('https://a.example/x', b'# T\\n\\n' + b'word ' * 99, 'text/markdown')],"
        " CrawlSection()); print('read', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline() == b"read\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "it ends")
