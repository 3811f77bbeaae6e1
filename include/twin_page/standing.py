"""How each twin stands, as far as Airflow can tell without a job.

The file store says what should serve and what was measured, MLflow who is champion, the endpoint
whether it takes requests, Airflow's own database which index was published and which button was
pressed. Each that is away is named on the page, and the others are shown all the same.
"""

import hashlib
import json
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from include.promotion import MODEL_PREFIX, RegistryError, champions_now
from include.recipe_files import recipe_names
from include.runtime import Runtime, read_runtime
from include.twin_page.state import Action, RolloutState

#: The DAG that the buttons start.
STEERING = "steering"
#: Buttons pressed that are looked through for those of one recipe.
LAST_RUNS = 40
#: Runs of `features` that are looked through for one that published.
LAST_BUILDS = 50
LINES = 10
#: What changes seldom is asked for this often, however many look on.
SLOW_SECONDS = 20.0
ENDPOINT_SECONDS = 3.0
FINISHED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class Gate:
    """What the newest evaluation decided.

    Attributes:
        reasons: of the verdict.
        report: address of the page for people; empty where there is none.
    """

    version: str
    created: datetime
    verdict: str
    decision: str
    reasons: tuple[str, ...]
    report: str


@dataclass(frozen=True)
class IndexRelease:
    """The release of the index that a run of `features` published last."""

    name: str
    published: datetime


@dataclass(frozen=True)
class Press:
    """A run that a button started.

    Attributes:
        user: who pressed it; empty where Airflow does not say.
        path: of the run in Airflow's web UI.
    """

    run_id: str
    action: str
    user: str
    at: datetime
    state: str

    @property
    def is_pending(self) -> bool:
        """Whether its job has not ended yet."""
        return self.state not in FINISHED

    @property
    def path(self) -> str:
        """Of the run's page, below Airflow's base address."""
        return f"dags/{STEERING}/runs/{urllib.parse.quote(self.run_id)}"


@dataclass(frozen=True)
class Standing:
    """One twin.

    Attributes:
        state: of its rollout; None where none was ever begun, or it can't be read.
        champion: version that the registry names; None: none.
        token: another one whenever a button means something else than before.
        faults: what could not be read, and why.
    """

    recipe: str
    model: str
    now: datetime
    state: RolloutState | None
    champion: str | None
    gate: Gate | None
    index: IndexRelease | None
    presses: tuple[Press, ...]
    faults: tuple[str, ...]
    token: str = field(default="")

    @property
    def actions(self) -> dict[Action, str]:
        """What a person may do now; each with the version that it is about."""
        return self.state.actions(self.now) if self.state else {}

    def run_id(self, action: str) -> str:
        """Of the run that the button starts: pressed twice, it is one run."""
        return f"{action}-{self.recipe}-{self.token}"

    def is_asked(self, action: str) -> bool:
        """Whether a run of that button waits or works."""
        return any(press.action == action and press.is_pending for press in self.presses)


def standings() -> list[Standing]:
    """Every twin that has a recipe, the default one first."""
    runtime, now = read_runtime(), datetime.now(UTC)
    presses = _presses()
    return [_standing(runtime, recipe, now, presses) for recipe in recipe_names()]


def endpoint_fault() -> str | None:
    """Why nobody gets an answer; None where the endpoint takes requests."""
    return _endpoint_fault(read_runtime().endpoint_url, _turn())


def is_steering_paused() -> bool | None:
    """Whether runs of the DAG that the buttons start would wait for ever; None: not known yet."""
    from airflow.models.dag import DagModel

    model = DagModel.get_dagmodel(STEERING)
    return None if model is None else bool(model.is_paused)


def _standing(
    runtime: Runtime, recipe: str, now: datetime, presses: Mapping[str, tuple[Press, ...]]
) -> Standing:
    model = f"{MODEL_PREFIX}{recipe}"
    faults: list[str] = []
    state = _or_fault(faults, lambda: _state(runtime.files_uri, model))
    champions, registry_faults = _champions(_turn())
    seldom = _seldom(runtime.files_uri, recipe, _turn())
    mine = presses.get(recipe, ())
    return Standing(
        recipe=recipe,
        model=model,
        now=now,
        state=state,
        champion=champions.get(model),
        gate=seldom.gate,
        index=seldom.index,
        presses=mine,
        faults=(*faults, *registry_faults, *seldom.faults),
        token=_token(state, mine, _last_ended(presses)),
    )


def _or_fault(faults: list[str], read: Callable[[], Any]) -> Any:
    """What is read; None, and a line among the faults, where it can't be.

    Stores raise what they like: whatever it is, the page shows the rest.
    """
    try:
        return read()
    except RegistryError as error:
        faults.append(f"The model registry can't be asked: {error}")
    except ValidationError as error:
        faults.append(f"The rollout's state is damaged: {error.errors()[0]['msg']}")
    except Exception as error:
        # Its words may hold an address with credentials.
        faults.append(f"A store can't be read ({type(error).__name__}): see the API server's log")
        _log().exception("The page can't read a store")
    return None


def _state(files_uri: str, model: str) -> RolloutState | None:
    text = _read(f"{files_uri}/rollouts/{model}.json")
    return None if text is None else RolloutState.model_validate_json(text)


@lru_cache(maxsize=2)
def _champions(turn: int) -> tuple[dict[str, str], tuple[str, ...]]:  # noqa: ARG001 - asks again
    """Champion by model, and why they are not known."""
    faults: list[str] = []
    return _or_fault(faults, champions_now) or {}, tuple(faults)


@dataclass(frozen=True)
class _Seldom:
    """What changes seldom, and why parts of it are not known."""

    gate: Gate | None
    index: IndexRelease | None
    faults: tuple[str, ...]


@lru_cache(maxsize=256)
def _seldom(files_uri: str, recipe: str, turn: int) -> _Seldom:  # noqa: ARG001 - asks again
    faults: list[str] = []
    gate = _or_fault(faults, lambda: _gate(files_uri, f"{MODEL_PREFIX}{recipe}"))
    index = _or_fault(faults, lambda: _index(recipe))
    return _Seldom(gate, index, tuple(faults))


def _gate(files_uri: str, model: str) -> Gate | None:
    """The report of the newest version that has one (``reports/<model>/<version>``)."""
    from airflow.sdk import ObjectStoragePath

    folder = ObjectStoragePath(f"{files_uri}/reports/{model}")
    if not folder.exists():
        return None
    versions = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    for version in reversed(versions):
        if (text := _read(f"{files_uri}/reports/{model}/{version}/report.json")) is not None:
            return _parsed_gate(json.loads(text))
    return None


def _parsed_gate(report: dict[str, Any]) -> Gate:
    run = str(report.get("mlflow_run") or "")
    return Gate(
        version=str(report["version"]),
        created=datetime.fromisoformat(report["created"]),
        verdict=str(report["verdict"]),
        decision=str(report["decision"]),
        reasons=tuple(map(str, report["reasons"])),
        report=f"{run}/artifacts/report/report.html" if _is_web(run) else "",
    )


def _index(recipe: str) -> IndexRelease | None:
    """What the newest build that published has left in its result."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import and_, select

    same = and_(
        TaskInstance.dag_id == XComModel.dag_id,
        TaskInstance.run_id == XComModel.run_id,
        TaskInstance.task_id == XComModel.task_id,
        TaskInstance.map_index == XComModel.map_index,
    )
    query = (
        select(XComModel.value, XComModel.timestamp)
        .join(TaskInstance, same)
        .where(
            XComModel.dag_id == "features",
            XComModel.task_id == "one_index.build",
            XComModel.key == "ids",
            TaskInstance.rendered_map_index == recipe,
        )
        .order_by(XComModel.timestamp.desc())
        .limit(LAST_BUILDS)
    )
    with create_session() as session:
        rows = session.execute(query).all()
    for row in rows:
        ids = XComModel.deserialize_value(row)
        if isinstance(ids, dict) and ids.get("release"):
            return IndexRelease(str(ids["release"]), row.timestamp)
    return None


def _presses() -> dict[str, tuple[Press, ...]]:
    """The last runs that buttons started, by recipe, newest first."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = (
        select(DagRun)
        .where(DagRun.dag_id == STEERING)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(LAST_RUNS)
    )
    found: dict[str, tuple[Press, ...]] = {}
    with create_session() as session:
        for run in session.scalars(query):
            conf = run.conf or {}
            press = Press(
                run_id=run.run_id,
                action=str(conf.get("action", "")),
                user=run.triggering_user_name or "",
                at=run.run_after,
                state=str(run.state),
            )
            recipe = str(conf.get("recipe", ""))
            found[recipe] = (*found.get(recipe, ()), press)
    return found


@lru_cache(maxsize=4)
def _endpoint_fault(url: str, turn: int) -> str | None:  # noqa: ARG001 - asks again
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}/healthz", timeout=ENDPOINT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.is_success else f"it answers with HTTP {answer.status_code}"


def _read(uri: str) -> str | None:
    """A file of the file store; None if there is none."""
    from airflow.sdk import ObjectStoragePath

    try:
        return str(ObjectStoragePath(uri).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _last_ended(presses: Mapping[str, tuple[Press, ...]]) -> str:
    """Id of the newest run that has ended, whichever recipe it was about."""
    ended = [press for mine in presses.values() for press in mine if not press.is_pending]
    return max(ended, key=lambda press: press.at).run_id if ended else ""


def _token(state: RolloutState | None, presses: tuple[Press, ...], last: str) -> str:
    """Of the state that a person sees when pressing, and of the runs that have ended by then.

    So a button pressed twice, or by two people, starts one run; and a run that failed may be
    asked for again. The ``last`` one of all recipes is among them: those of this one are only as
    many as others have left room for, so that alone they would come to what they were before.
    """
    seen: list[Any] = [last, *(press.run_id for press in presses if not press.is_pending)]
    if state is not None:
        progress = state.progress.since.isoformat() if state.progress else ""
        seen += [state.generation, state.wish, state.brought, progress]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]


def _is_web(address: str) -> bool:
    """Whether an address may become a link: no script, no file."""
    return address.startswith(("http://", "https://"))


def _turn() -> int:
    """Another number every `SLOW_SECONDS`."""
    return int(time.monotonic() // SLOW_SECONDS)


def _log() -> Any:
    import structlog

    return structlog.get_logger(__name__)
