"""The images, really built, and run as in a pod: own user, nothing writable, no capabilities.

Slow and large (14 GB; eight minutes on two cores from the builder's cache), so only
`make test-images` runs it. It skips where no Docker engine answers, or where the engine cannot
reach what the images are made of.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest

from tests import image_builder
from tests.conftest import ROOT
from tests.image_builder import Done, docker
from tests.images.test_dockerfiles import REQUIREMENTS, TARGETS, hashed
from tests.images.test_imports import COMMANDS
from tests.servers import warehouse_server, web_server

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

REVISION = "0123abc"

#: Megabytes that an image may take, unpacked; the first two are goals, the rest keep what is.
LARGEST = {
    "crawl": 350, "crawl-browser": 1100, "features": 1500, "train": 2500, "serve": 2000,
    "serve-vllm": 3900,
    "airflow": 850, "airflow-jobs": 3100, "mlflow": 1000,
}  # fmt: skip

#: A page that is empty until its script has run.
APP = """<html lang="en"><head><title>App</title></head><body><main></main><script>
const text = [...Array(12).keys()].map(n => `<p>Written by a script, sentence ${n}. It says enough
to be an article, and its author stands by every word of it.</p>`).join("");
document.querySelector("main").innerHTML = `<article><h1>App</h1>${text}</article>`;
</script></body></html>"""

#: What a container may write to, as the pod profiles and the chart mount it.
USER = {"airflow": "50000:0", "airflow-jobs": "50000:0"}
HOME = {"airflow": "/home/airflow", "airflow-jobs": "/home/airflow", "mlflow": "/home/mlflow"}
LOGS = {"airflow": ["/opt/airflow/logs"], "airflow-jobs": ["/opt/airflow/logs"]}

SQLITE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=sqlite:////tmp/airflow.db"

#: What each image is started for.
ENTRIES = {
    **{target: [f"twin {job} --help" for job in jobs] for target, jobs in COMMANDS.items()},
    "serve-vllm": [
        "ray --version",
        "python -c __import__('twin.serving.vllm_server')",
    ],
    "airflow": ["airflow version", f"env {SQLITE} airflow db migrate", "airflow scheduler --help"],
    "airflow-jobs": ["airflow version", "/opt/venv/bin/twin training sft --help"],
    "mlflow": ["mlflow --version", "mlflow server --help"],
}

#: Lock files of the environment that holds an image's command, and where it lies.
LOCKS = {
    "crawl": ("/opt/venv", ["crawl"]),
    "crawl-browser": ("/opt/venv", ["crawl-browser"]),
    "features": ("/opt/venv", ["torch-cpu", "features", "embedder"]),
    "train": ("/opt/venv", ["torch-cpu", "train", "weights"]),
    "serve": ("/opt/venv", ["torch-cpu", "serve", "embedder"]),
    "serve-vllm": ("/opt/venv", ["torch-cpu", "serve-vllm-cpu"]),
    "airflow": ("/opt/airflow-venv", ["../../../requirements"]),
    "airflow-jobs": ("/opt/venv", ["torch-cpu", "crawl", "train", "weights"]),
    "mlflow": ("/opt/venv", ["../../mlflow/requirements"]),
}


@dataclass(frozen=True)
class Image:
    """An image that was built for these tests."""

    target: str
    tag: str

    @property
    def limits(self) -> list[str]:
        """Arguments of `docker run` that leave a container what a pod's profile leaves it."""
        user = USER.get(self.target, "10001:10001")
        uid, gid = user.split(":")
        own = [HOME.get(self.target, "/home/twin"), *LOGS.get(self.target, [])]
        mounts = ["/tmp:mode=1777", *(f"{folder}:uid={uid},gid={gid},mode=0700" for folder in own)]
        return [
            "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
            "--user", user, *(part for mount in mounts for part in ("--tmpfs", mount)),
        ]  # fmt: skip

    def run(self, *command: str, options: list[str] | None = None) -> Done:
        """Run a command to its end in a container without a network, unless options give one."""
        network = [] if options and "--network" in options else ["--network", "none"]
        return docker("run", "--rm", *network, *self.limits, *(options or []), self.tag, *command)

    def inspected(self) -> dict[str, Any]:
        """What the engine knows of the image."""
        (told,) = json.loads(docker("image", "inspect", self.tag).stdout)
        return dict(told)


@pytest.fixture(scope="module")
def torch_source(tmp_path_factory) -> Iterator[list[str]]:
    """Arguments that say where PyTorch without CUDA comes from, if not from its own index."""
    with image_builder.torch_source(tmp_path_factory.mktemp("index")) as arguments:
        yield arguments


def build(dockerfile: Path, target: str, tag: str, *arguments: str) -> None:
    image_builder.build(dockerfile, target, tag, "--build-arg", f"REVISION={REVISION}", *arguments)


@pytest.fixture(scope="module", params=TARGETS, ids=lambda part: part[1])
def image(request, torch_source) -> Iterator[Image]:
    """Each image in turn."""
    dockerfile, target = request.param
    tag = f"llm-twin/{target}:test"
    build(dockerfile, target, tag, *torch_source)
    yield Image(target, tag)
    docker("image", "rm", tag)


@contextmanager
def started(image: Image, *options: str) -> Iterator[str]:
    """A container of the image, doing what the image does; yields its name."""
    name = f"twin-test-{uuid.uuid4().hex[:8]}"
    done = docker("run", "--detach", "--name", name, *image.limits, *options, image.tag)
    assert done.returncode == 0, done.stderr
    try:
        yield name
    finally:
        docker("rm", "--force", "--volumes", name)


def health(name: str) -> str:
    """Wait for the container's own health check to say something; else its log."""
    deadline = time.monotonic() + 240
    state: dict[str, Any] = {}
    while time.monotonic() < deadline:
        state = json.loads(docker("inspect", "--format", "{{json .State}}", name).stdout)
        if state["Status"] != "running" or state["Health"]["Status"] != "starting":
            break
        time.sleep(1)
    return str(state["Health"]["Status"])


def leaves(name: str) -> int:
    """Exit status of the container's command once it is told to end; 137 if it had to be killed."""
    docker("stop", "--time", "60", name)
    return int(docker("inspect", "--format", "{{.State.ExitCode}}", name).stdout)


class TestEveryImage:
    def test_what_it_is_started_for_starts(self, image):
        for entry in ENTRIES[image.target]:
            done = image.run(*entry.split())
            assert done.returncode == 0, (entry, done.stdout[-2000:], done.stderr[-2000:])

    def test_first_process_is_an_init(self, image):
        done = image.run("sh", "-c", "cat /proc/1/comm; id -u; id -g")
        assert done.stdout.split() == ["tini", *USER.get(image.target, "10001:10001").split(":")]

    def test_nobody_writes_but_to_what_is_declared(self, image):
        declared = set(image.inspected()["Config"]["Volumes"])
        assert declared == {
            "/tmp", HOME.get(image.target, "/home/twin"), *LOGS.get(image.target, []),
        }  # fmt: skip
        places = " ".join(f"{folder}/x" for folder in sorted(declared))
        done = image.run("sh", "-c", f"touch {places} && echo written; touch /opt/x /etc/x /usr/x")
        assert done.stdout.split() == ["written"]
        assert done.stderr.count("Read-only file system") == 3

    def test_nothing_of_the_build_is_left(self, image):
        """What the base brings under /usr is not ours, but no compiler is there either."""
        script = """
            for tool in gcc cc make git curl wget; do command -v $tool; done
            find / -xdev -path /usr -prune -o '(' -name .cache \
                -o -name '*.whl' -not -path '*/virtualenv/seed/*' \
                -o -path '/var/lib/apt/lists/*_*' -o -path '/var/cache/apt/*.*' \
                -o -path /wheels -o -path /src -o -path '/opt/s*' -o -path '/mnt/*' \
                -o -path '/tmp/*' -o -path '*/torch/include' ')' -print
        """
        done = image.run("sh", "-c", script)
        assert done.stdout == ("/usr/bin/git\n" if image.target.startswith("crawl") else "")
        environment = LOCKS[image.target][0]
        assert image.run(f"{environment}/bin/python", "-m", "pip").returncode != 0

    def test_it_says_what_it_is(self, image):
        told = image.inspected()
        labels = told["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == f"llm-twin/{image.target}"
        assert labels["org.opencontainers.image.revision"] == REVISION
        assert labels["org.opencontainers.image.base.name"].startswith("python:3.11-slim-bookworm")
        code = f"TWIN_CODE_VERSION={REVISION}" in told["Config"]["Env"]
        assert code is (image.target not in {"airflow", "mlflow"})

    def test_it_is_small(self, image):
        megabytes = image.inspected()["Size"] / 1e6
        print(f"{image.target}: {megabytes:.0f} MB")
        assert megabytes < LARGEST[image.target]

    def test_bill_of_materials_is_what_was_locked(self, image):
        environment, names = LOCKS[image.target]
        locked: dict[str, str] = {}
        for name in names:
            locked |= hashed(REQUIREMENTS / f"{name}.txt")
        bill = json.loads(image.run("cat", f"{environment}/sbom.cdx.json").stdout)
        assert bill["bomFormat"] == "CycloneDX"
        listed = {
            re.sub(r"[-_.]+", "-", part["name"]).lower(): part["version"]
            for part in bill["components"]
        }
        listed.pop("twin", None)
        assert listed.items() <= locked.items()
        # The rest of the lock is for other systems and Pythons.
        assert len(listed) >= 0.9 * len(locked)

    def test_every_module_is_compiled(self, image):
        """With nothing writable, what is not compiled here is compiled at each start."""
        environment, _ = LOCKS[image.target]
        script = f"""
            import pathlib
            root = pathlib.Path("{environment}/lib/python3.11/site-packages")
            for path in root.rglob("*.py"):
                kept = path.parent / "__pycache__" / (path.stem + ".cpython-311.pyc")
                if not kept.exists() and not {{"test", "tests", "testing"}} & set(path.parts):
                    print(path)
        """
        done = image.run("python", "-c", "if 1:" + script)
        assert done.returncode == 0 and done.stdout == "", done.stderr

    def test_files_can_be_asked_for_with_any_kind_of_credentials(self, image):
        """Of what botocore knows, the images keep little."""
        script = """
            import botocore.session
            session = botocore.session.get_session()
            for service in ("s3", "sts", "sso", "sso-oidc"):
                session.create_client(service, region_name="eu-west-1")
        """
        python = f"{LOCKS[image.target][0]}/bin/python"
        done = image.run(python, "-c", "if 1:" + script)
        assert done.returncode == 0, done.stderr


class TestJobs:
    def test_crawl_and_features_do_their_work(self, torch_source, tmp_path):
        """The demo's articles into a warehouse and into an index, by two containers in turn."""
        images = {}
        for target in ("crawl", "features"):
            images[target] = Image(target, f"llm-twin/{target}:test")
            build(ROOT / "images/twin/Dockerfile", target, images[target].tag, *torch_source)
        shared = tmp_path / "files"
        shared.mkdir()
        shared.chmod(0o777)
        with warehouse_server(tmp_path / "warehouse") as (uri, _port, _pid):
            options = [
                "--network", "host", "--volume", f"{shared}:/files",
                "--env", f"TWIN_MONGO_URI={uri}", "--env", "TWIN_FILES_URI=/files",
            ]  # fmt: skip
            common = ["--recipe", "handbook", "--result"]
            for target, job in (("crawl", "crawl run"), ("features", "features build")):
                result = f"/files/{target}.json"
                done = images[target].run("twin", *job.split(), *common, result, options=options)
                assert done.returncode == 0, done.stderr[-3000:]
                counts = json.loads((shared / f"{target}.json").read_text())["counts"]
                assert counts["read"] == 16, counts
            again = images["crawl"].run(
                "twin", "crawl", "run", *common, "/files/again.json", options=options
            )
            assert again.returncode == 99, again.stderr[-3000:]

    def test_a_page_that_only_a_browser_can_read_is_crawled(self, torch_source, tmp_path):
        """By Chromium in a pod: a user of its own, no capabilities, a read-only root."""
        image = Image("crawl-browser", "llm-twin/crawl-browser:test")
        build(ROOT / "images/twin/Dockerfile", image.target, image.tag, *torch_source)
        site = tmp_path / "site"
        site.mkdir()
        site.joinpath("index.html").write_text(APP)
        folder = tmp_path / "recipes"
        folder.mkdir()
        with (
            warehouse_server(tmp_path / "warehouse") as (uri, _port, _pid),
            web_server(site) as url,
        ):
            source = {
                "name": "app", "kind": "web", "start_urls": [f"{url}/"], "javascript": True,
                "allow_private": [url.removeprefix("http://")],
            }  # fmt: skip
            author = {"id": "someone", "name": "Someone"}
            recipe = {"name": "app", "author": author, "sources": [source]}
            (folder / "app.yaml").write_text(json.dumps(recipe))
            done = image.run(
                "twin", "crawl", "run", "--recipe", "app",
                options=[
                    "--network", "host", "--volume", f"{folder}:/app/include/recipes:ro",
                    "--env", f"TWIN_MONGO_URI={uri}", "--env", "TWIN_FILES_URI=/tmp/files",
                ],
            )  # fmt: skip
            assert done.returncode == 0, done.stderr[-3000:]
            with pymongo.MongoClient(uri) as warehouse:
                (document,) = warehouse["twin"]["documents"].find()
        assert "Written by a script, sentence 11." in json.dumps(document, default=str)

    def test_git_can_clone_over_https(self, torch_source):
        image = Image("crawl", "llm-twin/crawl:test")
        build(ROOT / "images/twin/Dockerfile", "crawl", image.tag, *torch_source)
        done = image.run("git", "ls-remote", "https://127.0.0.1:1/nobody/nothing")
        assert "Failed to connect" in done.stderr, "its transport is there, the server is not"

    def test_a_store_that_is_not_there_is_named(self, torch_source):
        """A crawl with no warehouse ends as one to try again, in one line, with no traceback."""
        image = Image("crawl", "llm-twin/crawl:test")
        build(ROOT / "images/twin/Dockerfile", "crawl", image.tag, *torch_source)
        done = image.run("twin", "crawl", "run", "--recipe", "handbook")
        assert done.returncode == 75, done.stderr
        assert "twin crawl run: error:" in done.stderr
        assert "Traceback" not in done.stderr


class TestServers:
    def test_mlflow_becomes_healthy_and_leaves_when_told(self, torch_source):
        image = Image("mlflow", "llm-twin/mlflow:test")
        build(ROOT / "images/mlflow/Dockerfile", "mlflow", image.tag)
        with started(image, "--network", "none") as name:
            assert health(name) == "healthy", docker("logs", name).stderr[-3000:]
            assert leaves(name) == 0

    def test_serving_becomes_healthy_and_leaves_when_told(self, torch_source):
        """With no registry and no model in service, as on a first start."""
        image = Image("serve", "llm-twin/serve:test")
        build(ROOT / "images/twin/Dockerfile", "serve", image.tag, *torch_source)
        options = ["--network", "none", "--shm-size", "512m", "--env", "TWIN_API_KEYS=a-key"]
        with started(image, *options, "--env", "TWIN_RAY_CPUS=2") as name:
            assert health(name) == "healthy", docker("logs", name).stderr[-3000:]
            asked = "import httpx; print(httpx.get('http://127.0.0.1:8000/v1/models').status_code)"
            assert docker("exec", name, "python", "-c", asked).stdout.strip() == "401"
            assert leaves(name) == 0


def test_same_lock_makes_the_same_layers(torch_source):
    """Built twice from nothing, on one base: every layer of the crawl's image is the same."""
    layers = []
    for number in (1, 2):
        image = Image("crawl", f"llm-twin/crawl:test-again-{number}")
        build(
            ROOT / "images/twin/Dockerfile", "crawl", image.tag, "--no-cache", *torch_source,
            "--build-arg", "SOURCE_DATE_EPOCH=1700000000",
        )  # fmt: skip
        layers.append(image.inspected()["RootFS"]["Layers"])
        docker("image", "rm", image.tag)
    assert layers[0] == layers[1]
