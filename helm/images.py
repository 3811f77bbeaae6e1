"""Prints every image that a rendered chart runs, one a line: what an air-gapped registry must hold.

    helm template twin helm/llm-twin --values my-values.yaml | python helm/images.py

Images of jobs stand in no manifest, since Airflow starts their pods: they are taken from what the
ConfigMap twin-airflow tells it, for every kind of job.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

#: What Airflow may start: targets of images/twin/Dockerfile, and their variants for GPUs.
JOBS = ("crawl", "crawl-browser", "features", "train", "train-cuda", "serve")
_IMAGE = re.compile(r"[^\s:@]+(:\d+)?(/[^\s:@]+)*(:[\w][\w.-]*)?(@sha256:[0-9a-f]{64})?")


def images(manifests: list[dict[str, Any]]) -> list[str]:
    """Names of the images that these manifests and their jobs run, sorted."""
    found = {image for manifest in manifests for image in _named(manifest)}
    for manifest in manifests:
        if manifest["kind"] == "ConfigMap" and manifest["metadata"]["name"] == "twin-airflow":
            found.update(_of_jobs(manifest["data"]))
    return sorted(found)


def _named(item: Any) -> Iterator[str]:
    """Values of every key `image` that are a name, whatever the kind of the object."""
    if isinstance(item, dict):
        for key, value in item.items():
            if key == "image" and isinstance(value, str) and _IMAGE.fullmatch(value):
                yield value
            yield from _named(value)
    elif isinstance(item, list):
        for each in item:
            yield from _named(each)


def _of_jobs(told: dict[str, str]) -> Iterator[str]:
    repository, tag = told["AIRFLOW__TWIN__IMAGE_REPOSITORY"], told["AIRFLOW__TWIN__IMAGE_TAG"]
    pairs = (pair.split("=") for pair in told.get("AIRFLOW__TWIN__IMAGE_DIGESTS", "").split(","))
    digests = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
    for name in JOBS:
        yield (
            f"{repository}/{name}@{digests[name]}"
            if name in digests
            else (f"{repository}/{name}:{tag}")
        )


def main() -> None:
    """Read manifests from standard input."""
    manifests = [item for item in yaml.safe_load_all(sys.stdin) if item]
    if not manifests:
        raise SystemExit("no manifests on standard input: pipe `helm template …` into this")
    print("\n".join(images(manifests)))


if __name__ == "__main__":
    main()
