"""A whole platform of the test's own: real Airflow, MLflow, Ray Serve and stores on free ports."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests import servers, snippets, tiny_model

TOPICS = {
    "boilers": "boiler pressure gauge valve steam feed water firebox safety plug",
    "ballast": "ballast tank trim list draught pump sea chest heel",
    "watches": "watch bell logbook relief bridge night lamp handover",
    "anchors": "anchor chain windlass scope holding ground shackle fluke",
    "engines": "engine cylinder piston crankshaft governor oil bearing telegraph",
    "charts": "chart bearing compass sounding fathom buoy leading line",
    "rigging": "rigging shroud block tackle splice halyard rope grease",
    "stores": "stores ledger cask biscuit locker tally purser weight",
}


def article(topic: str, words: str) -> str:
    """A small article about one topic, so that retrieval has something to tell apart."""
    names = words.split()
    parts = [
        f"---\ntitle: On {topic}\nsubtitle: What I learned about {topic}\n---\n\n# On {topic}\n"
    ]
    for number, name in enumerate(names):
        other = names[(number + 1) % len(names)]
        parts.append(
            f"## The {name}\n\nI keep a rule about the {name}. Look at the {name} before you touch "
            f"the {other}, and write down what you saw, since the next watch was not there. When "
            f"the {name} is right the {other} follows, and when it is wrong no care spent on the "
            f"{other} will help the {topic}. The cost is a line in the log and ten minutes.\n"
        )
    return "\n".join(parts)


@dataclass
class Stage:
    """Where the test's platform lives, and how to command it."""

    project: Path
    environment: dict[str, str]
    endpoint: str

    def twin(self, *arguments: str, seconds: float = 600) -> subprocess.CompletedProcess[str]:
        """Run `twin <arguments>` against this platform."""
        environment = self.environment if arguments[0] == "laptop" else self._of_jobs()
        return subprocess.run(
            [str(servers.BIN / "twin"), *arguments],
            env=environment, cwd=self.project, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip

    @property
    def home(self) -> Path:
        """Folder of everything that the platform writes."""
        return Path(self.environment["TWIN_LAPTOP_HOME"])

    @property
    def key(self) -> str:
        """Key of the endpoint."""
        return str(json.loads((self.home / "secrets.json").read_text())["api_key"])

    def as_here(self, text: str) -> str:
        """A text of the documentation with this platform's endpoint and twin in it."""
        others = {
            "http://127.0.0.1:8000": self.endpoint,
            "twin-handbook": "twin-tiny",
            "--recipe handbook": "--recipe tiny",
            "--recipe ada": "--recipe tiny",
        }
        for word, here in others.items():
            text = text.replace(word, here)
        return text

    def _of_jobs(self) -> dict[str, str]:
        """The environment that a person gets by `eval "$(twin laptop environment)"`."""
        exports = self.twin("laptop", "environment").stdout
        pairs = (word.partition("=") for word in shlex.split(exports) if word != "export")
        return {**self.environment, **{name: value for name, _, value in pairs}}


@pytest.fixture(scope="session")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what Airflow reads, with one more recipe: a tiny model on eight articles."""
    copy = tmp_path_factory.mktemp("project")
    for folder in ("dags", "plugins", "include"):
        shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    sources = copy / "articles"
    sources.mkdir()
    for topic, words in TOPICS.items():
        (sources / f"{topic}.md").write_text(article(topic, words))
    recipe = {
        "name": "tiny",
        "author": {"id": "tiny", "name": "The Mate"},
        "sources": [{"kind": "folder", "name": "articles", "path": str(sources)}],
        # Whatever is asked of eight articles of made-up words, a model writes.
        "retrieval": {"min_score": 0},
        "features": {"chunk_tokens": 120},
        # Three of the articles for the test: of one alone, no first version is promoted.
        "datasets": {"test_share": 0.62, "validation_share": 0.02},
        "training": {
            "base_model": str(tiny_model.build(copy / "base-model")),
            "sft": {"epochs": 3, "learning_rate": 5e-3, "batch_size": 8},
            "dpo": {
                "max_steps": 2,
                "max_length": 1024,
                "pairs": {"max_pairs": 8, "max_tokens": 256, "max_held_out": 0},
            },
        },
        "evaluation": {
            "max_samples": 8,
            "max_new_tokens": 16,
            # Learning a hand takes seconds; tests/twin/evaluation/test_evaluate.py has it.
            "style": {"packages": False},
            # A two-million-parameter model learns what is likely, not to write.
            "gate": {
                "max_rouge_loss": 1.0,
                "max_similarity_loss": 1.0,
                "max_broken_share": 1.0,
                "min_recall": 0.0,
            },
        },
        "serving": {
            "replicas": 1,
            "max_new_tokens": 24,
            "cpus_per_replica": 1,
            "engine": "transformers",
        },
    }
    (copy / "include" / "recipes" / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return copy


@pytest.fixture(scope="session")
def stage(root: Path, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A platform on free ports; every process of it has ended when the session ends."""
    ports = {
        f"TWIN_LAPTOP_{name}_PORT": str(servers.free_port())
        for name in (
            "WAREHOUSE", "MLFLOW", "RAY_DASHBOARD", "ENDPOINT", "AIRFLOW", "WORKER_LOG",
            "TRIGGERER_LOG",
        )
    }  # fmt: skip
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TWIN_")},
        **ports,
        "TWIN_LAPTOP_HOME": str(tmp_path_factory.mktemp("platform") / "home"),
        "TWIN_LAPTOP_PROJECT": str(project),
        "TWIN_LAPTOP_AIRFLOW_ENVIRONMENT": str(root / ".venvs" / "airflow"),
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
    }
    made = Stage(project, environment, f"http://127.0.0.1:{ports['TWIN_LAPTOP_ENDPOINT_PORT']}")
    try:
        yield made
    finally:
        made.twin("laptop", "down", seconds=120)


@pytest.fixture(scope="session")
def demo(stage: Stage) -> tuple[str, float]:
    """The demo has run once: what it printed, and how long it took."""
    started = time.monotonic()
    done = stage.twin(
        "laptop", "demo", "--recipe", "tiny", "--question", "What is the rule about ballast?",
        seconds=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, time.monotonic() - started


@pytest.fixture(scope="session")
def reader(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout beside the platform, where a reader pastes commands."""
    folder = snippets.fresh_checkout(tmp_path_factory.mktemp("reader"))
    (folder / ".twin").symlink_to(stage.home)
    return folder
