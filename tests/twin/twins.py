"""A small twin that is real in every part: tiny weights, the real embedder, a real index."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file, save_file

from tests import tiny_model
from tests.twin.converted import share_converted
from twin.domain.chunk import Chunk, chunk_id
from twin.domain.rollout import ServedVersion
from twin.models.embedder import load_embedder
from twin.models.engines.transformers_engine import TransformersEngine
from twin.rag.chain import Chain, Lineage, load_chain
from twin.recipes import Recipe, load_recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.registry import Registry
from twin.stores.tracking import tracking_run

TEXTS = {
    "pods": "Every job runs in a pod of its own. A pod states what it needs and gives it back.",
    "revisions": "A revision is the hash of the text: two runs over one page change nothing.",
    "rollback": "When a candidate is worse I move the alias back and read the report.",
}


def write_recipe(folder: Path, **serving: object) -> Recipe:
    """A recipe named ``tiny`` whose answers are short, by the reference engine on one core."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {
        "name": "tiny",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "texts", "kind": "folder", "path": "texts"}],
        "serving": {
            "engine": "transformers",
            "cpus_per_replica": 1,
            "max_new_tokens": 24,
            "temperature": 0,
            "passages": 2,
            **serving,
        },
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    return load_recipe("tiny", folder)


def index_texts(recipe: Recipe, settings: Settings, texts: dict[str, str] = TEXTS) -> str:
    """Publish an index of these texts; returns the release."""
    share_converted(settings)
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="test-1")
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        writer.upsert([_document(name, text, spec, embedder) for name, text in texts.items()])
        return writer.publish()


def _document(name, text, spec, embedder) -> IndexedDocument:
    chunk = Chunk(
        id=chunk_id(name, "r1", 0, spec.chunker),
        document_id=name,
        revision="r1",
        author_id="ann",
        ordinal=0,
        url=f"https://ann.example/{name}",
        title=f"On {name}",
        text=text,
        token_count=20,
        chunker=spec.chunker,
        published=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return IndexedDocument(name, "r1", [chunk], embedder.encode([chunk.embedded_text]))


def publish_weights(settings: Settings, folder: Path, name: str = "1") -> tuple[str, str]:
    """Publish tiny weights that differ, and answer differently, by name; returns URI, digest."""
    tiny_model.build(folder)
    path = folder / "model.safetensors"
    weights = load_file(path)
    name_of_embedding = "model.embed_tokens.weight"
    noise = torch.randn(
        weights[name_of_embedding].shape, generator=torch.Generator().manual_seed(int(name))
    )
    weights[name_of_embedding] += noise.to(torch.bfloat16) * weights[name_of_embedding].std()
    save_file(weights, path, metadata={"format": "pt"})
    files = open_files(settings)
    uri = files.publish_folder(folder, f"models/twin-tiny/{name}")
    return uri, files.published_digest(f"models/twin-tiny/{name}")


def register(settings: Settings, folder: Path, names: Sequence[str]) -> None:
    """Register weights by these names as versions 1, 2, … of ``twin-tiny``."""
    with Registry(settings) as registry:
        for name in names:
            uri, digest = publish_weights(settings, folder / f"weights-{name}", name)
            with tracking_run(settings, experiment="tiny", name="package", tags={}) as run:
                registry.register(
                    "twin-tiny", weights_uri=uri, weights_digest=digest, run_id=run.id, tags={}
                )


def served(recipe: Recipe, version: str, uri: str, digest: str) -> ServedVersion:
    """The version as a rollout would write it down."""
    return ServedVersion(
        version=version,
        weights_uri=uri,
        weights_digest=digest,
        recipe=recipe.model_dump(mode="json"),
    )


def open_chain(
    recipe: Recipe, weights: Path, settings: Settings, *, at_once: int = 1, caches: bool = False
) -> Chain:
    """The chain of these weights as version 1, over an engine in this process."""
    engine = TransformersEngine.load(weights, threads=2, at_once=at_once)
    lineage = Lineage("twin-tiny", "1")
    return load_chain(recipe, engine, weights, settings, lineage, caches=caches)
