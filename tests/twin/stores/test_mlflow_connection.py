"""A tracking URI may carry credentials: they are used and never shown."""

import pytest

from tests import servers
from twin.domain.errors import BadConfigurationError, TryAgainError
from twin.stores.mlflow_connection import mlflow_client, mlflow_errors, shown_url, ui_url
from twin.stores.mlflow_rest import _failure
from twin.stores.registry import Registry
from twin.stores.tracking import tracking_run


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:s3cret@mlflow:5000/a", "http://mlflow:5000/a"),
        ("http://ann:s3cret@with@mlflow:5000/", "http://mlflow:5000"),
        ("https://s3cret@[::1]:5000", "https://[::1]:5000"),
        ("http://ann:s3cret@[broken", "http://[broken"),
        ("http://mlflow:5000/?q=a@b", "http://mlflow:5000/?q=a@b"),
        ("http://mlflow:5000", "http://mlflow:5000"),
    ],
)
def test_the_address_is_shown_without_credentials(settings, uri, shown):
    secret = settings.model_copy(update={"mlflow_tracking_uri": uri})
    assert shown_url(secret) == shown
    assert ui_url(secret) == shown
    own = settings.model_copy(update={"mlflow_ui_url": uri})
    assert ui_url(own) == shown


@pytest.fixture
def away(settings):
    uri = f"http://ann:s3cret@127.0.0.1:{servers.free_port()}"
    return settings.model_copy(update={"mlflow_tracking_uri": uri})


def test_no_error_shows_them(away, tmp_path):
    with Registry(away) as registry, pytest.raises(TryAgainError) as refused:
        registry.models()
    with pytest.raises(TryAgainError) as lost, mlflow_errors(away):
        mlflow_client(away).search_experiments()
    with pytest.raises(TryAgainError) as untracked, tracking_run(away, experiment="a", name="b"):
        pass
    with servers.web_server(tmp_path) as url:
        other = away.model_copy(update={"mlflow_tracking_uri": url.replace("//", "//ann:s3cret@")})
        (tmp_path / "api/2.0/mlflow/registered-models/search").mkdir(parents=True)
        (tmp_path / "api/2.0/mlflow/registered-models/search/index.html").write_text("hello")
        with Registry(other) as registry, pytest.raises(BadConfigurationError) as strange:
            registry.models()
    for caught in (refused, lost, untracked, strange):
        assert "s3cret" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("status", [401, 500])
def test_no_refusal_shows_them(away, status):
    import httpx

    failure = _failure(httpx.Response(status), away)
    assert "s3cret" not in str(failure)
    assert "127.0.0.1" in str(failure)


def test_they_are_in_no_link(away):
    assert "s3cret" not in Registry(away).version_url("twin-a", "1")
