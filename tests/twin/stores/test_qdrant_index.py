"""What only a server can do: be killed, refuse, ask to wait. A real process, spoken to by HTTP."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from tests.servers import free_port, index_server
from tests.twin.stores.chunks import DIMENSION, SPEC, document
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.settings import Settings
from twin.stores.qdrant_index import QdrantIndex

pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure:UserWarning")

PODS = document("pods", ["Every task is a pod of its own.", "A pod ends with an exit code."])
GATE = document("gate", ["The gate compares perplexity with the champion."])


def at(settings: Settings, url: str) -> QdrantIndex:
    given = {"index_url": url, "index_api_key": SecretStr("a-key")}
    return QdrantIndex.at(settings.model_copy(update=given), "toy")


def test_a_server_killed_in_mid_upsert_is_made_whole_by_the_next_writer(settings, tmp_path):
    folder, port = tmp_path / "data", free_port()
    new = document("pods", [f"Passage {n}." for n in range(400)], revision="r2")
    # Dies at its 100th point: of the 8 of the first documents, 1 record, and 400 chunks.
    with index_server(folder, port, "--die-after", "100") as (url, _):
        index = at(settings, url)
        with index.write(SPEC, DIMENSION) as writer:
            writer.upsert([PODS, GATE])
            writer.publish()
        with (
            pytest.raises(TryAgainError, match="does not answer"),
            index.write(SPEC, DIMENSION) as writer,
        ):
            writer.upsert([new])
    with index_server(folder, port) as (url, _):
        stored = list(index.read().stored_chunks())
        assert 50 < sum(chunk.revision == "r2" for chunk in stored) < 100
        assert index.state().documents["pods"].revision == ""  # known to be unfinished
        assert index.state().documents["gate"].revision == "r1"
        with index.write(SPEC, DIMENSION) as writer:
            writer.upsert([new])
            writer.publish()
        found = sorted(chunk.id for chunk in index.read().stored_chunks())
        assert found == sorted(chunk.id for item in (new, GATE) for chunk in item.chunks)
        assert index.state().documents["pods"] == new.state


class Refusing(BaseHTTPRequestHandler):
    """Answers everything with one status."""

    status = 429
    headers_sent: dict[str, str]

    def do_GET(self) -> None:
        self.send_response(self.status)
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        body = b'{"status": {"error": "Wrong input: dimension 8, not 384"}, "time": 0.0}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[type[Refusing], str]]:
    handler = type("Handler", (Refusing,), {"headers_sent": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "error", "told"),
    [
        (429, {"Retry-After": "3"}, TryAgainError, "answered 429"),
        (429, {}, TryAgainError, "answered 429"),
        (503, {}, TryAgainError, "answered 503"),
        (404, {}, TryAgainError, "answered 404"),
        (400, {}, BadDataError, "answered 400: Wrong input: dimension 8, not 384"),
        (401, {}, BadConfigurationError, "TWIN_INDEX_API_KEY"),
        (403, {}, BadConfigurationError, "TWIN_INDEX_API_KEY"),
    ],
)
def test_what_a_server_refuses_is_told_in_one_line(
    settings, refusing, status, headers, error, told
):
    handler, url = refusing
    handler.status, handler.headers_sent = status, headers
    with pytest.raises(error, match=told) as raised:
        at(settings, url).state()
    assert "a-key" not in str(raised.value)
