import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from pydantic import SecretStr

from tests import servers
from twin.domain.answer import Answer
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.stores.endpoint import Endpoint


@pytest.fixture
def endpoint(settings):
    def at(url):
        keyed = {"endpoint_url": url, "api_keys": (SecretStr("topsecret"),)}
        return Endpoint(settings.model_copy(update=keyed))

    return at


def test_without_a_key_no_rollout_is_begun(settings):
    with pytest.raises(BadConfigurationError, match="TWIN_API_KEYS"):
        Endpoint(settings)


def test_an_endpoint_that_is_down_is_tried_again(endpoint):
    with pytest.raises(TryAgainError, match="does not answer") as error:
        endpoint(f"http://127.0.0.1:{servers.free_port()}").weights("twin-a")
    assert "topsecret" not in str(error.value)


def test_another_server_at_its_place_is_no_endpoint(endpoint, tmp_path):
    with servers.web_server(tmp_path) as url:
        with pytest.raises(BadDataError, match="refused /v1/rollouts/twin-a: HTTP 404"):
            endpoint(url).weights("twin-a")
        with pytest.raises(BadDataError, match="refused /v1/answers: HTTP 501"):
            endpoint(url).ask("twin-a", "Why?", 5)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_may_be_another_one_later_says_nothing_of_the_model(settings, status):
    refusal = {"error": {"message": "requests are used up"}}
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=refusal))
    http = httpx.Client(base_url="http://endpoint", transport=transport)
    keyed = settings.model_copy(update={"api_keys": (SecretStr("topsecret"),)})
    with pytest.raises(TryAgainError, match=f"HTTP {status}: requests are used up"):
        Endpoint(keyed, http).ask_anything("twin-a", "Why?", 5)


def test_a_probe_that_the_texts_say_nothing_of_is_named_as_such(endpoint):
    answer = Answer(
        id="a",
        question="Why?",
        answer="I have not written about that.",
        sources=(),
        grounded=False,
        model="twin-a",
        model_version="1",
        trace_id="tr-1",
        prompt_tokens=0,
        completion_tokens=0,
    )

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer.model_dump_json().encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(BadDataError, match=r"set serving\.probe_question to one they answer"):
            endpoint(f"http://127.0.0.1:{server.server_port}").ask("twin-a", "Why?", 5)
        server.shutdown()
