"""Buckets over the S3 protocol: what folders have, below a prefix."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from s3fs import S3FileSystem

from tests.twin.crawl.formats.pages import words
from tests.twin.crawl.formats.pdfs import bytes_of, report
from tests.twin.crawl.sources.jobs import documents, held, job, run, tally
from tests.twin.crawl.sources.s3_server import S3Server, s3_server
from tests.twin.resolver import UNKNOWN, needs_a_name_server
from twin.crawl.page import Page
from twin.crawl.run import CrawlOptions, crawl
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo, TryAgainError
from twin.settings import Settings


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    S3FileSystem.clear_instance_cache()  # one process, one connection; here one a test
    with s3_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret-but-hide-it")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        server.objects.update(
            {
                "essays/tides.md": f"# Tides\n\n{words()}".encode(),
                "essays/2024/a b.md": f"# Spaces\n\n{words()}".encode(),
                "essays/2024//odd.md": f"# Odd\n\n{words()}".encode(),
                "essays/2024/report.pdf": bytes_of(report()),
                "essays/": b"",
                "essays/pixels.png": b"png",
                "essays-old/other.md": f"# Not below the prefix\n\n{words()}".encode(),
            }
        )
        yield server


def bucket(**fields: Any) -> dict[str, Any]:
    return {"kind": "bucket", "uri": "s3://papers/essays", **fields}


def test_objects_become_documents(stores_settings: Settings, s3: S3Server) -> None:
    run(stores_settings, bucket())
    assert {url: item.title for url, item in documents(stores_settings).items()} == {
        "s3://papers/essays/tides.md": "Tides",
        "s3://papers/essays/2024/a%20b.md": "Spaces",
        "s3://papers/essays/2024//odd.md": "Odd",
        "s3://papers/essays/2024/report.pdf": "On the Making of Tests",
    }
    assert {item.platform for item in documents(stores_settings).values()} == {"files"}


def test_a_prefix_of_urls_and_patterns(stores_settings: Settings, s3: S3Server) -> None:
    run(stores_settings, bucket(url_prefix="https://e.org/", include=["2024/*.md"]))
    assert set(documents(stores_settings)) == {"https://e.org/2024/a%20b.md"}


def test_unchanged_objects_are_not_downloaded_again(
    stores_settings: Settings, s3: S3Server
) -> None:
    run(stores_settings, bucket())
    assert len(s3.read) == 4
    s3.read.clear()
    with pytest.raises(NothingToDo, match="all 4 documents"):
        run(stores_settings, bucket())
    assert s3.read == []
    s3.objects["essays/tides.md"] = f"# Tides\n\nNew. {words()}".encode()
    done = run(stores_settings, bucket())
    assert s3.read == ["essays/tides.md"]
    assert tally(done) == {"changed": 1, "unchanged": 3}


def test_large_and_forbidden_objects_fail_alone(stores_settings: Settings, s3: S3Server) -> None:
    s3.objects["essays/large.md"] = b"word " * 20_000
    s3.refuse.add("essays/tides.md")
    done = run(stores_settings, bucket(), max_failed_share=0.6, max_page_bytes=50_000)
    assert tally(done) == {"added": 3, "failed": 2}
    reasons = held(stores_settings)
    assert reasons["s3://papers/essays/large.md"] == (
        "100,000 bytes, more than crawl.max_page_bytes = 50,000"
    )
    assert "access refused" in reasons["s3://papers/essays/tides.md"]
    assert "essays/large.md" not in s3.read


def test_a_bucket_that_goes_away_is_worth_another_try(
    stores_settings: Settings, s3: S3Server
) -> None:
    one = job(stores_settings, bucket())
    read: list[str] = s3.read

    class Stops(list):  # type: ignore[type-arg]
        def append(self, key: str) -> None:
            read.append(key)
            s3.down = True

    s3.read = Stops()
    with pytest.raises(TryAgainError, match=r"source 'source': s3://papers/essays"):
        crawl(one, CrawlOptions())
    assert len(documents(stores_settings)) == 1
    s3.down, s3.read = False, []
    done = run(stores_settings, bucket())
    assert tally(done) == {"added": 3, "unchanged": 1}
    assert held(stores_settings) == {}


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"uri": "s3://papers/nowhere"}, BadDataError, "no object in s3://papers/nowhere matches"),
        ({"uri": "s3://nobody"}, BadDataError, "no object in s3://nobody matches"),
        ({"include": ["*.docx"]}, BadDataError, r"matches \*\.docx"),
    ],
)
def test_nothing_to_read_is_said(
    stores_settings: Settings, s3: S3Server, fields: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run(stores_settings, bucket(**fields))


def test_a_bucket_that_refuses(stores_settings: Settings, s3: S3Server) -> None:
    s3.down = True
    with pytest.raises((TryAgainError, BadConfigurationError)) as caught:
        run(stores_settings, bucket())
    assert "source 'source': s3://papers/essays" in str(caught.value)
    assert "not-a-secret" not in str(caught.value)


def test_an_unchanged_object_leaves_when_it_expires(
    stores_settings: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its version is known, and it is not read again before that day."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    front = f"---\ntitle: Soon\nexpiryDate: {ends:%Y-%m-%d %H:%M:%S}\n---\n\n"
    s3.objects["essays/soon.md"] = f"{front}{words()}".encode()
    run(stores_settings, bucket(include=["*.md"]))
    assert {one.title for one in documents(stores_settings).values()} == {"Tides", "Soon"}
    asked = list(s3.read)
    with pytest.raises(NothingToDo):
        crawl(job(stores_settings, bucket(include=["*.md"])), CrawlOptions())
    assert s3.read == asked
    later = ends + timedelta(seconds=1)
    monkeypatch.setattr("twin.crawl.page_intake.now", lambda: later)
    monkeypatch.setattr("twin.crawl.sources.bucket.Page", partial(Page, fetched=later))
    done = run(stores_settings, bucket(include=["*.md"]))
    assert tally(done)["gone"] == 1
    assert {one.title for one in documents(stores_settings).values()} == {"Tides"}


@needs_a_name_server
def test_an_endpoint_that_there_is_not_is_no_reason_to_try_again(
    stores_settings: Settings, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{UNKNOWN}")
    with pytest.raises(BadConfigurationError, match=rf"no host {UNKNOWN}.*AWS_ENDPOINT_URL"):
        run(stores_settings, bucket())
