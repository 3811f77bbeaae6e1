"""Asks every store that the settings name for a sign of life, from where jobs run and as they do.

Says one line a store and ends with status 1 if one does not answer.
"""

import sys
import urllib.request
from collections.abc import Callable

from twin.domain.errors import TwinError
from twin.settings import Settings, get_settings
from twin.stores.files import open_files
from twin.stores.warehouse import open_warehouse

SECONDS = 10


def warehouse(settings: Settings) -> str:
    """Count the documents."""
    with open_warehouse(settings) as opened:
        return f"{sum(1 for _ in opened.summaries())} documents"


def files(settings: Settings) -> str:
    """List the store's root."""
    return f"{len(open_files(settings).names(''))} names in {settings.files_root}"


def index(settings: Settings) -> str:
    """List the index server's collections."""
    headers = {}
    if settings.index_api_key:
        headers["api-key"] = settings.index_api_key.get_secret_value()
    return _get(f"{settings.index_url}/collections", headers)


def mlflow(settings: Settings) -> str:
    """Ask the tracking server for its health."""
    return _get(f"{settings.mlflow_tracking_uri}/health", {})


def _get(url: str, headers: dict[str, str]) -> str:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return f"{answer.status} from {url}"


def main() -> int:
    """Ask them all; returns the exit status."""
    settings = get_settings()
    checks: list[Callable[[Settings], str]] = [warehouse, files, index, mlflow]
    failed = 0
    for check in checks:
        try:
            print(f"{check.__name__}: {check(settings)}")
        except (TwinError, OSError) as error:
            failed = 1
            print(f"{check.__name__}: NO ANSWER: {error}")
    return failed


sys.exit(main())
