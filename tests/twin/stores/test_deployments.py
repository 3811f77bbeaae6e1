import httpx
import pytest

from tests import servers
from twin.domain.errors import TryAgainError
from twin.stores.deployments import ApplicationStatus, explain, open_deployments, parse_status
from twin.stores.kuberay import KubeRay
from twin.stores.ray_serve import RayServe

TRACEBACK = """\
The deployment failed to start 3 times in a row.
ray::ServeReplica:twin-a-v8:Version.initialize_and_get_metadata() (pid=1, ip=127.0.0.1)
  File "/x/version.py", line 30, in __init__
    weights = fetch_weights(served, settings)
twin.domain.errors.BadDataError: /files/models/x: nothing complete has been published there

The above exception was the direct cause of the following exception:
RuntimeError: Traceback (most recent call last):
"""


def test_the_houses_own_line_is_what_a_person_is_told():
    assert explain(TRACEBACK) == "/files/models/x: nothing complete has been published there"


def test_of_another_traceback_it_is_the_last_error():
    assert explain("  File x\nValueError: bad\n  in y") == "ValueError: bad"
    assert explain("one\ntwo") == "two"
    assert explain("") == "no message"


def test_a_status_of_a_newer_serve_counts_as_on_its_way():
    assert parse_status("RUNNING") is ApplicationStatus.RUNNING
    assert parse_status("HIBERNATING") is ApplicationStatus.DEPLOYING


def test_the_settings_choose_the_adapter(settings):
    assert isinstance(open_deployments(settings), RayServe)
    cluster = settings.model_copy(update={"ray_service": "twin/serving"})
    assert isinstance(open_deployments(cluster), KubeRay)


def test_a_serve_that_is_down_is_said_in_one_line(settings):
    away = settings.model_copy(update={"serve_api_url": f"http://127.0.0.1:{servers.free_port()}"})
    with pytest.raises(TryAgainError, match="twin serving start") as error:
        open_deployments(away).applications()
    assert "\n" not in str(error.value)
    assert not isinstance(error.value.__cause__, httpx.HTTPError)
