"""The page *Twin* in Airflow's API server: who may see it, what it shows, what it never does."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow import plugins_manager
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from airflow.models.dagrun import DagRun
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from fastapi.testclient import TestClient
from sqlalchemy import delete

from include.promotion import RegistryError
from include.twin_page import standing

NOW = datetime.now(UTC)
FIGURE = "errors: undecided, +0.00 (-0.20 to +0.20) over 9 pairs"


def minutes(count: float) -> str:
    return (NOW + timedelta(minutes=count)).isoformat()


def version(number: str) -> dict[str, Any]:
    return {"version": number, "weights_uri": "s3://b/w", "recipe": {"secret": "not-for-browsers"}}


SETTLED = {
    "model": "twin-handbook",
    "generation": 4,
    "versions": [version("2")],
    "weights": {"2": 100},
    "previous": version("1"),
    "history": [
        {
            "time": minutes(-60),
            "run_id": "r",
            "event": "failed",
            "version": "3",
            "message": "answers <b>worse</b>",
        }
    ],
}
MOVING = SETTLED | {
    "generation": 6,
    "versions": [version("2"), version("3")],
    "weights": {"2": 90, "3": 10},
    "lease": {
        "token": "lease-secret",
        "run_id": "r",
        "place": "p",
        "pid": 1,
        "expires": minutes(600),  # of when this module was imported: other tests take their time
    },
    "progress": {"version": "3", "step": "10%", "since": minutes(-1), "figures": [FIGURE]},
}


@pytest.fixture(scope="module")
def server() -> Iterator[TestClient]:
    """Airflow's API server with its plugins, in this process."""
    initdb()
    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def files(server: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file store; beside it neither registry nor endpoint is there."""
    monkeypatch.setenv("AIRFLOW__TWIN__FILES_URI", tmp_path.as_uri())
    monkeypatch.setenv("AIRFLOW__TWIN__MLFLOW_URL", "http://user:pass-secret@127.0.0.1:9")
    monkeypatch.setenv("AIRFLOW__TWIN__ENDPOINT_URL", "http://127.0.0.1:9")
    for cached in (standing._champions, standing._seldom, standing._endpoint_fault):
        cached.cache_clear()
    (tmp_path / "rollouts").mkdir()
    yield tmp_path
    server.cookies.clear()


def as_user(role: str | None) -> dict[str, str]:
    user = SimpleAuthManagerUser(username="ann", role=role)
    return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user)}"}


def keep(files: Path, state: dict[str, Any]) -> None:
    (files / "rollouts" / "twin-handbook.json").write_text(json.dumps(state), encoding="utf-8")


def shown(server: TestClient, role: str = "USER") -> str:
    answer = server.get("/twin/standing", headers=as_user(role))
    assert answer.status_code == 200, answer.text
    return answer.text


def buttons(text: str) -> dict[str, dict[str, str]]:
    """The attributes of each enabled button, by action."""
    found = {}
    for tag in re.findall(r"<button[^>]*>", text):
        if not re.search(r"\sdisabled", tag):
            named = dict(re.findall(r'data-([a-z]+)="([^"]*)"', tag))
            found[named["action"]] = named
    return found


def test_airflow_mounts_the_page_and_names_it_in_the_menu() -> None:
    apps, _ = plugins_manager.get_fastapi_plugins()
    assert [app["url_prefix"] for app in apps] == ["/twin"]
    (plugin,) = [each for each in plugins_manager._get_plugins()[0] if each.name == "twin_page"]
    assert plugin.external_views[0]["href"] == "/twin/"
    assert not plugins_manager.get_import_errors()


def test_the_menu_is_what_the_web_ui_asks_for(server: TestClient, files: Path) -> None:
    found = server.get("/api/v2/plugins", headers=as_user("ADMIN")).json()["plugins"]
    (page,) = [each for each in found if each["name"] == "twin_page"]
    assert [(view["name"], view["href"]) for view in page["external_views"]] == [("Twin", "/twin/")]
    assert (
        "url_route" not in page["external_views"][0] or not page["external_views"][0]["url_route"]
    )


@pytest.mark.parametrize("path", ["standing", "page.js", "page.css", "nothing"])
def test_nobody_without_a_login_gets_anything(server: TestClient, files: Path, path: str) -> None:
    answer = server.get(f"/twin/{path}")
    assert answer.status_code == (404 if path == "nothing" else 401)
    refused = server.get(f"/twin/{path}", headers={"Authorization": "Bearer made-up"})
    assert refused.status_code in (403, 404)
    assert "twin-handbook" not in answer.text + refused.text


def test_who_opens_the_page_without_a_login_is_sent_to_it(server: TestClient, files: Path) -> None:
    answer = server.get("/twin/", follow_redirects=False)
    assert answer.status_code == 307
    assert answer.headers["location"].startswith("../api/v2/auth/login?next=http")


def test_whoever_may_not_read_the_dag_is_refused(server: TestClient, files: Path) -> None:
    assert server.get("/twin/standing", headers=as_user(None)).status_code == 403
    assert server.get("/twin/", headers=as_user(None)).status_code == 403


def test_readers_see_no_button_and_start_nothing(server: TestClient, files: Path) -> None:
    keep(files, MOVING)
    assert buttons(shown(server, "VIEWER")) == {}
    assert set(buttons(shown(server, "USER"))) == {"pause", "abort"}
    body = {"logical_date": None, "conf": {"recipe": "handbook", "action": "abort"}}
    answer = server.post("/api/v2/dags/steering/dagRuns", json=body, headers=as_user("VIEWER"))
    assert answer.status_code == 403


def test_the_page_itself_changes_nothing(server: TestClient, files: Path) -> None:
    for path in ("", "standing", "page.js"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = server.request(method, f"/twin/{path}", headers=as_user("ADMIN"))
            assert answer.status_code == 405, (method, path)


def test_a_rollout_is_shown_live_and_nothing_secret_with_it(
    server: TestClient, files: Path
) -> None:
    keep(files, MOVING)
    text = shown(server)
    assert re.search(r"<td>2</td><td class=\"n\">90%</td><td>serves</td>", text)
    assert re.search(r"<td>3</td><td class=\"n\">10%</td><td>is brought in</td>", text)
    assert "Rollout under way</h3>" in text
    assert "Version 3: 10%" in text
    assert FIGURE in text
    assert "answers &lt;b&gt;worse" in text
    assert "secret" not in text
    assert 'href="http://127.0.0.1:9"' in text, "MLflow, without its credentials"


def test_what_can_be_done_follows_from_the_state(server: TestClient, files: Path) -> None:
    keep(files, SETTLED)
    assert {action: each["version"] for action, each in buttons(shown(server)).items()} == {
        "rollback": "1"
    }
    keep(files, MOVING | {"wish": "pause"})
    text = shown(server)
    assert set(buttons(text)) == {"resume", "abort"}
    assert "under way, paused" in text
    keep(files, MOVING | {"wish": "abort"})
    text = shown(server)
    assert buttons(text) == {}
    assert "being ended" in text
    # Its job was killed, and nobody renews the lease.
    broken = MOVING["lease"] | {"expires": minutes(-1)}  # type: ignore[operator]
    keep(files, MOVING | {"lease": broken})
    text = shown(server)
    assert set(buttons(text)) == {"abort"}
    assert "version 3 was broken off" in text
    keep(files, MOVING | {"lease": None, "awaits": "3"})
    text = shown(server)
    assert "Version 3 waits for approval" in text
    assert FIGURE in text
    assert "broken off" not in text
    assert {action: each["version"] for action, each in buttons(text).items()} == {"abort": "3"}
    (files / "rollouts" / "twin-handbook.json").unlink()
    text = shown(server)
    assert "No version is in service" in text
    assert buttons(text) == {}


def test_a_button_means_another_run_once_something_has_changed(
    server: TestClient, files: Path
) -> None:
    keep(files, MOVING)
    first = buttons(shown(server))["pause"]["run"]
    assert first.startswith("pause-handbook-")
    assert buttons(shown(server))["pause"]["run"] == first, "nothing has changed"
    later = MOVING["progress"] | {"since": minutes(0)}  # type: ignore[operator]
    keep(files, MOVING | {"progress": later})
    assert buttons(shown(server))["pause"]["run"] != first
    keep(files, MOVING | {"generation": 7})
    assert buttons(shown(server))["pause"]["run"] != first


@pytest.fixture
def press(server: TestClient) -> Iterator[Callable[..., None]]:
    """Note a run that a button has started, of which ``ended`` says whether it is over."""
    made: list[str] = []

    def note(recipe: str, *, ended: bool = True) -> None:
        run = f"pause-{recipe}-test-{len(made)}"
        made.append(run)
        with create_session() as session:
            noted = DagRun(
                dag_id=standing.STEERING,
                run_id=run,
                run_type=DagRunType.MANUAL,
                state=DagRunState.SUCCESS if ended else DagRunState.RUNNING,
                conf={"recipe": recipe, "action": "pause"},
                run_after=NOW + timedelta(seconds=len(made)),
            )
            session.add(noted)

    yield note
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.run_id.in_(made)))


def test_no_button_means_a_run_that_was(
    server: TestClient,
    files: Path,
    press: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the runs of other recipes have taken the place of those of this one."""
    monkeypatch.setattr(standing, "LAST_RUNS", 3)
    keep(files, MOVING)
    seen = [buttons(shown(server))["abort"]["run"]]
    press("handbook", ended=False)
    assert buttons(shown(server))["abort"]["run"] == seen[0], "until it has ended, it is one"
    for recipe in ("handbook", "other", "other", "other", "other"):
        press(recipe)
        seen.append(buttons(shown(server))["abort"]["run"])
    assert len(set(seen)) == len(seen)


def test_stores_that_are_away_are_named_and_the_rest_is_shown(
    server: TestClient, files: Path
) -> None:
    keep(files, SETTLED)
    text = shown(server)
    assert "The model registry can&#39;t be asked: http://127.0.0.1:9/" in text
    assert "Nobody gets an answer from the endpoint: it does not answer (ConnectError)" in text
    assert "100%" in text
    (files / "rollouts" / "twin-handbook.json").write_text('{"model": 3}', encoding="utf-8")
    assert "The rollout&#39;s state is damaged" in shown(server)


def test_a_registry_that_is_away_is_not_asked_at_every_look(
    server: TestClient, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def away() -> dict[str, str]:
        asked.append(1)
        raise RegistryError("away")

    monkeypatch.setattr(standing, "champions_now", away)
    monkeypatch.setattr(standing.time, "monotonic", lambda: 1000.0)
    for _ in range(3):
        shown(server)
    assert len(asked) == 1
    monkeypatch.setattr(standing.time, "monotonic", lambda: 1020.0)
    shown(server)
    assert len(asked) == 2


def test_the_newest_gate_and_its_report(server: TestClient, files: Path) -> None:
    for number, decision in (("9", "promoted"), ("10", "held")):
        folder = files / "reports" / "twin-handbook" / number
        folder.mkdir(parents=True)
        report = {
            "version": number,
            "created": minutes(-90),
            "verdict": "hold",
            "decision": decision,
            "reasons": [f"reason of {number}"],
            "mlflow_run": "https://mlflow.example/#/experiments/1/runs/a",
        }
        (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (files / "reports" / "twin-handbook" / "11").mkdir()
    text = shown(server)
    assert "version 10: hold, held" in text
    assert "reason of 10" in text
    assert "reason of 9" not in text
    page = "https://mlflow.example/#/experiments/1/runs/a/artifacts/report/report.html"
    assert f'href="{page}"' in text


def test_a_report_of_no_web_address_is_no_link(server: TestClient, files: Path) -> None:
    folder = files / "reports" / "twin-handbook" / "1"
    folder.mkdir(parents=True)
    report = {"version": "1", "created": minutes(0), "verdict": "v", "decision": "d", "reasons": []}
    (folder / "report.json").write_text(
        json.dumps(report | {"mlflow_run": "javascript:alert(1)"}), encoding="utf-8"
    )
    assert "javascript" not in shown(server)


def test_the_policy_lets_nothing_in_from_elsewhere(server: TestClient, files: Path) -> None:
    for path in ("", "standing", "page.js", "page.css"):
        answer = server.get(f"/twin/{path}", headers=as_user("VIEWER"))
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"(src|href)=\"https?://(?!127\.0\.0\.1:9)", answer.text)
