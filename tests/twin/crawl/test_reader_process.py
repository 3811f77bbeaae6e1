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
from twin.crawl.page import Page, UnusableError
from twin.crawl.read_article import read_article
from twin.crawl.reader_process import BrokenReaderError, ReaderProcesses
from twin.recipes import CrawlSection

LIMITS = CrawlSection(min_words=20)


def page(text: str, **fields) -> Page:
    return Page("https://a.example/x", text.encode(), "text/html", **fields)


@pytest.fixture
def readers() -> Iterator[ReaderProcesses]:
    with ReaderProcesses(1) as running:
        yield running


def reader_pids() -> list[int]:
    children = psutil.Process().children()
    return [one.pid for one in children if "reader_process" in " ".join(one.cmdline())]


def test_the_same_article_and_the_same_reasons(readers: ReaderProcesses) -> None:
    good = page(article("Good"))
    assert readers.read(good, LIMITS) == read_article(good, LIMITS)
    with pytest.raises(UnusableError, match="empty"):
        readers.read(page(" "), LIMITS)
    with pytest.raises(UnusableError, match="neither HTML, Markdown nor"):
        readers.read(Page("https://a.example/x", b"x", "image/png"), LIMITS)
    assert len(reader_pids()) == 1


def test_a_reader_that_dies_takes_one_page_with_it(readers: ReaderProcesses) -> None:
    good = page(article("Good"))
    readers.read(good, LIMITS)
    (pid,) = reader_pids()
    os.kill(pid, signal.SIGSTOP)  # it has the page, and will not get further
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(BrokenReaderError) as caught:
        readers.read(good, LIMITS)
    assert caught.value.reason == "the reader's process died (SIGKILL)"
    assert readers.read(good, LIMITS).title == "Good"
    assert len(reader_pids()) == 1 and reader_pids() != [pid]


def test_a_page_that_takes_for_ever_is_given_up(
    readers: ReaderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = page(article("Good"))
    readers.read(good, LIMITS)
    monkeypatch.setattr(reader_process, "MAX_SECONDS", 0.5)
    (pid,) = reader_pids()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BrokenReaderError) as caught:
        readers.read(good, LIMITS)
    assert caught.value.reason.startswith("not read within")
    monkeypatch.undo()
    assert readers.read(good, LIMITS).title == "Good"


def test_many_threads_share_the_readers(readers: ReaderProcesses) -> None:
    titles: list[str] = []

    def read(number: int) -> None:
        titles.append(readers.read(page(article(f"Number {number}")), LIMITS).title)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(12)]
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
        "from twin.recipes import CrawlSection; r = ReaderProcesses(1);"
        "r.read(Page('https://a.example/x', b'# T\\n\\n' + b'word ' * 99, 'text/markdown'),"
        " CrawlSection()); print('read', flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None and parent.stdout.readline() == b"read\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "it ends")
