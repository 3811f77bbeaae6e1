"""Our crawl against a bare Scrapy spider that only downloads: same site, same run, in turns.

Both are whole processes from start to end with the same concurrency, and CPU time is that of all
of them but for the site and the warehouse's server. The site is generated and on loopback. Figures
are ratios, because machines differ; what is compared is said with each:

- a site that answers as fast as it can: then it is CPU that counts, and ours reads and stores
  what the other throws away;
- a site that takes its time to answer, as all real ones do: then it is waiting that counts, and
  reading must happen meanwhile;
- the same site crawled again, unchanged.

`TWIN_BENCH_MEMORY=1` also crawls 20,000 pages, to see that memory stays flat.
"""

import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from tests import servers
from tests.bench import generated_site
from tests.twin.crawl.crawls import crawl_command, environment, recipe_file, web
from twin.settings import Settings
from twin.stores.warehouse import open_warehouse

PAGES, WORDS, CONCURRENCY, TURNS = 2_000, 360, 8, 2
#: A page of a fast real site; its time to first byte is mostly more.
DELAY_MS = 50
FOLDER = Path(__file__).parent


@contextmanager
def site(folder: Path, pages: int, delay: int) -> Iterator[str]:
    port = servers.free_port()
    command = [sys.executable, str(FOLDER / "generated_site.py"), str(port), str(pages)]
    with servers.server([*command, str(WORDS), str(delay)], port, folder / "site.log"):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.warehouse_server(tmp_path_factory.mktemp("warehouse") / "data") as (found, _, _):
        yield found


class Runs:
    """Crawls of the same pages."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._cpu = 0.0

    def add(self, crawl: Callable[[], float]) -> None:
        """Run one; it returns its seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._seconds.append(crawl())
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cpu += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def __truediv__(self, other: "Runs") -> float:
        return sum(self._seconds) / sum(other._seconds)

    def __str__(self) -> str:
        pages = PAGES * len(self._seconds)
        return (
            f"{pages / sum(self._seconds):.0f} pages/s, {1000 * self._cpu / pages:.1f} CPU ms each"
        )


def timed(command: list[str], env: dict[str, str]) -> tuple[float, str]:
    started = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 99}, done.stderr
    return time.monotonic() - started, done.stdout


def bare(url: str) -> float:
    """Seconds of the bare spider."""
    script = str(FOLDER / "bare_spider.py")
    command = [sys.executable, script, f"{url}/sitemap.xml", str(CONCURRENCY)]
    seconds, output = timed(command, dict(os.environ))
    assert output.split() == [str(PAGES)]
    return seconds


def prepared(folder: Path, uri: str, url: str) -> tuple[Settings, list[str]]:
    folder.mkdir()
    settings = Settings(
        home=folder / "home", mongo_uri=SecretStr(uri), mongo_database=f"b{uuid.uuid4().hex[:8]}"
    )
    source = web(url, sitemaps=[f"{url}/sitemap.xml"], follow_links=False)
    limits = {"max_pages": 50_000, "concurrency_per_host": CONCURRENCY}
    return settings, crawl_command(recipe_file(folder, [source], **limits))


def ours(settings: Settings, command: list[str], pages: int = PAGES) -> float:
    seconds, _ = timed(command, environment(settings))
    with open_warehouse(settings) as warehouse:
        assert len(warehouse.live_revisions("tester")) == pages
    return seconds


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("delay", [0, DELAY_MS])
def test_pages_per_second(delay: int, tmp_path: Path, uri: str) -> None:
    size = len(generated_site.page(1, WORDS))
    download, first, again = Runs(), Runs(), Runs()
    with site(tmp_path, PAGES, delay) as url:
        for turn in range(TURNS):
            settings, command = prepared(tmp_path / f"ours{turn}", uri, url)
            download.add(partial(bare, url))
            first.add(partial(ours, settings, command))
            again.add(partial(ours, settings, command))
    print(
        f"\n{PAGES} pages of {size:,} bytes, {CONCURRENCY} at a time, {delay} ms to answer, "
        f"{TURNS} turns: bare Scrapy {download}; ours {first} ({download / first:.2f}x); "
        f"again, unchanged, {again} ({download / again:.2f}x)"
    )
    if delay:
        assert download / first >= 0.8
        assert download / again >= 0.8


@pytest.mark.skipif("TWIN_BENCH_MEMORY" not in os.environ, reason="takes minutes")
@pytest.mark.timeout(1800)
def test_memory_is_flat(tmp_path: Path, uri: str) -> None:
    peaks = {}
    for pages in (PAGES, 10 * PAGES):
        with site(tmp_path, pages, 0) as url:
            settings, command = prepared(tmp_path / str(pages), uri, url)
            peaks[pages] = peak_memory(settings, command)
            ours(settings, command, pages)  # the second crawl finds all of it there
    print("\n" + "; ".join(f"{pages:,} pages: {peak:.0f} MiB" for pages, peak in peaks.items()))
    assert peaks[10 * PAGES] <= 1.2 * peaks[PAGES]


def peak_memory(settings: Settings, command: list[str]) -> float:
    """Largest memory of the crawl and its reader together, in MiB, while it runs."""
    process = subprocess.Popen(command, env=environment(settings), stderr=subprocess.PIPE)
    drained = threading.Thread(target=lambda: process.stderr and process.stderr.read())
    drained.start()
    peak = 0
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.2)
    drained.join()
    assert process.returncode == 0
    return peak / 2**20


def tree_memory(pid: int) -> int:
    """Bytes of a process and its children, shared pages counted once (PSS): a child that has just
    been forked shares all of its parent's."""
    try:
        root = psutil.Process(pid)
        return sum(each.memory_full_info().pss for each in [root, *root.children(recursive=True)])
    except psutil.NoSuchProcess:
        return 0
