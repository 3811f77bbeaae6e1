"""`make .env` fills in secrets once: the databases that were made with them know no others."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT


def make_env(folder: Path) -> str:
    subprocess.run(
        ["make", "--file", ROOT / "Makefile", ".env"],
        cwd=folder, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return (folder / ".env").read_text()


def test_secrets_stay_when_the_example_gets_newer(tmp_path: Path) -> None:
    example = tmp_path / ".env.example"
    shutil.copy(ROOT / ".env.example", example)
    made = make_env(tmp_path)
    assert made != example.read_text(), "it fills in secrets"
    os.utime(tmp_path / ".env", (1, 1))
    os.utime(example)
    assert make_env(tmp_path) == made
    (tmp_path / ".env").unlink()
    assert make_env(tmp_path) != made
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
