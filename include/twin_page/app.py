"""The page as a web application, mounted in Airflow's API server below ``/twin``.

Airflow protects nothing that a plugin mounts: each route of the page asks its auth manager, and the
one of the registry's webhook checks a signature. The page only reads. Its buttons call Airflow's
own REST API to start the DAG `steering`, which checks the user's right, keeps who pressed, and
takes JSON from the same site only.
"""

import urllib.parse
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.registry_webhook import MOST_BYTES, RefusedHintError, checked, is_of_a_champion, leave
from include.runtime import read_runtime
from include.twin_page.standing import (
    LINES,
    STEERING,
    endpoint_fault,
    is_steering_paused,
    standings,
)

FILES = Path(__file__).parent / "files"
#: Whoever may read this DAG may see the page.
READ = "rollout"
LOGIN = "../api/v2/auth/login"

HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_templates = Environment(
    loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_registry = APIRouter()
_readers = APIRouter(dependencies=[Depends(requires_access_dag("GET", param_dag_id=READ))])


def _may_steer(user: GetUserDep) -> bool:
    """Whether the user may start the DAG behind the buttons; Airflow asks again when they do."""
    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST",
            access_entity=DagAccessEntity.RUN,
            details=DagDetails(id=STEERING),
            user=user,
        )
    )


@_readers.get("/")
def page() -> HTMLResponse:
    """The page, empty; its script fetches `standing` again and again."""
    text = _templates.get_template("page.html.jinja").render()
    return HTMLResponse(text, headers=HEADERS)


@_readers.get("/standing")
def standing(may_steer: Annotated[bool, Depends(_may_steer)]) -> HTMLResponse:
    """What the page shows: every twin, with buttons for whoever may press them."""
    text = _templates.get_template("standing.html.jinja").render(
        twins=standings(),
        endpoint_fault=endpoint_fault(),
        links=read_runtime().links,
        may_steer=may_steer,
        steering_paused=is_steering_paused(),
        lines=LINES,
    )
    return HTMLResponse(text, headers=HEADERS)


@_readers.get("/page.js")
def script() -> FileResponse:
    """The page's script."""
    return FileResponse(FILES / "page.js", media_type="text/javascript", headers=HEADERS)


@_readers.get("/page.css")
def style() -> FileResponse:
    """The page's style."""
    return FileResponse(FILES / "page.css", media_type="text/css", headers=HEADERS)


@_registry.post("/registry-webhook")
async def registry_webhook(request: Request) -> JSONResponse:
    """Take a hint that the registry has signed; see `include.registry_webhook`.

    Whoever calls has no login in Airflow: the signature alone says that it is the registry.
    """
    now = datetime.now(UTC)
    try:
        secret = read_runtime().registry_webhook_secret
        if secret is None:
            raise RefusedHintError(404, "AIRFLOW__TWIN__REGISTRY_WEBHOOK_SECRET is not set")
        body = await _body(request)
        delivery = checked(secret.get_secret_value(), request.headers, body, now)
        wanted = is_of_a_champion(body)
        if wanted:
            await run_in_threadpool(leave, delivery, now)
    except RefusedHintError as error:
        return JSONResponse({"detail": str(error)}, error.status)
    said = "the registry is looked at now" if wanted else "no champion of a twin: nothing is done"
    return JSONResponse({"detail": said})


async def _body(request: Request) -> bytes:
    """What was sent, read no further than a hint is long.

    Raises:
        RefusedHintError: it is longer.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise RefusedHintError(413, f"the hint has more than {MOST_BYTES} bytes")
    return body


async def _refusal(request: Request, error: Exception) -> Response:
    """Whoever opens the page without being logged in logs in first."""
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    if error.status_code == 401 and request.url.path.endswith("/twin/"):
        back = urllib.parse.urlencode({"next": str(request.url)})
        return RedirectResponse(f"{LOGIN}?{back}", status_code=307)
    return await http_exception_handler(request, error)


app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(_readers)
app.include_router(_registry)
app.add_exception_handler(HTTPException, _refusal)
