"""The page *Twin* in a real Chromium, before a live Airflow: what a person sees, presses, is told.

Jobs are the stand-in `twin`; states are what a rollout would have written.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from tests import servers
from tests.airflow_environment import StandIn
from tests.chromium import launched, needs_chromium
from tests.live_airflow import LiveAirflow, wait_until
from tests.plugins.test_twin_page import MOVING, SETTLED

pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(900)]
USERS = {"ann": "admin", "vic": "viewer"}
#: A page looks every five seconds, and Airflow here has two cores at most.
PATIENT = 60_000


class Live(LiveAirflow):
    """Airflow whose users have passwords, with a folder for an endpoint and one of states."""

    def __init__(self, home: Path, variables: dict[str, str], files: Path) -> None:
        super().__init__(home, variables)
        self.files = files

    def log_in(self) -> None:
        self._http.headers["authorization"] = f"Bearer {self.token('ann')}"

    def token(self, user: str) -> str:
        body = {"username": user, "password": user}
        return str(self._http.post("/auth/token", json=body).json()["access_token"])

    def keep(self, **state: Any) -> None:
        """Write a state as a rollout does."""
        (self.files / "rollouts").mkdir(parents=True, exist_ok=True)
        path = self.files / "rollouts" / "twin-handbook.json"
        path.with_suffix(".new").write_text(json.dumps(state), encoding="utf-8")
        path.with_suffix(".new").replace(path)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return StandIn(tmp_path_factory.mktemp("stand-in") / "jobs")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> int:
    """A port on which nothing answers until a test says so."""
    return servers.free_port()


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn, endpoint: int
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps({user: user for user in USERS}), encoding="utf-8")
    with ExitStack() as running:
        mlflow = running.enter_context(servers.mlflow_server(folder / "mlflow"))
        variables = {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{user}:{role}" for user, role in USERS.items()
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__TWIN__RUNTIME": "local",
            "AIRFLOW__TWIN__JOBS_BIN": str(stand_in.bin),
            "AIRFLOW__TWIN__FILES_URI": (folder / "files").as_uri(),
            "AIRFLOW__TWIN__MLFLOW_URL": mlflow,
            "AIRFLOW__TWIN__ENDPOINT_URL": f"http://127.0.0.1:{endpoint}",
            **stand_in.environment,
        }
        made = Live(folder / "airflow", variables, folder / "files")
        yield running.enter_context(made.running("steering", "features"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, live: Live) -> Iterator[Page]:
    """The page, opened by the user who may do everything; it asks no other host."""
    with ExitStack() as stack:
        context = browser.new_context(viewport={"width": 900, "height": 1000})
        stack.callback(context.close)
        context.add_cookies([{"name": "_token", "value": live.token("ann"), "url": live.url}])
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text) if "Policy" in line.text else None)
        page.on("request", lambda r: None if live.url in r.url else faults.append(r.url))
        page.goto(f"{live.url}/twin/")
        yield page
        assert faults == []


@contextmanager
def _site(folder: Path) -> Iterator[str]:
    """A web site of somebody else's, on another port of this host."""
    (folder / "index.html").write_text("<p>elsewhere</p>", encoding="utf-8")
    with servers.web_server(folder) as url:
        yield url


def calls(stand_in: StandIn, job: str) -> list[dict[str, Any]]:
    return [call for call in stand_in.calls if call["job"] == job]


def test_a_rollout_is_watched_paused_and_rolled_back(
    live: Live, page: Page, stand_in: StandIn, tmp_path: Path
) -> None:
    """Buys: proof that a press reaches `twin`, once, and that the page tells of it."""
    live.keep(**MOVING)
    button = page.get_by_role("button", name="Pause")
    expect(button).to_be_enabled(timeout=PATIENT)
    # Two clicks at once: the second finds the same run asked for, or the button disabled.
    run = button.get_attribute("data-run")
    button.evaluate("each => { each.click(); each.disabled = false; each.click(); }")
    expect(page.get_by_role("status")).to_contain_text("pause of handbook")
    wait_until(lambda: bool(calls(stand_in, "rollout pause")), "the job", 120)
    expect(page.locator("#twins")).to_contain_text("pause by ann", timeout=PATIENT)
    wait_until(lambda: live.runs("steering")[0]["state"] == "success", "the run")
    (made,) = live.runs("steering")
    assert made["dag_run_id"] == run
    assert made["triggering_user_name"] == "ann"
    (call,) = calls(stand_in, "rollout pause")
    assert call["options"][:2] == ["--recipe", "handbook"]
    assert call["environment"]["TWIN_ACTOR"] == "airflow:ann"
    live.keep(**MOVING | {"wish": "pause"})
    expect(page.get_by_role("button", name="Resume")).to_be_enabled(timeout=PATIENT)
    page.screenshot(path=tmp_path / "rollout.png", full_page=True)
    live.keep(**SETTLED)
    back = page.get_by_role("button", name="Roll back to version 1")
    expect(back).to_be_enabled(timeout=PATIENT)
    page.once("dialog", lambda dialog: dialog.dismiss())
    back.click()
    assert len(live.runs("steering")) == 1, "whoever says no has asked for nothing"
    questions: list[str] = []
    page.once("dialog", lambda dialog: (questions.append(dialog.message), dialog.accept()))
    back.click()
    wait_until(lambda: bool(calls(stand_in, "rollout rollback")), "the job", 120)
    assert questions == ["Roll back twin-handbook to version 1?"]
    assert "--to=1" in calls(stand_in, "rollout rollback")[0]["options"]


def test_an_index_that_features_has_published_is_shown_with_its_age(
    live: Live, page: Page, stand_in: StandIn
) -> None:
    """Buys: proof that what the job leaves in its result is found in Airflow's database."""
    live.keep(**SETTLED)
    stand_in.does("features build", ids={"release": "000007", "index": "f"})
    live.trigger("features", recipe="handbook")
    expect(page.locator("#twins")).to_contain_text(
        "release 000007, less than an hour old", timeout=3 * PATIENT
    )


def test_whoever_may_only_read_has_no_button(live: Live, browser: Browser) -> None:
    """Buys: proof by a user of Airflow's own, in a browser."""
    live.keep(**MOVING)
    with ExitStack() as stack:
        context = browser.new_context()
        stack.callback(context.close)
        context.add_cookies([{"name": "_token", "value": live.token("vic"), "url": live.url}])
        page = context.new_page()
        page.goto(f"{live.url}/twin/")
        expect(page.locator("#twins")).to_contain_text("is brought in", timeout=PATIENT)
        expect(page.get_by_role("button")).to_have_count(0)
        # With the button there all the same, Airflow refuses.
        page.evaluate(
            "document.getElementById('twins').innerHTML = "
            "'<button data-action=abort data-recipe=handbook data-run=forged>x</button>'"
        )
        page.get_by_role("button").click()
        expect(page.get_by_role("status")).to_contain_text("You may not start runs")
    before = {run["dag_run_id"] for run in live.runs("steering")}
    assert "forged" not in before


def test_another_site_starts_nothing_with_the_users_cookie(
    live: Live, browser: Browser, tmp_path: Path
) -> None:
    """Buys: proof of what keeps forged requests out: the cookie stays home, and JSON is asked for.

    Another port of this host is the same site to a browser, so there the cookie does go along.
    """
    before = len(live.runs("steering"))
    with ExitStack() as stack:
        context = browser.new_context()
        stack.callback(context.close)
        context.add_cookies(
            [{"name": "_token", "value": live.token("ann"), "url": live.url, "sameSite": "Lax"}]
        )
        page = context.new_page()
        answers: list[Response] = []
        # A built-in method is none that Playwright can wrap.
        page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108
        elsewhere = stack.enter_context(_site(tmp_path))
        page.goto(elsewhere)
        page.evaluate(
            """async (url) => { await fetch(url, {method: "POST", mode: "no-cors",
            credentials: "include", headers: {"Content-Type": "text/plain"},
            body: JSON.stringify({logical_date: null,
            conf: {recipe: "handbook", action: "abort", version: ""}})}); }""",
            f"{live.url}/api/v2/dags/steering/dagRuns",
        )
        refused = [answer for answer in answers if "steering" in answer.url]
        assert [answer.status for answer in refused] == [422]
    assert len(live.runs("steering")) == before


def test_the_endpoint_and_airflow_away_are_told(
    live: Live, page: Page, endpoint: int, tmp_path: Path
) -> None:
    """Buys: proof that a page left open says what it does not know any more."""
    live.keep(**SETTLED)
    fault = "Nobody gets an answer from the endpoint"
    expect(page.locator("#twins")).to_contain_text(fault, timeout=PATIENT)
    (tmp_path / "healthz").write_text("ok", encoding="utf-8")
    with servers.web_server(tmp_path, endpoint):
        expect(page.locator("#twins")).not_to_contain_text(fault, timeout=PATIENT)
    expect(page.locator("#twins")).to_contain_text(fault, timeout=PATIENT)
    live.kill("api-server")
    expect(page.get_by_role("status")).to_contain_text("not up to date", timeout=PATIENT)
    expect(page.locator("#twins")).to_contain_text("100%")
