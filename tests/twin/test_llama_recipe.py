"""The recipe of an 8B on one GPU, run here with a tiny Llama in its place.

Everything else is as the recipe says: four-bit weights (bitsandbytes packs and trains on processors
too), batch sizes, lengths, an adapter beside a shared base. vLLM serves it in
`tests/vllm/test_vllm_serving.py`.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from tests import families
from tests.twin import corpora
from twin.domain.chunk import Chunk, chunk_id
from twin.domain.sample import Split
from twin.models.embedder import load_embedder
from twin.recipes import load_recipe
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.registry import CANDIDATE, Registry
from twin.stores.sample_sets import SampleSets
from twin.training.candidates import KEPT, Candidate
from twin.training.plan import plan_training

NAME = "llama-3.1-8b"
TWIN = str(Path(sys.executable).with_name("twin"))
ARTICLES = 7


@pytest.fixture
def settings(settings, tmp_path):
    """With recipes of the test's own."""
    return settings.model_copy(update={"recipes": tmp_path / "recipes"})


@pytest.fixture
def recipe(root, settings, tmp_path):
    """The recipe of this repository, but for its base model, which is made on the spot."""
    base = families.build("llama3", tmp_path / "base", max_position_embeddings=16_384)
    text = (root / "include" / "recipes" / f"{NAME}.yaml").read_text("utf-8")
    text, replaced = re.subn(r"(?m)^  base_model: .*$", f"  base_model: {base}", text)
    assert replaced == 1
    settings.recipes.mkdir()
    (settings.recipes / f"{NAME}.yaml").write_text(text, encoding="utf-8")
    return load_recipe(NAME, settings.recipes)


def index_articles(root, recipe, settings):
    """Paragraphs of the handbook's first articles, embedded as the recipe says."""
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    documents = []
    for path in sorted((root / "include" / "handbook").glob("*.md"))[:ARTICLES]:
        body = path.read_text("utf-8").split("---", 2)[2]
        texts = [part for part in re.split(r"\n\s*\n", body) if 30 < len(part.split()) < 120][:4]
        chunks = [
            Chunk(
                id=chunk_id(path.stem, "r1", ordinal, spec.chunker), document_id=path.stem,
                revision="r1", author_id=recipe.author.id, ordinal=ordinal,
                url=path.as_uri(), title=path.stem.replace("-", " ").capitalize(),
                headings=("What it is for",), text=text, token_count=100, chunker=spec.chunker,
            )
            for ordinal, text in enumerate(texts)
        ]  # fmt: skip
        vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
        documents.append(IndexedDocument(path.stem, "r1", chunks, vectors))
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        writer.upsert(documents)
        writer.publish()


def write_candidates(recipe, settings):
    """What an attempt has left that was killed once everything was written.

    A model without sense writes on until it is cut: of such texts length alone tells each, so they
    would leave no pair to train on. `tests/twin/training/test_pairs.py` has models write.
    """
    files = open_files(settings)
    plan = plan_training(recipe, settings, files)
    samples = SampleSets(files, NAME).instruct(plan.manifest.version, Split.TRAIN)
    kept = {
        each.id: (Candidate(text=" ".join(reversed(each.answer.split())), is_cut=False),)
        for each in samples
    }
    files.write_bytes(plan.candidates, KEPT.dump_json(kept))


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_the_recipe_of_an_8b_goes_through_the_whole_training(
    root, settings, recipe, mlflow_url, tmp_path
):
    """Six processes. Buys: the recipe as it is written trains, packages and is measured."""
    settings = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    index_articles(root, recipe, settings)
    environment = {
        **os.environ,
        **corpora.environment(settings),
        "TWIN_QLORA_PACKAGES": str(root / ".venvs" / "qlora"),
    }

    def run(*command):
        result = tmp_path / "result.json"
        options = ["--recipe", NAME, "--result", str(result)]
        done = subprocess.run(
            [TWIN, *command, *options], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(result.read_text("utf-8"))

    run("datasets", "make")
    sft = run("training", "sft")
    assert sft["detail"]["steps"] >= 2
    assert 0 < sft["detail"]["validation_loss"] < 20
    write_candidates(recipe, settings)
    pairs = run("training", "pairs")
    assert pairs["counts"]["written"] == pairs["counts"]["read"] > 0
    assert 0.4 <= pairs["detail"]["length_auc"] <= 0.6
    assert run("training", "dpo")["detail"]["steps"] >= 1
    run("training", "package")
    with Registry(settings) as registry:
        candidate = registry.by_alias(recipe.model_name, CANDIDATE)
    assert candidate.tags["weights"] == "adapter"
    adapter = load_file(Path(candidate.weights_uri) / "adapter_model.safetensors")
    assert any(tensor.abs().max() > 0 for name, tensor in adapter.items() if "lora_B" in name)
    measured = run("evaluation", "run")
    assert measured["ids"]["version"] == candidate.version
    assert measured["counts"]["read"] > 0


def test_the_recipe_trains_on_four_bits(root):
    written = yaml.safe_load((root / "include" / "recipes" / f"{NAME}.yaml").read_text("utf-8"))
    assert written["training"]["method"] == "qlora"
