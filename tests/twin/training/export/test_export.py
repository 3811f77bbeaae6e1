"""A trained tiny model as files that others run, by the real converter and llama.cpp."""

import json
import subprocess
from dataclasses import replace

import pytest
import yaml

from tests.twin import corpora
from tests.twin.training.conftest import World
from twin.domain.errors import BadConfigurationError, BadDataError, NothingToDo
from twin.domain.result import JobResult
from twin.job import Job
from twin.stores.registry import ModelVersion, Registry
from twin.training.dpo import run_dpo
from twin.training.export import export as exporting
from twin.training.export.export import (
    ExportOptions,
    _check_same_samples,
    _scratch_beside,
    run_export,
)
from twin.training.form import Form
from twin.training.package import run_package
from twin.training.sft import run_sft
from twin.training.smaller.pruning import run_prune

FORMATS = ("f16", "q8_0")


@pytest.fixture
def packaged(world: World) -> World:
    """A world with a registered version, which nobody has promoted."""
    world.without_preferences()
    world.run_all(run_sft, run_dpo)
    world.version = world.run(run_package).ids["model_version"]
    return world


def export(world, folder, **options):
    job = world.job(run_export)
    run_export(job, ExportOptions(folder, world.version, FORMATS, **options))
    return job.result


def test_a_version_becomes_a_folder_that_runs_elsewhere(packaged, tmp_path, is_killed):
    folder = tmp_path / "exported" / "twin"
    measuring = ((exporting, "measure_products"),)
    assert is_killed(lambda: export(packaged, folder), measuring, 0)
    assert not folder.exists(), "whole or not at all"
    result = export(packaged, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["twin"]
    stem = f"twin-ann-v{packaged.version}"
    names = {path.name for path in folder.iterdir()}
    models = {f"{stem}-{kind}{end}" for kind in FORMATS for end in (".gguf", ".Modelfile")}
    assert names == models | {
        "README.md", "SHA256SUMS", "export.json", "index.jsonl", "products.png",
    }  # fmt: skip
    whole = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    assert len(whole.stdout.splitlines()) == len(names) - 1
    assert json.loads((folder / "index.jsonl").read_text().splitlines()[-1])["end"] > 0

    weights, f16, q8 = result.detail["products"]
    assert [weights["name"], f16["name"], q8["name"]] == ["weights", *FORMATS]
    assert f16["size_bytes"] == (folder / f"{stem}-f16.gguf").stat().st_size > q8["size_bytes"]
    assert weights["perplexity"] > 1
    # Weights in bf16 lose next to nothing as f16; in eight bits a little.
    assert abs(f16["worse"]) < 0.005
    assert abs(q8["worse"]) < 0.05
    assert f16["perplexity"] == pytest.approx(weights["perplexity"] * (1 + f16["worse"]))
    for product in (f16, q8):
        assert product["tokens_per_second"] > 0
        assert product["prompt_tokens_per_second"] > 0
        assert 50e6 < product["peak_memory_bytes"] < 8e9

    card = (folder / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["base_model"] == packaged.recipe.training.base_model
    for row in ("dataset_version", "recipe_digest", "weights_digest", "mlflow_run"):
        assert f"| {row} | `" in card
    assert "| `q8_0` |" in card
    assert all(f"- `{name}`: " in card for name in models)
    assert str(packaged.settings.home) not in card.replace(head["base_model"], "")

    with pytest.raises(NothingToDo):
        export(packaged, folder)
    again = export(packaged, folder, index=False, measured=False)
    assert again.detail == {}
    assert not (folder / "index.jsonl").exists(), "of an older export nothing is left"
    with Registry(packaged.settings) as registry:
        registry.promote("twin-ann", packaged.version)
    packaged.version, champion = None, packaged.version
    result = export(packaged, tmp_path / "champion", index=False, measured=False)
    assert result.ids["model_version"] == champion


@pytest.mark.nightly
def test_it_becomes_onnx_models_beside_gguf_files(packaged, tmp_path, root):
    packages = {"onnx_packages": root / ".venvs" / "onnx"}
    packaged.settings = packaged.settings.model_copy(update=packages)
    pruning = {"method": "layers", "share": 0.5}
    packaged.run(run_prune, pruning=pruning)
    pruned = packaged.run(package_pruned, pruning=pruning).ids["model_version"]
    report = {"figures": [{"name": "style_similarity", "values": {"candidate": {"value": 0.75}}}]}
    packaged.files.write_json(f"reports/twin-ann/{pruned}/report.json", report)
    job = packaged.job(run_export)
    folder = tmp_path / "out"
    formats = ("onnx-int8-static", "q8_0")
    options = ExportOptions(
        folder, packaged.version, formats, index=False, samples=2, beside=(pruned,)
    )
    run_export(job, options)
    stem = f"twin-ann-v{packaged.version}"
    model = folder / f"{stem}-onnx-int8-static"
    assert {"model.onnx", "model.onnx.data", "genai_config.json", "tokenizer.json"} <= {
        path.name for path in model.iterdir()
    }
    [weights, static, q8, other, others_q8] = job.result.detail["products"]
    other_name = f"v{pruned} (pruned)"
    assert [each["name"] for each in (static, q8, other, others_q8)] == [
        "onnx-int8-static", "q8_0", f"{other_name} weights", f"{other_name} q8_0",
    ]  # fmt: skip
    assert static["size_bytes"] < 2 * weights["size_bytes"]
    assert abs(static["worse"]) < 0.1
    assert static["tokens_per_second"] > 0
    assert other["size_bytes"] < 0.8 * weights["size_bytes"]
    assert others_q8["size_bytes"] < 0.8 * q8["size_bytes"]
    assert other["perplexity"] == pytest.approx(weights["perplexity"] * (1 + other["worse"]))
    assert others_q8["tokens_per_second"] > 0
    assert (weights["style"], other["style"]) == (None, 0.75)
    whole = subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    assert f"{model.name}/model.onnx: OK" in whole.stdout
    card = (folder / "README.md").read_text()
    assert f'Model("{model.name}")' in card
    assert f"- `{model.name}`: the same, activations by fixed ranges" in card
    assert f"ollama create twin-ann -f {stem}-q8_0.Modelfile" in card
    assert not (folder / f"{model.name}.Modelfile").exists()
    assert f"| `{other_name} weights` |" in card
    assert not list(folder.glob(f"*v{pruned}*")), "measured, and not exported"


def package_pruned(job):
    run_package(job, Form.PRUNED)


def test_a_version_of_other_samples_is_not_measured_on_these():
    version = ModelVersion("twin-ann", "1", "uri", "digest", None, {"dataset_version": "a"})
    _check_same_samples(version, [replace(version, version="2")])
    other = replace(version, version="3", tags={"dataset_version": "b"})
    with pytest.raises(BadDataError, match="version 3 was trained on other samples than version 1"):
        _check_same_samples(version, [version, other])


def test_of_hidden_folders_beside_it_only_those_of_killed_exports_go(tmp_path):
    target = tmp_path / "pro[j]ect"
    backup, other = tmp_path / ".pro[j]ect-backup", tmp_path / ".project.twin-export-1"
    for folder in (backup, other):
        folder.mkdir()
    killed = _scratch_beside(target)
    left = killed.__enter__()
    with _scratch_beside(target) as scratch:
        assert not left.exists()
        assert scratch.parent == tmp_path
        assert sorted(tmp_path.iterdir()) == sorted([backup, other, scratch])
    assert sorted(tmp_path.iterdir()) == sorted([backup, other])


def test_a_version_that_is_to_write_otherwise_is_another_export(settings, tmp_path):
    recipe = corpora.write_recipe(tmp_path / "recipes", tmp_path)
    job = Job(recipe, settings, "r1", JobResult(job="export", recipe="ann", run_id="r1"))
    options = ExportOptions(tmp_path / "out", index=False)
    version = ModelVersion("twin-ann", "1", "uri", "digest", None)
    chosen = replace(version, tags={"decoding": "{}"})
    other = replace(version, tags={"rouge_l": "0.5"})
    key = exporting._key(version, options, job)
    assert exporting._key(other, options, job) == key
    assert exporting._key(chosen, options, job) != key
    beside = replace(options, beside=("2",))
    assert exporting._key(version, beside, job) != key


def test_what_is_no_export_is_not_written_over(packaged, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear Ann")
    with pytest.raises(BadDataError, match="holds other files"):
        export(packaged, tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "Dear Ann"
    with pytest.raises(
        BadConfigurationError, match=r"--format q2: there are f16, bf16, q8_0.*, onnx-f32"
    ):
        run_export(packaged.job(run_export), ExportOptions(tmp_path / "new", formats=("q2",)))
    packaged.version = "999999"
    with pytest.raises(BadDataError, match="has no version 999999"):
        export(packaged, tmp_path / "new")
    assert not (tmp_path / "new").exists()
