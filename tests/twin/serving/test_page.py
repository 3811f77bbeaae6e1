"""The page's files as they are served; in a browser it is tested by `test_page_in_a_browser`."""

import hashlib
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from tests.twin.serving.scripted import ScriptedBackend
from twin.serving import page
from twin.serving.access import Keys
from twin.serving.api import create_app

FOLDER = Path(page.__file__).parent / "page_files"
VENDORED = {
    "marked-18.2.1.mjs": "5371fea86fd0656b4fc7bea7c94c663109d82789b69433eeee78d42895aa44de",
    "dompurify-3.5.0.mjs": "5e8c53cd086a012531fc754ee6a7ad7a02e8a06fc4dadd805b912e128c3f6c58",
}


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(create_app(ScriptedBackend(), Keys([SecretStr("k")]), 1_000))


def test_the_page_needs_no_key_and_names_its_files_by_their_digest(client):
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    names = re.findall(r'(?:src|href)="(/page/[^"]+)"', response.text)
    assert len(names) == 3
    for name in names:
        asset = client.get(name)
        assert asset.status_code == 200
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_page_that_is_known_is_not_sent_again(client):
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_monitor_may_ask_for_its_head(client):
    response = client.head("/")
    assert (response.status_code, response.content) == (200, b"")


def test_a_file_by_the_digest_of_another_release_is_not_kept(client):
    asset = client.get("/page/0123456789abcdef/main.js")
    assert asset.headers["cache-control"] == "no-cache"
    assert asset.headers["content-type"] == "text/javascript; charset=utf-8"


@pytest.mark.parametrize(
    "path",
    [
        "/page/x/none.js",
        "/page/x/../page.py",
        "/page/x/%2e%2e/page.py",
        "/page/x/index.html",
        "/page/x/vendor",
        "/page/x/",
    ],
)
def test_nothing_else_is_served(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["message"]


def test_the_policy_lets_in_nothing_from_elsewhere(client):
    for path in ("/", "/page/x/main.js"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "http" not in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_every_file_has_a_media_type():
    suffixes = {path.suffix for path in FOLDER.rglob("*") if path.is_file()}
    assert suffixes <= page.TYPES.keys()


def test_what_is_vendored_is_what_was_published_with_its_licence():
    folder = FOLDER / "vendor"
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mjs")
    }
    assert found == VENDORED
    for name in VENDORED:
        assert (folder / f"{name.partition('-')[0]}-LICENSE.txt").is_file()
