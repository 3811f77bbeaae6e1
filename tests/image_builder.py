"""Builds this project's images with the Docker engine of this machine, as `make images` does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.servers import web_server

ROOT = Path(__file__).parent.parent
Done = subprocess.CompletedProcess[str]


@cache
def client() -> str:
    """The first docker on PATH that builds with BuildKit: without its plugin none after 20 does."""
    for folder in os.environ["PATH"].split(os.pathsep):
        found = Path(folder) / "docker"
        if not found.is_file():
            continue
        told = subprocess.run(
            [found, "version", "--format", "{{.Client.Version}}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode:
            pytest.skip("no Docker engine answers")
        plugin = subprocess.run([found, "buildx", "version"], capture_output=True, check=False)
        if plugin.returncode == 0 or int(told.stdout.split(".")[0]) <= 20:
            return str(found)
    pytest.skip("no docker here, or none with BuildKit")


def docker(*arguments: str) -> Done:
    """Run docker to its end."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    return subprocess.run(
        [client(), *arguments], capture_output=True, text=True, check=False, env=environment
    )


@contextmanager
def torch_source(folder: Path) -> Iterator[list[str]]:
    """Arguments that say where PyTorch without CUDA comes from, if not from its own index.

    TORCH_CPU_INDEX says it, or a folder of wheels that pip is configured with, which is served
    (always at the same port: the address is part of what the builder knows a layer by).
    """
    if given := os.environ.get("TORCH_CPU_INDEX"):
        yield ["--build-arg", f"TORCH_CPU_INDEX={given}"]
        return
    wheels = Path(os.environ.get("PIP_FIND_LINKS", "/nowhere"))
    if not list(wheels.glob("torch-*+cpu-*.whl")):
        yield []
        return
    index = folder / "simple"
    index.mkdir()
    (index / "torch").symlink_to(wheels)
    with web_server(index, port=8999) as url:
        yield ["--network", "host", "--build-arg", f"TORCH_CPU_INDEX={url}"]


def build(dockerfile: Path, target: str, tag: str, *arguments: str) -> None:
    """Build one target of a Dockerfile; skip the test where its base cannot be had."""
    done = docker(
        "build", "--file", str(dockerfile), "--target", target, "--tag", tag, *arguments, str(ROOT)
    )
    if "failed to resolve" in done.stderr or "pull access denied" in done.stderr:
        pytest.skip("the engine has no base image and cannot fetch one")
    assert done.returncode == 0, done.stderr[-4000:]
