"""The router in this process, over versions whose answers are written down.

Routes, keys, routing table, observations and mirroring are the real ones, and so is the
configuration that decides them. In Ray's place stands what takes the configuration over at once:
so a rollout costs a second, may be stopped between any two steps, and its versions may be bad in
ways that a real model takes long to be. Rollouts on a real Ray are in test_rollout.py.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests import servers
from tests.twin.answers import answer, passage
from twin.domain.answer import Answer, CheckedSentence, Citation
from twin.domain.rollout import ServedVersion, application_name
from twin.rag.query import AnswerPart, Query
from twin.recipes import load_recipe
from twin.rollout import shift as shift_module
from twin.rollout.lease import Owner
from twin.rollout.naming import called
from twin.serving.access import Keys
from twin.serving.api import create_app
from twin.serving.errors import ApiError
from twin.serving.observing import ObservedBackend
from twin.serving.routing import RoutingTable, Target
from twin.settings import Settings
from twin.stores.deployments import Application, ApplicationStatus
from twin.stores.endpoint import Endpoint
from twin.stores.files import open_files
from twin.stores.ray_serve import PATH
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import ROUTER, recipe_of

MODEL = "twin-tiny"
SAID = "Every job is a pod of its own."
UNANSWERABLE = "Who won in 1954?"


@dataclass
class Manner:
    """How a version answers.

    Attributes:
        loads: whether its application runs at all.
        fails_after: answers after which each one fails; None: none does.
        version: that its answers say they are of; None: its own.
        first_seconds: until the first word.
        refuses: everything.
        refuses_but: everything but this question; None: as `refuses` says.
        answers_all: even what nobody has written about.
        cites: whether a source supports what it says.
        text: of its answers.
    """

    loads: bool = True
    fails_after: int | None = None
    version: str | None = None
    first_seconds: float = 0.002
    refuses: bool = False
    refuses_but: str | None = None
    answers_all: bool = False
    cites: bool = True
    text: str = SAID
    asked: int = 0


@dataclass
class ServeInProcess:
    """`twin.stores.deployments.Deployments`, and the endpoint behind it."""

    manners: dict[str, Manner] = field(default_factory=dict)
    table: RoutingTable = field(default_factory=RoutingTable.empty)
    config: dict = field(default_factory=lambda: {"applications": []})
    on_apply: Callable[[], None] = lambda: None

    def apply(self, render) -> None:
        while True:
            config = render()
            self.on_apply()
            self.config = config
            self.table = RoutingTable.model_validate(self._router()["user_config"])
            if render() == config:
                return

    def applications(self) -> dict[str, Application]:
        names = [item["name"] for item in self.config["applications"]]
        return {name: Application(name, self._status(name), "no model") for name in names}

    def _router(self) -> dict:
        [router] = [item for item in self.config["applications"] if item["name"] == ROUTER]
        return router["deployments"][0]

    def _status(self, name: str) -> ApplicationStatus:
        broken = {
            application_name(MODEL, version)
            for version, manner in self.manners.items()
            if not manner.loads
        }
        return ApplicationStatus.DEPLOY_FAILED if name in broken else ApplicationStatus.RUNNING

    # What `twin.serving.backend.Backend` asks for.

    async def answer(self, target: Target, query: Query) -> Answer:
        async for part in self.stream(target, query):
            if part.answer:
                return part.answer
        raise AssertionError("unreachable")

    async def stream(self, target: Target, query: Query) -> AsyncIterator[AnswerPart]:
        manner = self.manners.setdefault(target.version, Manner())
        manner.asked += 1
        if manner.fails_after is not None and manner.asked > manner.fails_after:
            raise ApiError.unavailable(target.application)
        await asyncio.sleep(manner.first_seconds)
        refused = manner.refuses or manner.refuses_but not in (None, query.question)
        refused = refused or (query.question == UNANSWERABLE and not manner.answers_all)
        for word in manner.text.split():
            yield AnswerPart(text=f"{word} ", refused=refused)
        yield AnswerPart(answer=_answer(manner, target, query.question, refused=refused))


_numbers = itertools.count()


def _answer(manner: Manner, target: Target, question: str, *, refused: bool) -> Answer:
    quote = (Citation(source=1, start=0, end=len(SAID), quote=SAID),) if manner.cites else ()
    sentence = CheckedSentence(
        start=0, end=len(manner.text), supported=manner.cites, citations=quote
    )
    made = answer(
        f"answer-{next(_numbers)}",
        text=manner.text,
        sources=[passage("pods", SAID)],
        sentences=() if refused else (sentence,),
    )
    return made.model_copy(
        update={
            "question": question,
            "model": target.model,
            "model_version": manner.version or target.version,
            "refused": refused,
            "completion_tokens": len(manner.text.split()),
        }
    )


def app_of(serve: ServeInProcess, settings: Settings):
    """The router's HTTP interface."""
    return create_app(ObservedBackend(serve), Keys(settings.api_keys), 1_000_000)


def client_of(serve: ServeInProcess, settings: Settings) -> TestClient:
    """A client of the router that needs no port."""
    return TestClient(app_of(serve, settings))


@contextlib.contextmanager
def listening(serve: ServeInProcess, settings: Settings) -> Iterator[Settings]:
    """The router on a port, until the block ends; yields settings that name it.

    Serve's REST API is there too, so that the commands of `twin rollout` work as they are.
    """
    port = servers.free_port()
    app = app_of(serve, settings)
    _add_control(app, serve)
    config = uvicorn.Config(app, port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    servers.wait_until(lambda: server.started, "the router", 20)
    url = f"http://127.0.0.1:{port}"
    yield settings.model_copy(update={"endpoint_url": url, "serve_api_url": url})
    server.should_exit = True
    thread.join(20)


def _add_control(app: FastAPI, serve: ServeInProcess) -> None:
    """Serve's REST API, as far as `twin.stores.ray_serve` asks for it."""

    @app.put(PATH)
    def apply(config: dict) -> None:
        serve.apply(lambda: config)

    @app.get(PATH)
    def applications() -> dict:
        return {
            "applications": {
                name: {"status": found.status, "message": found.message}
                for name, found in serve.applications().items()
            }
        }


def versions(settings: Settings, *numbers: str) -> list[ServedVersion]:
    """Versions with weights that are published; nobody loads them."""
    recipe = load_recipe("tiny", settings.recipes).model_dump(mode="json")
    files, made = open_files(settings), []
    for number in numbers:
        folder = settings.home / "weights" / number
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_text(number)
        uri = files.publish_folder(folder, f"models/{MODEL}/{number}")
        digest = files.published_digest(f"models/{MODEL}/{number}")
        made.append(
            ServedVersion(version=number, weights_uri=uri, weights_digest=digest, recipe=recipe)
        )
    return made


def roll(
    states: RolloutStates,
    serve: ServeInProcess,
    settings: Settings,
    to: ServedVersion,
    *,
    client: TestClient | None = None,
    wait_seconds: float = 0,
) -> None:
    """Bring a version into service as `twin rollout start` does, without a registry."""
    recipe = recipe_of(to)
    with Owner(states, MODEL, f"to-{to.version}", wait_seconds=wait_seconds) as owner:
        shift = shift_module.Shift(owner, settings, serve, Endpoint(settings, client))
        to = called(states.load(MODEL), to, settings)
        if not shift.is_serving(to):
            shift.to(to, recipe.serving)
