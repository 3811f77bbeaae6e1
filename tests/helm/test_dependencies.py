"""The charts that ours depends on are pinned, locked, and fetched as the lock says."""

import functools
import hashlib
import json
import re
import subprocess
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import yaml

from tests.helm.manifests import (
    AIRFLOW_KEYS,
    CHART,
    DEV,
    ROOT,
    dependencies,
    find,
    given,
    only,
)

INSTALLABLE = ("airflow", "qdrant", "kuberayOperator", "mongodb", "mlflow", "s3")


class TestDependencies:
    def test_they_are_pinned_and_locked(self):
        """The lock's digest is over both lists, so that helm refuses a lock that is behind."""
        lock = yaml.safe_load((CHART / "Chart.lock").read_text())
        fields = ("name", "version", "repository")
        locked = [{field: item[field] for field in fields} for item in dependencies()]
        assert [{field: item[field] for field in fields} for item in lock["dependencies"]] == locked
        for item in locked:
            assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", item["version"])
            assert item["repository"].startswith("https://")
        order = ("name", "version", "repository", "condition", "alias")
        asked = [{key: item[key] for key in order if key in item} for item in dependencies()]
        text = json.dumps([asked, locked], separators=(",", ":"))
        assert lock["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def test_helm_agrees_with_the_lock(self, run_helm, tmp_path):
        """With dependencies that helm can reach: the same digest as the one computed above."""
        (tmp_path / "part").mkdir()
        (tmp_path / "part" / "Chart.yaml").write_text(
            "apiVersion: v2\nname: part\nversion: 1.0.0\n"
        )
        (tmp_path / "whole").mkdir()
        asked = {"name": "part", "version": "1.0.0", "repository": "file://../part",
                 "condition": "install.part", "alias": "partChart"}  # fmt: skip
        about = {"apiVersion": "v2", "name": "whole", "version": "1.0.0", "dependencies": [asked]}
        (tmp_path / "whole" / "Chart.yaml").write_text(yaml.safe_dump(about))
        done = run_helm("dependency", "update", tmp_path / "whole")
        assert done.returncode == 0, done.stderr
        locked = {key: asked[key] for key in ("name", "version", "repository")}
        text = json.dumps([[asked], [locked]], separators=(",", ":"))
        lock = yaml.safe_load((tmp_path / "whole" / "Chart.lock").read_text())
        assert lock["digest"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def test_make_fetches_them_as_the_lock_says(self, run_helm, root, tmp_path, monkeypatch):
        """From a repository of our own: those of the real ones are not reached by tests."""
        for name in ("CONFIG", "CACHE", "DATA"):
            monkeypatch.setenv(f"HELM_{name}_HOME", str(tmp_path / name))
        part, served, whole = (tmp_path / name for name in ("part", "served", "whole"))
        for folder in (part, served, whole):
            folder.mkdir()
        (part / "Chart.yaml").write_text("apiVersion: v2\nname: part\nversion: 1.0.0\n")
        assert run_helm("package", part, "--destination", served).returncode == 0
        assert run_helm("repo", "index", served).returncode == 0
        handler = functools.partial(SimpleHTTPRequestHandler, directory=str(served))
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        asked = {"name": "part", "version": "1.0.0", "repository": url}
        about = {"apiVersion": "v2", "name": "whole", "version": "1.0.0", "dependencies": [asked]}
        (whole / "Chart.yaml").write_text(yaml.safe_dump(about))

        def make():
            return subprocess.run(
                ["make", "--directory", root, "chart-dependencies", f"CHART={whole}"],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip

        try:
            assert run_helm("dependency", "update", whole).returncode == 0
            (whole / "charts" / "part-1.0.0.tgz").unlink()
            done = make()
            assert done.returncode == 0, done.stderr
            assert (whole / "charts" / "part-1.0.0.tgz").is_file()
            lock = whole / "Chart.lock"
            lock.write_text(lock.read_text().replace("sha256:", "sha256:0"))
            assert "out of sync" in make().stderr
        finally:
            server.shutdown()
            server.server_close()

    @pytest.mark.parametrize("item", dependencies(), ids=lambda item: item["name"])
    def test_each_is_left_out_unless_asked_for(self, render, item):
        name = item.get("alias", item["name"])
        assert not find(render(), "DependencyValues", name)
        part = item["condition"]
        assert part.removeprefix("install.") in INSTALLABLE
        assert find(render(None, f"{part}=true", *AIRFLOW_KEYS), "DependencyValues", name)

    def test_our_own_stores_are_left_out_unless_asked_for(self, render):
        assert not find(render(), "StatefulSet") and not find(render(), "Deployment")
        for name in ("mongodb", "s3"):
            assert only(render(None, f"install.{name}=true"), "StatefulSet", name)
        assert only(render(None, "install.mlflow=true"), "Deployment", "mlflow")

    def test_versions_of_stores_are_those_of_compose(self, render):
        compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
        manifests = render(DEV)
        for service, maker in (("mongodb", "StatefulSet"), ("s3", "StatefulSet")):
            container = only(manifests, maker, service)["spec"]["template"]["spec"]["containers"][0]
            assert container["image"] == compose[service]["image"]
        tag = given(manifests, "qdrant")["image"]["tag"]
        assert compose["qdrant"]["image"].endswith(f":{tag}")
