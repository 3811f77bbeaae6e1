"""Changed documents, on the embedded server: the eighth crawl takes as long as the first.

The server remembers each write command for a while and goes through all of them with every further
one, so what counts is how many commands a change takes. In processor seconds of the server, which
a busy disk does not change.
"""

from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from tests import servers
from tests.twin.stores.documents import document
from twin.crawl.web.batches import LARGEST
from twin.domain.crawl import Change
from twin.settings import Settings
from twin.stores.warehouse import Warehouse, open_warehouse
from twin.stores.warehouse_documents import Upsert

DOCUMENTS, ROUNDS, WORDS = 1_000, 8, 360


@pytest.mark.timeout(600)
def test_a_changed_document_takes_as_long_after_many_changes(tmp_path: Path) -> None:
    with servers.warehouse_server(tmp_path / "data") as (uri, _, pid):
        server = psutil.Process(pid)
        settings = Settings(home=tmp_path, mongo_uri=SecretStr(uri))
        with open_warehouse(settings) as warehouse:
            warehouse.prepare()
            change_all(warehouse, 0)
            milliseconds = []
            for number in range(1, ROUNDS + 1):
                before = seconds_of(server)
                assert set(change_all(warehouse, number)) == {Change.CHANGED}
                milliseconds.append(1000 * (seconds_of(server) - before) / DOCUMENTS)
    print("\nserver CPU ms a changed document: " + ", ".join(f"{one:.2f}" for one in milliseconds))
    assert sum(milliseconds[-2:]) <= 1.5 * sum(milliseconds[:2])


def change_all(warehouse: Warehouse, number: int) -> list[Change]:
    """Give every document a text of this number, by groups as large as a crawl's."""
    text = f"Round {number}. " * WORDS
    upserts = [Upsert(document(f"post-{n}", text)) for n in range(DOCUMENTS)]
    starts = range(0, DOCUMENTS, LARGEST)
    groups = (warehouse.upsert_all(upserts[at : at + LARGEST]) for at in starts)
    return [change for group in groups for change in group]


def seconds_of(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
