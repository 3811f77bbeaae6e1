"""Hosts whose names do not exist, and name servers that are away: by the system's own resolver."""

import subprocess
from pathlib import Path

import pytest

from tests.twin.crawl.crawls import Crawl
from tests.twin.resolver import ALONE, UNKNOWN, needs_a_name_server, needs_a_network

ROOT = Path(__file__).parents[4]


@needs_a_name_server
def test_a_mistyped_host_fails_at_once(crawl: Crawl) -> None:
    """Whatever names it; a retry would wait for an hour."""
    entries = ("start_urls", "sitemaps", "feeds", "archives")
    sources = [
        {"kind": "web", "name": f"site-{number}", entry: [f"https://{UNKNOWN}/blog"]}
        for number, entry in enumerate(entries)
    ]
    done = crawl(*sources, backoff_seconds=3600, max_wait_seconds=3600)
    assert done.code == 65
    for source in sources:
        assert (
            f"source {source['name']!r}: https://{UNKNOWN}/blog was not fetched: there is no host "
            f"{UNKNOWN}: is its name spelled right?"
        ) in done.line


#: The loopback interface is raised by its flags, as `ip link set lo up` does it.
CRAWL_ALONE = f"""
import fcntl, pathlib, socket, struct, sys, tempfile
from pydantic import SecretStr
from tests import servers
from tests.twin.crawl.crawls import recipe_file, run_crawl
from twin.settings import Settings

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plug:
    fcntl.ioctl(plug, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
folder = pathlib.Path(tempfile.mkdtemp())
source = {{"kind": "web", "name": "site", "start_urls": ["https://{UNKNOWN}/"]}}
recipe = recipe_file(folder, [source], retries=1)
with servers.warehouse_server(folder / "data") as (uri, _, _):
    done = run_crawl(Settings(home=folder / "home", mongo_uri=SecretStr(uri)), recipe)
print(done.code, done.line)
"""


@pytest.mark.nightly
@needs_a_network
def test_a_name_server_that_is_away_is_worth_another_try() -> None:
    """Nightly buys a whole crawl in a network without a way out; `test_host_names` tells the two
    answers of a resolver apart each time."""
    done = subprocess.run(
        [*ALONE, "-c", CRAWL_ALONE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("75 "), done.stderr
    assert "cannot be looked up for now" in done.stdout
