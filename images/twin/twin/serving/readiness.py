"""``/readyz``: whether every model in service writes, tried by a real and bounded generation."""

import asyncio
import time
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from twin.rag.query import Query
from twin.serving.backend import Backend
from twin.serving.errors import ApiError
from twin.serving.openapi import refusals

PATH = "/readyz"

#: A generation is as good as this many seconds, so that those who ask often cost nothing.
SECONDS_FRESH = 15.0
#: A word that has not come by then is no sign of life.
SECONDS_PATIENT = 10.0
#: Asked of a model whose recipe's question is not known; a rollout asks the recipe's.
QUESTION = "What do you write about?"

log = structlog.get_logger("twin.serving")


class ReadyBody(BaseModel):
    """Whether each model in service writes: ready, busy (so many ask that it takes no more, which
    is life), or why not."""

    status: str
    models: dict[str, str]


class Readiness:
    """Tries the models, each at most once in a while, whoever asks.

    Args:
        backend: answers; what is asked here is nobody's answer, so it is counted nowhere.
        fresh: seconds that a trial is good for.
        patient: seconds that a first word may take.
    """

    def __init__(
        self, backend: Backend, *, fresh: float = SECONDS_FRESH, patient: float = SECONDS_PATIENT
    ) -> None:
        self._backend = backend
        self._fresh = fresh
        self._patient = patient
        self._known: dict[str, tuple[float, str]] = {}
        self._trying = asyncio.Lock()

    async def states(self) -> dict[str, str]:
        """What each model that has traffic is."""
        table = self._backend.table
        served = [name for name, route in table.models.items() if any(route.versions.values())]
        async with self._trying:
            stale = [name for name in served if not self._is_fresh(name)]
            tried = await asyncio.gather(*map(self._try, stale))
            now = time.monotonic()
            self._known.update(
                {name: (now, state) for name, state in zip(stale, tried, strict=True)}
            )
        return {name: self._known[name][1] for name in served}

    def _is_fresh(self, name: str) -> bool:
        known = self._known.get(name)
        return known is not None and time.monotonic() - known[0] < self._fresh

    async def _try(self, name: str) -> str:
        table = self._backend.table
        question = table.models[name].probe_question or QUESTION
        query = Query(question=question, max_new_tokens=1, temperature=0)
        try:
            async with asyncio.timeout(self._patient):
                await self._backend.answer(table.target(name), query)
        except TimeoutError:
            state = f"no word within {self._patient:g} s"
        except ApiError as error:
            # Whoever is full of work is alive.
            state = "busy" if error.code == "overloaded" else error.message
        except Exception as error:  # a defect of the replica is no readiness either
            log.warning("not ready", model=name, reason=type(error).__name__)
            state = "the answer failed"
        else:
            state = "ready"
        return state


def add_readiness(app: FastAPI, readiness: Readiness) -> None:
    """Add ``/readyz``."""

    @app.get(
        PATH,
        response_model=ReadyBody,
        responses=refusals(500) | {503: {"model": ReadyBody, "description": "not ready"}},
    )
    async def ready() -> JSONResponse:
        """Whether every model in service writes: a word of each, tried every 15 s. Needs no key.

        503 while none is in service, or one of them does not write.
        """
        states = await readiness.states()
        well = bool(states) and all(state in ("ready", "busy") for state in states.values())
        body: dict[str, Any] = {"status": "ready" if well else "not ready", "models": states}
        return JSONResponse(body, 200 if well else 503)
