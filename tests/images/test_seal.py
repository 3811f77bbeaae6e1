"""What `images/seal` takes out of an environment is not missed."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import ROOT
from tests.twin.crawl.site_server import article

SEAL = ROOT / "images" / "seal"


def part(beginning: str) -> str:
    """The loop of the script that begins so, by itself."""
    return re.search(rf"^for {beginning} in .*?^done$", SEAL.read_text(), re.M | re.S)[0]


def test_pages_are_read_without_the_languages_of_babel(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    shutil.copytree(Path(find_spec("babel").origin).parent, packages / "babel")
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", part("babel")],
        env={**os.environ, "environment": str(tmp_path)},
        check=True,
    )
    left = {path.name for path in (packages / "babel" / "locale-data").glob("*.dat")}
    assert left == {"root.dat", "en.dat"}
    page = tmp_path / "page.html"
    page.write_text(article("Tides").replace("en-GB", "de"))
    command = [sys.executable, "-m", "twin.cli", "crawl", "extract", str(page)]
    done = subprocess.run(
        [*command, "--url", "https://e.org/de/tides"],
        env={**os.environ, "PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "This sentence of Tides" in json.loads(done.stdout)["markdown"]


def test_airflow_keeps_them(tmp_path: Path) -> None:
    """Its connections and pages may ask for any language."""
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    (packages / "airflow").mkdir(parents=True)
    (packages / "babel" / "locale-data").mkdir(parents=True)
    (packages / "babel" / "locale-data" / "de.dat").touch()
    script = part("babel")
    environment = {**os.environ, "environment": str(tmp_path)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], env=environment, check=True)
    assert (packages / "babel" / "locale-data" / "de.dat").exists()
