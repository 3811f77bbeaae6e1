"""Recipes are refused in one line that names file, key and what is allowed."""

import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from twin.crawl.rules import rules_of
from twin.crawl.run import READERS
from twin.domain.errors import BadDataError
from twin.recipes import FolderSource, Recipe, ServingSection, load_recipe
from twin.recipes.sources import SOURCE_KINDS

MINIMAL = {
    "name": "ada",
    "author": {"id": "ada", "name": "Ada Lovelace"},
    "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
}


def refusal(folder: Path, data: object) -> str:
    path = folder / "ada.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    with pytest.raises(BadDataError) as caught:
        load_recipe(str(path), folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), "names the file"
    assert "\n" not in message, "one line"
    return message


def test_a_minimal_recipe_has_every_section(tmp_path: Path) -> None:
    (tmp_path / "ada.yaml").write_text(yaml.safe_dump(MINIMAL))
    recipe = load_recipe("ada", tmp_path)
    assert recipe.model_name == "twin-ada"
    assert isinstance(recipe.sources[0], FolderSource)
    assert recipe.features.chunk_tokens > 0


def test_every_shipped_recipe_loads(root: Path) -> None:
    folder = root / "include" / "recipes"
    names = [path.stem for path in folder.glob("*.yaml")]
    assert {"handbook", "lilianweng", "llama-3.1-8b"} <= set(names)
    for name in names:
        assert load_recipe(name, folder).name == name


@pytest.mark.parametrize("name", ["a", "llama-3.1-8b", "a" * 41, "qwen3.5"])
def test_names_that_a_recipe_may_have(tmp_path: Path, name: str) -> None:
    (tmp_path / "any.yaml").write_text(yaml.safe_dump({**MINIMAL, "name": name}))
    assert load_recipe("any", tmp_path).model_name == f"twin-{name}"


@pytest.mark.parametrize(
    "name", ["", ".a", "a.", "a..b", "../a", "a/b", "A", "3b", "a" * 42, "a b"]
)
def test_names_that_it_may_not(tmp_path: Path, name: str) -> None:
    assert "name = " in refusal(tmp_path, {**MINIMAL, "name": name})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"feature": {}}, "unknown key 'feature': did you mean 'features'? allowed are name"),
        ({"retrieval": {"fuson": "rrf"}}, "did you mean 'fusion'? allowed are arms"),
        ({"retrieval": {"arms": "both"}}, "retrieval.arms = 'both'"),
        ({"retrieval": {"leave_out": ["KEYS"]}}, "retrieval.leave_out.0 = 'KEYS'"),
        ({"retrieval": {"dense_weight": 2}}, "retrieval.dense_weight = 2"),
        (
            {"retrieval": {"arms": "sparse", "min_score": 0.3}},
            "min_score is a cosine: it needs arms = hybrid or dense",
        ),
        (
            {"retrieval": {"rerank": "maxsim", "candidates": 5}},
            "rerank_candidates exceeds what the arms bring",
        ),
        ({"features": {"chunk_token": 3}}, "did you mean 'chunk_tokens'? allowed are embedder"),
        (
            {"training": {"distillation": {"student": "gemma3-270m", "copied": "pruned"}}},
            "leave one of them out",
        ),
        (
            {
                "training": {
                    "distillation": {"copied": "pruned", "method": "lora"},
                    "pruning": {"method": "magnitude"},
                }
            },
            "set distillation.method to full",
        ),
        ({"training": {"distillation": {"copied": "whole"}}}, "nothing to learn from itself"),
        (
            {"training": {"distillation": {"quantised": "int8", "method": "lora"}}},
            "set method to full",
        ),
        ({"training": {"distillation": {"keep_every": 1}}}, "keep_every = 1: should be greater"),
        ({"training": {"pruning": {"share": 1.0}}}, "training.pruning.share = 1.0: should be less"),
        ({"training": {"sft": {"epoch": 3}}}, "unknown key 'training.sft.epoch': did you mean"),
        ({"features": {"chunk_tokens": -3}}, "features.chunk_tokens = -3: should be greater"),
        ({"crawl": {"max_page_bytes": 0}}, "crawl.max_page_bytes = 0: should be greater than 0"),
        ({"datasets": {"test_share": 1.5}}, "datasets.test_share = 1.5: should be less than or"),
        ({"author": {"id": "ada"}}, "missing key 'author.name'"),
        ({"author": {"id": "Ada L", "name": "x"}}, "author.id = 'Ada L': String should match"),
        ({"sources": []}, "sources = []: Tuple should have at least 1 item"),
        ({"sources": [{"kind": "ftp", "name": "x"}]}, "sources.0"),
        (
            {"sources": [{"kind": "web", "name": "x"}]},
            "needs start_urls, archives, sitemaps or feeds",
        ),
        ({"sources": MINIMAL["sources"] * 2}, "two sources have the same name"),
        ({"sources": [{"kind": "bucket", "name": "x"}]}, "missing key 'sources.0.uri'"),
        (
            {"sources": [{"kind": "bucket", "name": "x", "uri": "https://e.org/x"}]},
            "sources.0.uri = 'https://e.org/x': String should match",
        ),
        ({"sources": [{"kind": "github", "name": "x"}]}, "missing key 'sources.0.user'"),
        (
            {"sources": [{"kind": "github", "name": "x", "user": "../y"}]},
            "sources.0.user = '../y': String should match",
        ),
        (
            {"sources": [{"kind": "github", "name": "x", "user": "y", "repository": ["z"]}]},
            "unknown key 'sources.0.repository': did you mean 'repositories'?",
        ),
        (
            {"sources": [{"kind": "github", "name": "x", "user": "y", "hosts": {"a": "ssh://b"}}]},
            "sources.0.hosts.a = 'ssh://b': String should match",
        ),
        ({"sources": [{"kind": "linkedin_export", "name": "x"}]}, "missing key 'sources.0.path'"),
        (
            {
                "sources": [
                    {"kind": "linkedin_export", "name": "x", "path": "y", "visibilities": ["all"]}
                ]
            },
            "sources.0.visibilities.0 = 'all': String should match",
        ),
        (
            {"sources": [{"kind": "warehouse_dump", "name": "x", "path": "y", "author": "z"}]},
            "unknown key 'sources.0.author': did you mean 'authors'?",
        ),
        (
            {"sources": [{"kind": "folder", "name": "x", "path": "y", "inclde": ["a"]}]},
            "unknown key 'sources.0.inclde': did you mean 'include'? allowed are name, guests",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], expected: str
) -> None:
    assert expected in refusal(tmp_path, {**MINIMAL, **change})


def test_every_kind_of_source_in_one_recipe(tmp_path: Path) -> None:
    (tmp_path / "ada.yaml").write_text(
        """
name: ada
author: {id: ada, name: Ada Lovelace}
sources:
  - {kind: web, name: blog, sitemaps: ["https://ada.example/sitemap.xml"]}
  - {kind: folder, name: papers, path: papers, include: ["**/*.pdf", "**/*.docx", "**/*.txt"]}
  - {kind: bucket, name: talks, uri: "s3://ada/talks", url_prefix: "https://ada.example/talks/"}
  - {kind: github, name: code, user: ada, repositories: [engine], exclude: ["tests/**"]}
  - {kind: linkedin_export, name: linkedin, path: Complete_LinkedInDataExport.zip}
  - {kind: warehouse_dump, name: older, path: dump.json, authors: ["Ada L."]}
  - {kind: substack, name: letters, url: "https://ada.substack.com"}
  - {kind: medium, name: essays, url: "https://medium.com/@ada"}
"""
    )
    recipe = load_recipe("ada", tmp_path)
    assert [source.kind for source in recipe.sources] == [
        "web", "folder", "bucket", "github", "linkedin_export", "warehouse_dump", "substack",
        "medium",
    ]  # fmt: skip
    assert {source.kind for source in recipe.sources} == set(SOURCE_KINDS)
    assert {source.platform for source in recipe.sources} == {
        "web", "files", "github", "linkedin", "dump", "substack", "medium",
    }  # fmt: skip
    assert set(READERS) == set(SOURCE_KINDS) - {"web", "substack", "medium"}, "sites"
    for module, function in READERS.values():
        assert callable(getattr(import_module(f"twin.crawl.sources.{module}"), function))


def test_a_faulty_source_is_not_called_a_missing_one_too(tmp_path: Path) -> None:
    message = refusal(tmp_path, {**MINIMAL, "sources": [{"kind": "ftp", "name": "x"}]})
    assert "'folder', 'bucket', 'github', 'linkedin_export', 'warehouse_dump', 'web'" in message
    assert "at least 1 item" not in message


def test_a_missing_author_is_named(tmp_path: Path) -> None:
    data = {key: value for key, value in MINIMAL.items() if key != "author"}
    assert "missing key 'author'" in refusal(tmp_path, data)


@pytest.mark.parametrize("text", ["a: [", "- just\n- a list\n", "", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_an_unknown_name_lists_the_recipes_there_are(tmp_path: Path) -> None:
    (tmp_path / "ada.yaml").write_text(yaml.safe_dump(MINIMAL))
    with pytest.raises(BadDataError, match=r"no recipe 'adda': .*: ada$"):
        load_recipe("adda", tmp_path)


def test_the_digest_follows_only_the_named_sections() -> None:
    one = Recipe.model_validate(MINIMAL)
    other = Recipe.model_validate({**MINIMAL, "features": {"chunk_tokens": 64}})
    assert re.fullmatch(r"[0-9a-f]{12}", one.digest("features"))
    assert one.digest("features") != other.digest("features")
    assert one.digest("training", "datasets") == other.digest("training", "datasets")
    assert one.digest() != other.digest()


@given(key=st.text(st.characters(categories=["Ll"]), min_size=1, max_size=12))
@example(key="substack")  # the name of a kind of source is a key like any other
def test_no_unknown_key_is_ever_taken_silently(
    tmp_path_factory: pytest.TempPathFactory, key: str
) -> None:
    if key in Recipe.model_fields:
        return
    message = refusal(tmp_path_factory.mktemp("recipe"), {**MINIMAL, key: 1})
    assert f"unknown key {key!r}" in message


@pytest.mark.parametrize(
    ("serving", "kind"),
    [
        ({}, "llama.cpp"),
        ({"gpus_per_replica": 1}, "vllm"),
        ({"gpus_per_replica": 0.5}, "vllm"),
        ({"engine": "transformers", "gpus_per_replica": 1}, "transformers"),
    ],
)
def test_the_engine_follows_from_the_gpus_unless_it_is_named(serving, kind):
    assert ServingSection.model_validate(serving).engine_kind == kind


@pytest.mark.parametrize(
    ("serving", "words"),
    [
        ({"traffic_steps": []}, "must end with 100"),
        ({"traffic_steps": [10, 50]}, "must end with 100"),
        ({"traffic_steps": [50, 10, 100]}, "must rise"),
        ({"traffic_steps": [10, 10, 100]}, "must rise"),
        ({"traffic_steps": [0, 100]}, "greater than or equal to 1"),
        ({"traffic_steps": [10, 101]}, "less than or equal to 100"),
        ({"rollout": {"shadow_percent": 20, "shadow_seconds": 0}}, "shadow_percent: 20, for no"),
        ({"traffic_steps": [100], "rollout": {"require_approval": True}}, "no share below 100"),
        (
            {"traffic_steps": [100], "rollout": {"analysis": [{"metric": "errors"}]}},
            "nothing can be compared",
        ),
    ],
)
def test_steps_of_a_rollout_that_can_not_be_are_refused(serving, words):
    with pytest.raises(ValidationError, match=words):
        ServingSection.model_validate(serving)


def test_all_the_traffic_at_once_is_a_rollout_too():
    once = ServingSection.model_validate({"traffic_steps": [100]})
    # What a rollout keeps of a recipe has every default in it.
    assert ServingSection.model_validate(once.model_dump(mode="json")) == once
    shadow = {"shadow_percent": 10, "analysis": [{"metric": "errors"}]}
    ServingSection.model_validate({"traffic_steps": [100], "rollout": shadow})
    ServingSection.model_validate({"traffic_steps": [100], "rollout": {"analysis": []}})


@pytest.mark.parametrize(
    ("serving", "words"),
    [
        ({"engine": "llama.cpp", "gpus_per_replica": 1}, "uses no GPU"),
        ({"engine": "transformers", "adapters": "shared"}, "takes no adapters"),
        ({"cpus_per_replica": 0}, "cpus_per_replica"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(serving, words):
    with pytest.raises(ValidationError, match=words):
        ServingSection.model_validate(serving)


def test_a_taught_end_needs_weights_of_ones_own(tmp_path):
    taught = {**MINIMAL, "training": {"teach_end": True}}
    (tmp_path / "ada.yaml").write_text(yaml.safe_dump(taught))
    assert load_recipe("ada", tmp_path).training.teach_end
    shared = {**taught, "serving": {"adapters": "shared"}}
    assert "set serving.adapters to merged" in refusal(tmp_path, shared)


def test_paths_are_relative_to_the_recipe_wherever_the_job_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "twins" / "recipes"
    (folder / "models" / "base").mkdir(parents=True)
    data = {
        **MINIMAL,
        "sources": [
            {"kind": "folder", "name": "notes", "path": "../notes"},
            {"kind": "linkedin_export", "name": "posts", "path": "export.zip"},
            {"kind": "warehouse_dump", "name": "old", "path": "/srv/dump.json"},
        ],
        "datasets": {"written": "../questions.yaml"},
        "training": {"base_model": "models/base"},
        "features": {"embedder": "./models/embedder:int8"},
        "retrieval": {"rerank": "cross/encoder"},
    }
    (folder / "ada.yaml").write_text(yaml.safe_dump(data))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in ("ada", "../twins/recipes/ada.yaml"):
        recipe = load_recipe(name, folder)
        notes, posts, old = (source.path for source in recipe.sources)  # type: ignore[union-attr]
        assert notes == tmp_path / "twins" / "notes"
        assert posts == folder / "export.zip"
        assert old == Path("/srv/dump.json"), "an absolute one stays"
        assert recipe.datasets.written == tmp_path / "twins" / "questions.yaml"
        assert recipe.training.base_model == str(folder / "models" / "base")
        assert recipe.features.embedder == f"{folder}/models/embedder:int8"
        assert recipe.retrieval.rerank == "cross/encoder", "no such folder: a name of the hub"


@pytest.mark.parametrize(
    "name", ["gemma3-270m", "owner/name@main", "s3://bucket/models/base", "all-minilm-l6-v2:int8"]
)
def test_a_model_s_name_is_no_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "ada.yaml").write_text(
        yaml.safe_dump({**MINIMAL, "training": {"base_model": name}})
    )
    assert load_recipe("ada", tmp_path).training.base_model == name


def test_where_a_recipe_lies_changes_no_digest(tmp_path: Path) -> None:
    gates = {"classifiers": [{"name": "poor", "model": "./poor"}]}
    training = {
        "own_base": {"corpus": "texts"},
        "classifiers": [{"name": "poor", "corpus": "poor.jsonl"}],
    }
    datasets = {"written": "questions.yaml", "gates": gates}
    data = {**MINIMAL, "datasets": datasets, "training": training}
    recipes = []
    for place in ("one", "two/three"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "ada.yaml").write_text(yaml.safe_dump(data))
        recipes.append(load_recipe("ada", folder))
    one, other = recipes
    assert one.datasets.written != other.datasets.written
    assert one.datasets.gates.classifiers != other.datasets.gates.classifiers
    assert one.training.own_base.corpus != other.training.own_base.corpus
    assert one.digest() == other.digest()
    assert one.digest("author", "datasets") == other.digest("author", "datasets")
    assert rules_of(one, one.sources[0]) == rules_of(other, other.sources[0])


def test_the_shipped_recipes_find_their_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("handbook", "llama-3.1-8b"):
        recipe = load_recipe(name, root / "include" / "recipes")
        for source in recipe.sources:
            assert isinstance(source, FolderSource)
            assert list(source.path.glob("*.md"))
        assert recipe.datasets.written is None or recipe.datasets.written.is_file()
