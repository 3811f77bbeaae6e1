"""The whole loop through a live Airflow: crawl to an answer, again for free, and again changed.

Slow (minutes): the only test in which the DAGs, the assets that connect them, the registry's
watcher, the real scheduler and the endpoint meet.
"""

import re
import time
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
from openai import APIStatusError, OpenAI

from tests.e2e.conftest import Stage

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(1500)]

STAGES = ("crawl", "features", "datasets", "training", "evaluation")


@pytest.fixture(scope="module")
def key(stage: Stage) -> str:
    return stage.key


@pytest.fixture(scope="module")
def client(stage: Stage, key: str, demo: tuple[str, float]) -> OpenAI:
    return OpenAI(base_url=f"{stage.endpoint}/v1", api_key=key, max_retries=0)


def served_version(client: OpenAI) -> str:
    [found] = [model for model in client.models.list() if model.id == "twin-tiny"]
    [version] = found.model_dump()["versions"]
    return str(version)


def test_the_demo_walks_every_stage_and_answers_with_sources(demo: tuple[str, float]) -> None:
    output, _ = demo
    for name in STAGES:
        assert f"{name}" in output
    assert "What is the rule about ballast?" in output
    assert "On ballast" in output, "the answer's sources are of the asked topic"
    assert "twin-tiny version 1" in output
    assert "perplexity" in output


def test_an_answer_carries_its_lineage(stage: Stage, key: str, client: OpenAI) -> None:
    answer = httpx.post(
        f"{stage.endpoint}/v1/answers",
        json={"question": "How is an anchor laid out?", "model": "twin-tiny"},
        headers={"authorization": f"Bearer {key}"},
        timeout=120,
    ).raise_for_status().json()  # fmt: skip
    assert answer["model_version"] == "1"
    assert answer["trace_id"].startswith("tr-")
    assert {"url", "title", "text", "chunk_id", "document_id", "revision"} <= set(
        answer["sources"][0]
    )
    listed = stage.twin("warehouse", "list", "--json")
    assert answer["sources"][0]["document_id"] in listed.stdout, listed.stderr


def test_the_official_client_works_in_both_modes(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "What do you write in the log?"}]
    create = partial(client.chat.completions.create, model="twin-tiny", messages=messages)
    whole = create(temperature=0)
    assert whole.choices[0].finish_reason in {"stop", "length"}
    assert whole.usage.completion_tokens > 0
    assert whole.choices[0].message.content
    parts = list(create(temperature=0, stream=True))
    assert parts[-1].choices[0].finish_reason in {"stop", "length"}
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == whole.choices[0].message.content


def test_wrong_input_gets_a_4xx_with_a_json_body(stage: Stage, key: str, client: OpenAI) -> None:
    messages = [{"role": "user", "content": "a" * 100_000}]
    with pytest.raises(APIStatusError) as caught:
        client.chat.completions.create(model="twin-tiny", messages=messages)
    assert 400 <= caught.value.status_code < 500
    headers = {"authorization": f"Bearer {key}"}
    url = f"{stage.endpoint}/v1/answers"
    as_json = {**headers, "content-type": "application/json"}
    malformed = httpx.post(url, content=b"{not json", headers=as_json)
    assert malformed.status_code == 400
    assert malformed.json()["error"]["message"]
    assert httpx.post(url, json={"question": "x"}).status_code == 401
    unknown = httpx.post(url, json={"question": "x", "model": "twin-nobody"}, headers=headers)
    assert unknown.status_code == 404


def test_a_second_demo_changes_nothing_and_is_quick(
    stage: Stage, demo: tuple[str, float], client: OpenAI
) -> None:
    _, first_seconds = demo
    started = time.monotonic()
    again = stage.twin("laptop", "demo", "--recipe", "tiny", seconds=600)
    assert again.returncode == 0, again.stdout + again.stderr
    unchanged = {stage for stage in STAGES if re.search(rf"{stage} +unchanged", again.stdout)}
    # What a caller has said of an answer meanwhile becomes a candidate pair, after the samples.
    assert unchanged >= set(STAGES) - {"datasets"}, again.stdout
    assert served_version(client) == "1"
    assert time.monotonic() - started < first_seconds


@pytest.mark.nightly
def test_a_new_article_becomes_a_new_version_in_service(
    stage: Stage, project: Path, client: OpenAI
) -> None:
    """Buys: the loop a second time, from a new article to an answer that quotes it. Each
    stage's own tests have an incremental second run."""
    from tests.e2e.conftest import article

    words = "hawser fender bollard gangway tide spring breast line"
    (project / "articles" / "mooring.md").write_text(article("mooring", words))
    done = stage.twin(
        "laptop", "demo", "--recipe", "tiny", "--question", "What of mooring?", seconds=1200
    )
    found = stage.twin("rag", "search", "the bollard and the hawser", "--recipe", "tiny", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "On mooring" in done.stdout, "the served twin follows the new index"
    assert found.returncode == 0, found.stderr


def test_down_leaves_no_process(stage: Stage, client: OpenAI) -> None:
    home = stage.environment["TWIN_LAPTOP_HOME"]

    def ours() -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if _belongs(process, home)]

    assert ours()
    down = stage.twin("laptop", "down", seconds=180)
    assert down.returncode == 0, down.stderr
    left = ours()
    assert not left, [process.cmdline() for process in left]


def _belongs(process: psutil.Process, home: str) -> bool:
    try:
        return process.environ().get("TWIN_HOME") == home
    except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
