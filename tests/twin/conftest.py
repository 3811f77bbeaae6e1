"""Fixtures of the jobs' tests: real stores, shared by a test session, one database a test."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from tests import servers
from tests.twin import twins
from tests.twin.converted import share_converted
from tests.twin.serving_platform import Platform, running, settings_of
from twin.settings import Settings

# The first example of a property may load a library. Time is measured by benchmarks.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


@pytest.fixture(scope="session")
def warehouse_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a MongoDB-protocol server that the session's tests share."""
    with servers.warehouse_server(tmp_path_factory.mktemp("warehouse") / "data") as (uri, _, _):
        yield uri


@pytest.fixture(scope="session")
def index_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an index server that the session's tests share.

    A Qdrant server of your own at ``TWIN_TEST_QDRANT_URL``, where the variable is set: the tests
    remove the collections of their recipes from it.
    """
    if own := os.environ.get("TWIN_TEST_QDRANT_URL"):
        yield own
        return
    with servers.index_server(tmp_path_factory.mktemp("index") / "data") as (url, _):
        yield url


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an MLflow server that the session's tests share."""
    with servers.mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> Settings:
    """Settings of one test: its own home; no server is started (see `stores_settings`)."""
    made = Settings(
        home=tmp_path / "home",
        recipes=root / "include" / "recipes",
        mongo_uri=SecretStr("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"),
        mlflow_tracking_uri="http://127.0.0.1:1",
    )
    share_converted(made)
    return made


@pytest.fixture
def stores_settings(settings: Settings, warehouse_uri: str) -> Settings:
    """`settings` with a live warehouse and a database of the test's own."""
    return settings.model_copy(
        update={
            "mongo_uri": SecretStr(warehouse_uri),
            "mongo_database": f"twin_{uuid.uuid4().hex[:8]}",
        }
    )


@pytest.fixture(scope="session")
def serving_platform(
    tmp_path_factory: pytest.TempPathFactory, mlflow_url: str
) -> Iterator[Platform]:
    """`twin serving start` with two tiny versions registered, neither rolled out; one a session.

    Its tests leave it with whichever version in service; those that need one bring it there.
    """
    home = tmp_path_factory.mktemp("platform")
    settings, environment = settings_of(home, mlflow_url)
    recipe = twins.write_recipe(
        settings.recipes,
        replicas=1,
        max_new_tokens=200,
        traffic_steps=[50, 100],
        step_seconds=0.5,
        # Its tests go to and fro: a version that is warm needs no start. Their callers all ask the
        # same, which decides nothing.
        rollout={"warm_seconds": 3_600, "analysis_seconds": 0},
    )
    twins.index_texts(recipe, settings)
    twins.register(settings, home, ["1", "2"])
    with running(settings, environment) as platform:
        yield platform
