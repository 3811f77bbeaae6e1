"""The image of the crawl, really built, run as in a pod: own user, nothing writable, no network.

Slow: it builds an image, a minute the first time. It skips where no Docker engine answers, or
where the engine cannot reach what the image is made of.
"""

import json
import os
import subprocess
import uuid

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: How the pod profiles run a container: include/profiles/crawl.yaml.
AS_IN_A_POD = [
    "--rm", "--read-only", "--network", "none", "--cap-drop", "ALL",
    "--security-opt", "no-new-privileges", "--user", "10001:10001",
    "--tmpfs", "/tmp:mode=1777", "--tmpfs", "/home/twin:uid=10001,gid=10001,mode=0700",
]  # fmt: skip


def docker(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="module")
def image():
    try:
        engine = docker("info")
    except FileNotFoundError:
        pytest.skip("no docker here")
    if engine.returncode:
        pytest.skip("no Docker engine answers")
    tag = f"llm-twin/crawl:test-{uuid.uuid4().hex[:8]}"
    done = docker(
        "build", "--file", str(ROOT / "images/twin/Dockerfile"), "--target", "crawl",
        "--build-arg", "REVISION=abc123", "--tag", tag, str(ROOT),
    )  # fmt: skip
    if "buildx component is missing" in done.stderr:
        pytest.skip("docker has no BuildKit here")
    if "failed to resolve" in done.stderr or "pull access denied" in done.stderr:
        pytest.skip("the engine has no base image and cannot fetch one")
    assert done.returncode == 0, done.stderr[-4000:]
    yield tag
    docker("image", "rm", tag)


def run(image: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return docker("run", *AS_IN_A_POD, image, *command)


@pytest.mark.parametrize("command", ["--help", "crawl run --help", "warehouse list --help"])
def test_command_runs_in_a_pod_of_its_profile(image, command):
    done = run(image, "twin", *command.split())
    assert done.returncode == 0, done.stderr
    assert "Usage: twin" in done.stdout


def test_it_says_what_to_do_when_a_store_is_not_there(image):
    """A crawl with no warehouse ends as one to try again, in one line, with no traceback."""
    done = run(image, "twin", "crawl", "run", "--recipe", "handbook")
    assert done.returncode == 75, done.stderr
    assert "twin crawl run: error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_can_write_or_install(image):
    script = (
        "id -u; touch /app/x /opt/venv/x; touch /tmp/x /home/twin/x && echo written; pip --version"
    )
    done = run(image, "sh", "-c", script)
    assert done.stdout.split()[:2] == ["10001", "written"]
    assert done.stderr.count("Read-only file system") == 2
    assert run(image, "python", "-m", "pip").returncode != 0
    assert run(image, "sh", "-c", "command -v gcc git curl wget").stdout == ""


def test_it_is_small_and_says_what_it_is(image):
    (told,) = json.loads(docker("image", "inspect", image).stdout)
    assert told["Size"] < 350_000_000
    assert told["Config"]["Labels"]["org.opencontainers.image.revision"] == "abc123"
    assert "TWIN_CODE_VERSION=abc123" in told["Config"]["Env"]
    assert set(told["Config"]["Volumes"]) == {"/tmp", "/home/twin"}
