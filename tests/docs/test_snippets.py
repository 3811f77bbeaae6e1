"""Every code block of README and pages runs as pasted, or says why it can't.

Here run those that need no platform. Targets of `make` are expanded (`make --dry-run`): what they
do takes minutes and is tested where it is done. tests/e2e has the blocks that need a demo.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.conftest import ROOT
from tests.snippets import (
    CHART,
    DEMO,
    IN_SERVICE,
    LANGCHAIN,
    MAY_LACK,
    NOT_RUN,
    SECOND,
    Snippet,
    fresh_checkout,
    run,
    snippets,
)
from twin.recipes import load_recipe

#: Blocks that no test runs, by page and first words: a new one must be put here.
LEFT_OUT = {
    ("README.md", "git clone"),
    ("docs/pages/how-to/another-author.md", ".venvs/jobs/bin/twin author remove"),
    ("docs/pages/how-to/answers-that-are-measured.md", ".venvs/jobs/bin/twin evaluation answer"),
    ("docs/pages/how-to/bring-into-service.md", "export TWIN_REGISTRY_WEBHOOK_SECRET"),
    ("docs/pages/how-to/check-samples.md", "python3 -m venv"),
    ("docs/pages/how-to/check-samples.md", "export TWIN_LABEL_STUDIO_URL"),
    ("docs/pages/how-to/check-samples.md", ".venvs/jobs/bin/twin datasets label import"),
    ("docs/pages/how-to/check-samples.md", ".venvs/jobs/bin/twin datasets label export-pairs"),
    ("docs/pages/how-to/check-samples.md", ".venvs/jobs/bin/twin datasets feedback"),
    ("docs/pages/how-to/check-samples.md", ".venvs/jobs/bin/twin datasets export"),
    ("docs/pages/how-to/check-samples.md", "read -rs TWIN_HUB_TOKEN"),
    ("docs/pages/how-to/check-samples.md", "twin datasets prepare"),
    ("docs/pages/how-to/train.md", ".venvs/jobs/bin/twin training sft"),
    ("docs/pages/how-to/train.md", ".venvs/jobs/bin/twin training sweep"),
    ("docs/pages/how-to/train.md", ".venvs/jobs/bin/twin training distill"),
    ("docs/pages/how-to/train.md", ".venvs/jobs/bin/twin training prune"),
    (
        "docs/pages/how-to/export.md",
        ".venvs/jobs/bin/twin export --recipe handbook --output handbook-export",
    ),
    (
        "docs/pages/how-to/export.md",
        ".venvs/jobs/bin/twin export --recipe handbook --output compared",
    ),
    ("docs/pages/how-to/export.md", "make onnx"),
    ("docs/pages/how-to/own-model.md", ".venvs/jobs/bin/twin models fetch"),
    ("docs/pages/how-to/own-model.md", ".venvs/jobs/bin/twin training pretrain"),
    ("docs/pages/how-to/promote-and-roll-back.md", ".venvs/jobs/bin/twin evaluation pairs"),
    ("docs/pages/how-to/promote-and-roll-back.md", ".venvs/jobs/bin/twin evaluation preference"),
    (
        "docs/pages/how-to/own-model.md",
        ".venvs/jobs/bin/twin evaluation decoding --recipe handbook\n",
    ),
    (
        "docs/pages/how-to/own-model.md",
        ".venvs/jobs/bin/twin evaluation decoding --recipe handbook --apply",
    ),
    ("docs/pages/how-to/general-abilities.md", 'eval "$('),
    ("docs/pages/how-to/callers.md", "kubectl -n twin exec"),
    ("docs/pages/how-to/prompts.md", ".venvs/jobs/bin/twin serving prompts register shorter.txt"),
    ("docs/pages/how-to/guardrails.md", ".venvs/jobs/bin/twin rag train-guardrail"),
    ("docs/pages/how-to/classifiers.md", ".venvs/jobs/bin/twin training classifier fit"),
    ("docs/pages/how-to/clients.md", "import json"),
    ("docs/pages/how-to/rerank.md", ".venvs/jobs/bin/twin features train-reranker"),
    ("docs/pages/how-to/tune-embedder.md", ".venvs/jobs/bin/twin features finetune-embedder"),
    ("docs/pages/how-to/index-at-work.md", ".venvs/jobs/bin/twin features build"),
    ("docs/pages/how-to/index-at-work.md", "twin models picture find"),
    ("docs/pages/how-to/clients.md", ".venvs/jobs/bin/twin serving batch"),
    ("docs/pages/how-to/watch.md", "helm upgrade twin"),
    ("docs/pages/how-to/cluster.md", "make chart-dependencies"),
    ("docs/pages/how-to/cluster.md", "twin recipe check jane.yaml"),
    ("docs/pages/how-to/cluster.md", "helm template twin"),
    ("docs/pages/how-to/open-webui.md", "docker run"),
    ("docs/pages/how-to/langchain.md", "pip install langchain-openai"),
    (
        "docs/pages/how-to/langchain.md",
        "import json\nfrom pathlib import Path\n\nfrom llama_index",
    ),
    ("docs/pages/how-to/langchain.md", "import json\nfrom pathlib import Path\n\nimport litellm"),
    ("docs/pages/how-to/langchain.md", "model_list"),
}
DRY = 'command make --dry-run --silent "$@" > /dev/null'
ALL = snippets()


def those(language: str, condition: str | None = None) -> Any:
    chosen = [one for one in ALL if (one.language, one.condition) == (language, condition)]
    return pytest.mark.parametrize("snippet", chosen, ids=str)


def test_every_block_is_run_somewhere_or_left_out_by_name() -> None:
    known = {
        ("sh", None), ("yaml", None), ("yaml", CHART), ("sh", DEMO), ("python", DEMO),
        ("python", LANGCHAIN), ("sh", SECOND), ("sh", IN_SERVICE),
        ("sh", MAY_LACK),
    }  # fmt: skip
    left_out = [one for one in ALL if (one.condition or "").startswith(NOT_RUN)]
    nobody = [
        str(one)
        for one in ALL
        if one not in left_out and (one.language, one.condition) not in known
    ]
    assert not nobody, "no test runs these: mark them, or correct their marks"
    assert len(ALL) - len(left_out) > 20
    found = {
        (one.page, start)
        for one in left_out
        for page, start in LEFT_OUT
        if one.page == page and one.text.startswith(start)
    }
    assert found == LEFT_OUT
    assert len(left_out) == len(LEFT_OUT)
    for one in left_out:
        assert one.condition and len(one.condition) > len(NOT_RUN) + 10, f"{one} says no reason"


@those("sh")
def test_commands_run_as_pasted_into_a_fresh_checkout(snippet: Snippet, tmp_path: Path) -> None:
    done = run(snippet.text, fresh_checkout(tmp_path), make=DRY)
    assert done.returncode == 0, f"{snippet}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


@those("sh", MAY_LACK)
def test_what_a_machine_lacks_is_said(snippet: Snippet, tmp_path: Path) -> None:
    done = run(snippet.text, fresh_checkout(tmp_path), make=DRY)
    assert done.returncode in (0, 78), done.stderr
    assert "processors" in done.stdout


def test_a_command_that_fails_would_be_noticed(tmp_path: Path) -> None:
    folder = fresh_checkout(tmp_path)
    for text in ("make no-such-target\n", "twin-no\necho fine\n", "echo $KEY\n"):
        assert run(text, folder, make=DRY).returncode != 0


@those("yaml")
def test_parts_of_a_recipe_are_valid(snippet: Snippet, tmp_path: Path) -> None:
    minimal = {
        "name": "ada",
        "author": {"id": "ada", "name": "Ada L."},
        "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
    }
    part = yaml.safe_load(snippet.text)
    (tmp_path / "ada.yaml").write_text(yaml.safe_dump({**minimal, **part}))
    assert part.keys() <= load_recipe("ada", tmp_path).model_dump().keys()


@those("yaml", CHART)
def test_values_of_the_chart_are_valid(snippet: Snippet) -> None:
    chart = ROOT / "helm" / "llm-twin"
    schema = json.loads((chart / "values.schema.json").read_text())
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    jsonschema.validate(merged(defaults, yaml.safe_load(snippet.text)), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(merged(defaults, {"serving": {"engine": "vllm"}}), schema)


def merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """As helm merges values."""
    result = dict(values)
    for key, value in more.items():
        known = result.get(key)
        both = isinstance(known, dict) and isinstance(value, dict)
        result[key] = merged(known, value) if both else value
    return result
