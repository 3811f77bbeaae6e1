from pathlib import Path

import pytest

from tests import servers
from twin.domain.errors import BadConfigurationError
from twin.serving.local_ray import (
    LONGEST_FOLDER,
    SESSIONS_KEPT,
    _forget_old_sessions,
    local_ray,
    ray_command,
    ray_folder,
)


def test_ray_lives_under_the_home_folder(settings):
    short = settings.model_copy(update={"home": Path("/tmp/t")})
    assert ray_folder(short.home) == Path("/tmp/t/ray")
    assert "--temp-dir=/tmp/t/ray" in ray_command(short)


def test_a_long_home_gets_a_short_folder_of_its_own(tmp_path):
    one, other = (ray_folder(tmp_path / ("x" * 60) / name) for name in "ab")
    assert len(str(one)) <= LONGEST_FOLDER
    assert one != other


def test_ray_is_started_on_this_machine_only(settings):
    elsewhere = settings.model_copy(update={"serve_api_url": "http://ray-head:8265"})
    with pytest.raises(BadConfigurationError, match="TWIN_RAY_SERVICE"):
        ray_command(elsewhere)


def test_a_port_that_is_taken_is_said_before_anything_starts(settings, tmp_path):
    with servers.web_server(tmp_path) as taken:
        busy = settings.model_copy(
            update={
                "serve_api_url": f"http://127.0.0.1:{servers.free_port()}",
                "endpoint_url": taken,
            }
        )
        with pytest.raises(BadConfigurationError, match="something else listens"), local_ray(busy):
            pass
    assert not ray_folder(busy.home).exists()


def test_the_logs_of_the_last_starts_are_kept(tmp_path):
    names = [f"session_2026-11-{day:02}_10-00-00_1_1" for day in range(1, 8)]
    for name in names:
        (tmp_path / name / "logs").mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to(tmp_path / names[-1])
    _forget_old_sessions(tmp_path)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [*names[-SESSIONS_KEPT:], "session_latest"]
