"""`.ci/in-time`: a failure fails, running out of time does not."""

import subprocess

import pytest

from tests.conftest import ROOT


def in_time(seconds, command):
    return subprocess.run(
        [ROOT / ".ci" / "in-time", str(seconds), "bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", "TWIN_CI_GRACE_SECONDS": "0.2"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("status", [0, 1, 2, 5])
def test_a_command_s_own_end_is_passed_on(status):
    done = in_time(30, f"echo ran; exit {status}")
    assert (done.returncode, done.stdout) == (status, "ran\n")


@pytest.mark.parametrize("command", ["sleep 60", "trap '' TERM; while true; do sleep 0.05; done"])
def test_one_that_is_out_of_time_is_ended_and_told(command):
    done = in_time(0.3, command)
    assert done.returncode == 0
    assert "OUT OF TIME after 0.3 s: bash -c" in done.stdout
