"""The Dockerfiles keep the rules: parts pinned and hashed, no root, nothing secret."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCKERFILES = sorted((ROOT / "images").glob("*/Dockerfile"))
REQUIREMENTS = ROOT / "images" / "twin" / "requirements"

every_dockerfile = pytest.mark.parametrize(
    "dockerfile", DOCKERFILES, ids=lambda path: path.parent.name
)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile: continued lines joined, comments left out."""
    lines = [
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    parts = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), " ".join(rest[0].split()) if rest else "") for name, *rest in parts]


def stages(dockerfile: Path) -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage; ``FROM``'s own is the first of each."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, rest in instructions(dockerfile):
        if name == "FROM":
            image, _, stage = rest.partition(" AS ")
            found[stage] = current = [("FROM", image)]
        elif found:
            current.append((name, rest))
    return found


def lineage(dockerfile: Path, target: str) -> list[tuple[str, str]]:
    """Instructions that make a target, those of the stages it stands on first."""
    own = stages(dockerfile)[target]
    base = own[0][1]
    return (lineage(dockerfile, base) if base in stages(dockerfile) else []) + own


TARGETS = [
    *(
        (ROOT / "images/twin/Dockerfile", target)
        for target in ("crawl", "crawl-browser", "features", "train", "serve", "serve-vllm")
    ),
    *((ROOT / "images/airflow/Dockerfile", target) for target in ("airflow", "airflow-jobs")),
    (ROOT / "images/mlflow/Dockerfile", "mlflow"),
]
every_target = pytest.mark.parametrize(
    ("dockerfile", "target"), TARGETS, ids=lambda part: str(part).split("/")[-1]
)


@every_dockerfile
def test_hadolint_finds_nothing(dockerfile):
    fetched = ROOT / ".venvs" / "tools" / "bin" / "hadolint"
    hadolint = str(fetched) if fetched.is_file() else shutil.which("hadolint")
    assert hadolint, "no hadolint: `make tools` fetches it"
    done = subprocess.run([hadolint, str(dockerfile)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@every_target
def test_target_runs_as_a_fixed_user_under_an_init(dockerfile, target):
    made = lineage(dockerfile, target)
    user = [rest for name, rest in made if name == "USER"][-1]
    assert re.fullmatch(r"(10001:10001|50000:0)", user)
    assert [rest for name, rest in made if name == "ENTRYPOINT"] == ['["tini", "--"]']
    volumes = json.loads(next(rest for name, rest in made if name == "VOLUME"))
    assert "/tmp" in volumes and any(volume.startswith("/home/") for volume in volumes)


@every_target
def test_target_says_what_it_is(dockerfile, target):
    labels = " ".join(rest for name, rest in lineage(dockerfile, target) if name == "LABEL")
    assert f'org.opencontainers.image.title="llm-twin/{target}"' in labels
    assert 'org.opencontainers.image.description="' in labels


def test_images_of_jobs_know_their_revision():
    for target in ("crawl", "crawl-browser", "features", "train", "serve", "serve-vllm"):
        made = lineage(ROOT / "images/twin/Dockerfile", target)
        assert ("ENV", "TWIN_CODE_VERSION=${REVISION}") in made


def test_serving_has_a_health_check():
    made = lineage(ROOT / "images/twin/Dockerfile", "serve")
    assert any(name == "HEALTHCHECK" and "/healthz" in rest for name, rest in made)


@every_dockerfile
def test_bases_are_stages_or_the_one_that_may_be_pinned(dockerfile):
    """A pipeline gives PYTHON_IMAGE with its digest; the default names version and release."""
    known = set()
    for stage, made in stages(dockerfile).items():
        base = made[0][1]
        assert base == "${PYTHON_IMAGE}" or base in known
        known.add(stage)
    assert ("ARG", "PYTHON_IMAGE=python:3.11-slim-bookworm") in instructions(dockerfile)


@every_dockerfile
def test_nothing_is_fetched_but_packages_with_hashes(dockerfile):
    for name, rest in instructions(dockerfile):
        assert name != "ADD"
        if name != "RUN":
            continue
        assert not re.search(r"\b(curl|wget|git clone)\b", rest)
        for command in re.split(r"&&|;|\|", rest):
            if re.search(r"\bpip\b.* install\b", command):
                assert "--no-deps" in command
                assert "--require-hashes" in command or "--no-index" in command, command


@every_dockerfile
def test_no_secret_is_built_in(dockerfile):
    for name, rest in instructions(dockerfile):
        if name in {"ARG", "ENV", "LABEL"}:
            assert not re.search(r"(?i)(password|secret|token|_key\b|api_key)", rest)


@every_dockerfile
def test_what_is_copied_exists_and_reaches_the_builder(dockerfile):
    # Patterns of .dockerignore that let something in; the first line shuts everything out.
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    shut_out = {rule for rule in rules if rule and rule[0] not in "!#*"}
    assert "*" in rules
    for name, rest in instructions(dockerfile):
        if name != "COPY" or "--from=" in rest:
            continue
        for source in rest.split()[:-1]:
            assert list(ROOT.glob(source)), source
            assert source.split("/")[0] in let_in
            assert source not in shut_out


def hashed(path: Path) -> dict[str, str]:
    """Package to version of a lock file; fails on one without a hash."""
    text = re.sub(r"(?m)^\s*#.*\n?", "", path.read_text())
    blocks = [block for block in re.split(r"\n(?=\S)", text.strip()) if block]
    locked = {}
    for block in blocks:
        match = re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", block)
        assert match, block
        assert "--hash=sha256:" in block, block
        locked[match[1].lower()] = match[2]
    return locked


LOCKS = [
    *(REQUIREMENTS / f"{name}.txt" for name in ("crawl", "features", "train", "serve", "weights")),
    *(
        REQUIREMENTS / f"{name}.txt"
        for name in ("crawl-browser", "build", "embedder", "sbom", "torch-cpu", "torch-cuda")
    ),
    *(REQUIREMENTS / f"serve-vllm-{kind}.txt" for kind in ("cpu", "cuda")),
    ROOT / "requirements.txt",
    ROOT / "images/mlflow/requirements.txt",
    ROOT / "images/airflow/requirements-oidc.txt",
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_package_is_locked_with_hashes(lock):
    assert hashed(lock)


def test_locks_that_meet_in_one_environment_agree():
    """`airflow-jobs` installs crawl and train into one environment."""
    seen: dict[str, str] = {}
    for name in ("crawl", "crawl-browser", "features", "train", "serve"):
        for package, version in hashed(REQUIREMENTS / f"{name}.txt").items():
            assert seen.setdefault(package, version) == version, package


def test_what_airflow_logs_people_in_with_changes_nothing_that_was_tested():
    """The image has both files; this project's tests run with the first."""
    tested, more = (
        hashed(ROOT / name) for name in ("requirements.txt", "images/airflow/requirements-oidc.txt")
    )
    assert {name: tested.get(name, version) for name, version in more.items()} == more
    assert {"apache-airflow-providers-fab", "authlib"} <= set(more) - set(tested)


def test_vllm_s_environment_has_serving_s_ray_and_lacks_what_breaks_it():
    """Calls cross between the two environments, so their Ray must be one."""
    ray = hashed(REQUIREMENTS / "serve.txt")["ray"]
    for kind in ("cpu", "cuda"):
        locked = hashed(REQUIREMENTS / f"serve-vllm-{kind}.txt")
        assert locked["ray"] == ray
        assert {"pyarrow", "pandas", "jsonref"} <= set(locked), "what ray.serve.llm imports"
        assert not {"torchvision", "torchaudio", "torchcodec"} & set(locked)
    assert "torch" not in hashed(REQUIREMENTS / "serve-vllm-cpu.txt"), "it is torch-cpu.txt's"
    assert locked["torch"] and locked["vllm"]


def test_parts_of_weights_and_torch_are_those_of_the_whole():
    weights = hashed(REQUIREMENTS / "weights.txt")
    assert hashed(REQUIREMENTS / "embedder.txt").items() <= weights.items()
    wanted = (REQUIREMENTS / "torch.txt").read_text().strip().split("==")[1]
    assert hashed(REQUIREMENTS / "torch-cuda.txt")["torch"] == wanted
    assert hashed(REQUIREMENTS / "torch-cpu.txt")["torch"] == f"{wanted}+cpu"


def test_airflow_starts_every_image_of_jobs_that_is_built():
    source = (ROOT / "include" / "job_pods.py").read_text()
    named = re.search(r"IMAGE_OF_STAGE = \{(.*?)\}", source, re.DOTALL)
    assert named
    images = set(re.findall(r': "([a-z]+)"', named[1]))
    assert images == {"crawl", "features", "train", "serve"}
    of_profile = re.search(r'IMAGE_OF_PROFILE = \{"([a-z-]+)": "([a-z-]+)"\}', source)
    assert of_profile
    images.add(of_profile[2])
    assert images <= set(stages(ROOT / "images/twin/Dockerfile"))
