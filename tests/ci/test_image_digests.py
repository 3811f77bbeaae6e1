"""`make image-digests`: what is rolled out is what the registry holds, by digest."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

# Stands in for Amazon's command line: the digest of an image is made of its name's length.
AWS = """#!/bin/bash
set -eu
[ "$1 $2 $3 $5 $6" = "ecr describe-images --repository-name --image-ids imageTag=abc123" ]
[ "$4" != "${MISSING:-none}" ] || { echo "ImageNotFoundException: $4" >&2; exit 254; }
printf 'sha256:%064d\n' "${#4}"
"""


def image_digests(folder: Path, *, missing: str = "none") -> "subprocess.CompletedProcess[str]":
    folder.joinpath("aws").write_text(AWS)
    folder.joinpath("aws").chmod(0o755)
    return subprocess.run(
        [
            "make", "--directory", ROOT, "image-digests", "TAG=abc123",
            f"DIGESTS={folder}/made/it.yaml",
        ],
        env={"PATH": f"{folder}:/usr/bin:/bin", "MISSING": missing},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_every_image_of_a_release_is_named_by_digest(tmp_path: Path) -> None:
    done = image_digests(tmp_path)
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load((tmp_path / "made/it.yaml").read_text())
    named = values["images"]["digests"]
    schema = json.loads((ROOT / "helm/llm-twin/values.schema.json").read_text())
    known = schema["properties"]["images"]["properties"]["digests"]["propertyNames"]["enum"]
    assert set(named) == set(known), "the chart takes them"
    named["airflow"] = values["airflowChart"]["defaultAirflowDigest"]
    images = yaml.safe_load((ROOT / ".github/workflows/images.yaml").read_text())
    pushed = {image["name"] for image in images["jobs"]["push"]["strategy"]["matrix"]["include"]}
    assert named == {name: f"sha256:{len(f'llm-twin/{name}'):064d}" for name in pushed}


@pytest.mark.parametrize("missing", ["llm-twin/airflow", "llm-twin/train"])
def test_an_image_that_is_not_there_stops_a_roll_out(tmp_path: Path, missing: str) -> None:
    done = image_digests(tmp_path, missing=missing)
    assert done.returncode != 0
    assert f"ImageNotFoundException: {missing}" in done.stderr
