"""The chart, rendered by the real helm, once per values file."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.helm.manifests import Manifest, Render, chart_to_render


@pytest.fixture(scope="session")
def helm(root: Path) -> Path:
    """The helm binary: the one that `make tools` fetched, or one on PATH."""
    fetched = root / ".venvs" / "tools" / "bin" / "helm"
    found = str(fetched) if fetched.is_file() else shutil.which("helm")
    assert found, "no helm: `make tools` fetches it"
    return Path(found)


@pytest.fixture(scope="session")
def chart() -> Path:
    """The chart as helm can render it here."""
    return chart_to_render()


@pytest.fixture(scope="session")
def run_helm(helm: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run helm and return what it said, whatever its exit status."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [str(helm), *(str(argument) for argument in arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture(scope="session")
def render(run_helm: Callable[..., "subprocess.CompletedProcess[str]"], chart: Path) -> Render:
    """Render the chart: ``render(values_file, "path.to=value", …) -> manifests``."""
    cache: dict[tuple[object, ...], list[Manifest]] = {}

    def render(values: Path | None = None, *sets: str) -> list[Manifest]:
        key = (values, *sets)
        if key not in cache:
            options = ["--values", values] if values else []
            for item in sets:
                options += ["--set", item]
            done = run_helm("template", "twin", chart, "--namespace", "twin", *options)
            assert done.returncode == 0, done.stderr
            cache[key] = [item for item in yaml.safe_load_all(done.stdout) if item]
        return cache[key]

    return render
