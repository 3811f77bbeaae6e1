"""The page *Twin* in the menu of Airflow's web UI: what serves, and buttons to steer it."""

import urllib.parse
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

PREFIX = "/twin"


async def application(scope: Any, receive: Any, send: Any) -> None:
    """The page's ASGI application, imported when the first request comes.

    Every process of Airflow's loads this file, and the API server alone answers requests.
    """
    from include.twin_page.app import app

    await app(scope, receive, send)


def _address() -> str:
    """Of the page, below Airflow's own address."""
    base = urllib.parse.urlsplit(conf.get("api", "base_url", fallback="") or "")
    return f"{base.path.rstrip('/')}{PREFIX}/"


class TwinPage(AirflowPlugin):
    """A page of its own, opened from the menu.

    Not inside Airflow's page: the frame that it would get lets no link open another page.
    """

    name = "twin_page"
    fastapi_apps = [  # noqa: RUF012 - Airflow's way
        {"app": application, "url_prefix": PREFIX, "name": "Twin"}
    ]
    external_views = [  # noqa: RUF012
        {"name": "Twin", "href": _address(), "destination": "nav", "nav_top_level": True}
    ]
