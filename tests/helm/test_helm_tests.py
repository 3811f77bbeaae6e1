"""The pods of `helm test` tell whether stores and endpoint answer."""

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests import servers
from tests.helm.manifests import (
    every_values_file,
    find,
    only,
)


class Endpoint(BaseHTTPRequestHandler):
    """Answers as the endpoint does to somebody with the key ``right``."""

    open_to_all = False
    models = ()
    answers = True

    def do_GET(self):
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        good = self.path == "/healthz" or key == "right" or self.open_to_all
        self.send_response(200 if good else 401)
        self.end_headers()
        if good:
            data = [{"id": name} for name in self.models]
            self.wfile.write(json.dumps({"data": data}).encode())

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = self.headers["Authorization"] == "Bearer right"
        asked = body["model"] in self.models and body["messages"][0]["content"]
        good = self.path == "/v1/chat/completions" and right and asked and self.answers
        self.send_response(200 if good else 503)
        self.end_headers()

    def log_message(self, *args):
        pass


class TestHelmTests:
    """Pods of `helm test`: what they run, run here."""

    def script(self, render, name, values=None):
        pod = only(render(values), "Pod", f"twin-test-{name}")
        *command, program = pod["spec"]["containers"][0]["args"]
        assert command == ["python", "-c"]
        return program

    def run(self, program, **environment):
        return subprocess.run(
            [sys.executable, "-c", program], env={"PATH": "/usr/bin", **environment},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    @every_values_file
    def test_they_run_as_jobs_do(self, render, values):
        manifests = render(values)
        accounts = {
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in find(manifests, "ServiceAccount")
        }
        found = find(manifests, "Pod")
        assert {pod["metadata"]["name"] for pod in found} == {
            "twin-test-stores",
            "twin-test-endpoint",
        }
        for pod in found:
            assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
            assert (pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]) in accounts

    def test_they_can_be_left_out(self, render):
        assert not find(render(None, "tests.enabled=false"), "Pod")

    @pytest.fixture
    def endpoint(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Endpoint,), {}))
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        server.server_close()

    def ask(self, render, port, key):
        url = f"http://127.0.0.1:{port}"
        return self.run(
            self.script(render, "endpoint"),
            TWIN_ENDPOINT_URL=url,
            TWIN_API_KEYS=f"{key}, other",
            SECONDS_TO_COME_UP="1",
        )

    def test_endpoint_that_lives_and_keeps_strangers_out(self, render, endpoint):
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count(": yes") == 3

    def test_each_model_is_asked_a_question(self, render, endpoint):
        endpoint.RequestHandlerClass.models = ("twin-handbook", "twin-jane")
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "twin-handbook answers: yes" in done.stdout
        assert "twin-jane answers: yes" in done.stdout
        endpoint.RequestHandlerClass.answers = False
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 1
        assert "twin-jane answers: NO: 503 instead of 200" in done.stdout

    def test_endpoint_with_another_key(self, render, endpoint):
        done = self.ask(render, endpoint.server_port, "wrong")
        assert done.returncode == 1
        assert "a caller with a key is served: NO: 401 instead of 200" in done.stdout

    def test_endpoint_open_to_all(self, render, endpoint):
        endpoint.RequestHandlerClass.open_to_all = True
        done = self.ask(render, endpoint.server_port, "right")
        assert done.returncode == 1
        assert "a caller without a key is refused: NO: 200 instead of 401" in done.stdout

    def test_endpoint_that_is_not_there(self, render, endpoint):
        done = self.ask(render, 1, "right")
        assert done.returncode == 1 and "it lives: NO: " in done.stdout

    def test_stores_that_all_answer(self, render, endpoint, tmp_path):
        endpoint.RequestHandlerClass.open_to_all = True  # stands in for Qdrant and MLflow
        url = f"http://127.0.0.1:{endpoint.server_port}"
        with servers.warehouse_server(tmp_path / "warehouse") as (uri, _, _):
            done = self.run(
                self.script(render, "stores"),
                TWIN_MONGO_URI=uri,
                TWIN_INDEX_URL=url,
                TWIN_MLFLOW_TRACKING_URI=url,
                TWIN_FILES_URI=str(tmp_path),
                HOME=str(tmp_path),
            )
        assert done.returncode == 0, done.stdout + done.stderr
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        assert lines["warehouse"] == "0 documents"
        assert lines["index"] == f"200 from {url}/collections"
        assert lines["mlflow"] == f"200 from {url}/health"

    def test_stores_that_do_not_answer_are_each_named(self, render, tmp_path):
        done = self.run(
            self.script(render, "stores"),
            TWIN_MONGO_URI="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500",
            TWIN_INDEX_URL="http://127.0.0.1:1",
            TWIN_MLFLOW_TRACKING_URI="http://127.0.0.1:1",
            TWIN_FILES_URI=str(tmp_path),
            HOME=str(tmp_path),
        )
        assert done.returncode == 1
        lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
        assert lines["files"] == f"0 names in {tmp_path}"
        for store in ("warehouse", "index", "mlflow"):
            assert lines[store].startswith("NO ANSWER")
