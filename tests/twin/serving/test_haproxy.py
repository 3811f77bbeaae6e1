import subprocess
from pathlib import Path

import pytest

from twin.serving.haproxy import PORTS_OF_A_PLATFORM, first_port, haproxy_environment

#: As much of Ray's template as listens: statistics and metrics on every address.
CONFIGURATION = """\
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind 127.0.0.1:8000
listen stats
  bind *:{stats}
  stats enable
"""


@pytest.fixture
def environment(settings, tmp_path):
    found = haproxy_environment(settings, tmp_path / "ray" / "haproxy")
    yield found
    Path(found["RAY_SERVE_HAPROXY_BINARY_PATH"]).unlink()
    (tmp_path / "ray" / "haproxy").resolve().rmdir()


def test_it_can_be_switched_off(settings, tmp_path):
    off = settings.model_copy(update={"serve_haproxy": False})
    assert haproxy_environment(off, tmp_path / "haproxy") == {}
    assert not (tmp_path / "haproxy").exists()


def test_statistics_and_metrics_stay_on_loopback(environment, tmp_path):
    stats = environment["RAY_SERVE_HAPROXY_STATS_PORT"]
    metrics = environment["RAY_SERVE_HAPROXY_METRICS_PORT"]
    file = tmp_path / "haproxy.cfg"
    file.write_text(CONFIGURATION.format(stats=stats, metrics=metrics))
    program = environment["RAY_SERVE_HAPROXY_BINARY_PATH"]
    subprocess.run([program, "-c", "-f", str(file)], capture_output=True, check=False)
    lines = file.read_text().splitlines()
    assert f"    bind 127.0.0.1:{metrics}" in lines
    assert f"  bind 127.0.0.1:{stats}" in lines
    assert "    bind 127.0.0.1:8000" in lines


def test_the_program_is_haproxy_itself(environment):
    program = environment["RAY_SERVE_HAPROXY_BINARY_PATH"]
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=True)
    assert "HAProxy version" in done.stdout


def test_sockets_fit_and_nobody_else_enters(environment):
    socket = Path(environment["RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH"])
    assert len(str(socket)) + len("/" + "0" * 56) <= 97
    assert socket.parent.stat().st_mode & 0o077 == 0


def test_two_platforms_have_ports_and_folders_of_their_own(settings, tmp_path):
    homes = [tmp_path / name for name in "ab"]
    found = [
        haproxy_environment(settings.model_copy(update={"home": home}), home / "haproxy")
        for home in homes
    ]
    for name in ("STATS_PORT", "METRICS_PORT", "SOCKET_PATH", "CONFIG_FILE_LOC"):
        one, other = (item[f"RAY_SERVE_HAPROXY_{name}"] for item in found)
        assert one != other
    assert first_port(homes[0]) % PORTS_OF_A_PLATFORM == 0
    assert 20_000 <= first_port(homes[0]) < 32_768 - PORTS_OF_A_PLATFORM


def test_a_new_start_leaves_nothing_of_the_last_one(settings, tmp_path):
    link = tmp_path / "haproxy"
    haproxy_environment(settings, link)
    first = link.resolve()
    haproxy_environment(settings, link)
    assert not first.exists()
    assert link.resolve().is_dir()
