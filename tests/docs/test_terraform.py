"""The example for EKS: it parses, what it refers to is there, and it fits the chart.

Not `terraform validate`, which fetches providers: that is left to whoever applies it.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "terraform" / "eks"
CHART = ROOT / "helm" / "llm-twin"
TOOLS = ROOT / ".venvs" / "tools"

PARSE = """
import hcl2, json, sys
from pathlib import Path
print(json.dumps({path.name: hcl2.loads(path.read_text()) for path in map(Path, sys.argv[1:])}))
"""


@pytest.fixture(scope="module")
def blocks() -> list[dict[str, Any]]:
    done = subprocess.run(
        [TOOLS / "bin" / "python", "-c", PARSE, *sorted(FOLDER.glob("*.tf"))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout).values())


def plain(name: str) -> str:
    return name.strip('"')


def declared(blocks: list[dict[str, Any]]) -> set[str]:
    found = set()
    for file in blocks:
        for kind, prefix in (("variable", "var."), ("module", "module.")):
            found |= {prefix + plain(name) for block in file.get(kind, ()) for name in block}
        found |= {
            f"local.{name}" for block in file.get("locals", ()) for name in block
            if not name.startswith("__")
        }  # fmt: skip
        for kind, prefix in (("resource", ""), ("data", "data.")):
            for block in file.get(kind, ()):
                for type_, named in block.items():
                    found |= {f"{prefix}{plain(type_)}.{plain(name)}" for name in named}
    return found


def source() -> str:
    text = "\n".join(path.read_text() for path in sorted(FOLDER.glob("*.tf")))
    return re.sub(r"(?m)^\s*#.*$", "", text)


def test_whatever_is_referred_to_is_declared(blocks):
    known = declared(blocks)
    names = r"\b(?:data\.)?(?:var|local|module|aws_[a-z0-9_]+)\.[A-Za-z0-9_-]+"
    used = set(re.findall(names, source()))
    assert len(used) > 15
    assert used <= known, used - known
    unused = {name for name in known if name.startswith(("var.", "local.", "data."))} - used
    assert not unused, "declared and used by nothing"


def test_every_variable_and_output_says_what_it_is(blocks):
    said = [
        (name, body)
        for file in blocks
        for kind in ("variable", "output")
        for block in file.get(kind, ())
        for name, body in block.items()
    ]
    assert len(said) > 10
    assert all(body.get("description") for _, body in said)


def test_modules_are_pinned(blocks):
    modules = {
        plain(name): body for file in blocks for block in file.get("module", ())
        for name, body in block.items()
    }  # fmt: skip
    assert set(modules) == {"vpc", "eks", "karpenter"}
    assert all(plain(body["version"]).startswith("~> ") for body in modules.values())


def locals_of(blocks: list[dict[str, Any]], name: str) -> Any:
    (found,) = (block[name] for file in blocks for block in file.get("locals", ()) if name in block)
    return found


def test_there_is_a_repository_for_every_image_of_a_release(blocks):
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["images"]["properties"]["digests"]["propertyNames"]["enum"]
    assert {plain(name) for name in locals_of(blocks, "images")} == {*known, "airflow", "cache"}


def test_every_account_of_a_profile_has_a_role(blocks):
    accounts = locals_of(blocks, "accounts")
    profiles = {
        yaml.safe_load(path.read_text())["spec"]["serviceAccountName"]
        for path in (ROOT / "include" / "profiles").glob("*.yaml")
    }
    jobs = {
        name for name, about in accounts.items() if about["namespace"] == "${var.jobs_namespace}"
    }
    assert jobs == profiles
    assert {"twin-serving", "twin-mlflow"} <= set(accounts) - jobs


def test_who_reads_strangers_pages_and_who_serves_may_little(blocks):
    accounts = locals_of(blocks, "accounts")
    assert [plain(folder) for folder in accounts["twin-crawl"]["write"]] == ["snapshots", "results"]
    assert accounts["twin-crawl"]["read"] == []
    assert accounts["twin-serving"]["write"] == []


def test_uploads_that_a_killed_backup_left_are_cleared_away():
    assert re.search(r"abort_incomplete_multipart_upload \{\s+days_after_initiation", source())


class TestNodePools:
    @pytest.fixture(scope="class")
    def pools(self) -> dict[str, Any]:
        documents = yaml.safe_load_all((FOLDER / "nodepools.yaml").read_text())
        return {
            item["metadata"]["name"]: item["spec"]["template"]
            for item in documents
            if item["kind"] == "NodePool"
        }

    def test_jobs_and_serving_find_their_nodes(self, pools):
        wanted = [
            yaml.safe_load(path.read_text())["spec"]
            for path in (ROOT / "include" / "profiles").glob("*.yaml")
        ]
        values = yaml.safe_load((CHART / "values.yaml").read_text())["serving"]
        wanted += [values["engines"], values["workers"]]
        for spec in wanted:
            asked, borne = spec.get("nodeSelector", {}), spec.get("tolerations", [])
            tolerated = {each["key"] for each in borne}
            assert any(
                asked.items() <= pool["metadata"]["labels"].items()
                and {taint["key"] for taint in pool["spec"].get("taints", [])} <= tolerated
                for pool in pools.values()
            ), asked

    def test_the_class_of_their_nodes_has_the_cluster_s_name_and_role(self):
        text = (FOLDER / "nodepools.yaml").read_text()
        name = re.search(r'variable "name" \{.*?default\s+= "(.+?)"', source(), re.S)[1]
        assert f"role: {name}-node" in text and f"karpenter.sh/discovery: {name}" in text
        assert 'node_iam_role_name              = "${var.name}-node"' in source()


def test_the_readme_names_outputs_that_there_are(blocks):
    outputs = {plain(name) for file in blocks for block in file.get("output", ()) for name in block}
    named = set(re.findall(r"output `(\w+)`", (FOLDER / "README.md").read_text()))
    assert named and named <= outputs
    assert Path(FOLDER / "versions.tf").is_file()
