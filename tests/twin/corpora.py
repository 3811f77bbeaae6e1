"""An author's corpus in a real index, without an embedder: for tests of samples and training."""

import random
from pathlib import Path

import yaml

from tests import tiny_model
from tests.twin.stores.chunks import DIMENSION, vector
from twin.domain.chunk import Chunk, chunk_id
from twin.recipes import Recipe, load_recipe
from twin.settings import Settings
from twin.stores.index import IndexedDocument, IndexSpec, open_index

SPEC = IndexSpec(embedder="toy@1", chunker="test-1")

HEADINGS = (
    "Why pods",
    "How is a revision made?",
    "Rolling back",
    "What the gate measures",
    "The index",
)
SENTENCES = [
    sentence.strip() + "."
    for sentence in tiny_model.CORPUS.replace("\n", " ").split(".")
    if sentence
]


#: `split_seed`: the passages are of few sentences, so some articles say the same as others and are
#: split with them; by this one five of eight are trained on. No embedder is loaded: their index has
#: vectors of none.
SMALL = {"split_seed": 24, "gates": {"relevance": 0.0}}


def passage(seed: str, words: int = 45) -> str:
    """About so many words of the tiny model's corpus, different for each seed."""
    draw = random.Random(seed)
    text = ""
    while len(text.split()) < words:
        text += draw.choice(SENTENCES) + " "
    return text.strip()


def document(name: str, passages: int = 4, revision: str = "r1") -> list[Chunk]:
    """The chunks of one article."""
    return [
        Chunk(
            id=chunk_id(name, revision, ordinal, SPEC.chunker),
            document_id=name,
            revision=revision,
            author_id="ann",
            ordinal=ordinal,
            url=f"https://ann.example/{name}",
            title=f"The {name} article",
            headings=(HEADINGS[ordinal % len(HEADINGS)],),
            text=passage(f"{name}-{revision}-{ordinal}"),
            token_count=60,
            chunker=SPEC.chunker,
        )
        for ordinal in range(passages)
    ]


def corpus(documents: int = 8, passages: int = 4) -> list[Chunk]:
    """The chunks of several articles."""
    return [chunk for n in range(documents) for chunk in document(f"d{n}", passages)]


def publish(chunks: list[Chunk], recipe: Recipe, settings: Settings) -> None:
    """Make these chunks the recipe's index."""
    by_document: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        by_document.setdefault(chunk.document_id, []).append(chunk)
    with open_index(settings, recipe).write(SPEC, DIMENSION, rebuild=True) as writer:
        writer.upsert(
            [
                IndexedDocument(id_, own[0].revision, own, [vector(c.text) for c in own])
                for id_, own in by_document.items()
            ]
        )
        writer.publish()


def write_recipe(folder: Path, base_model: Path, **sections) -> Recipe:
    """A recipe named ``ann`` on a tiny base model; sections are merged over small defaults."""
    training = {
        "base_model": str(base_model),
        "sft": {"max_steps": 6, "save_steps": 2, "batch_size": 2, "learning_rate": 2e-3},
        "dpo": {
            "max_steps": 3,
            "save_steps": 2,
            "batch_size": 2,
            "learning_rate": 1e-3,
            "pairs": {"max_pairs": 12, "max_tokens": 96, "max_held_out": 0},
        },
    }
    for key, value in sections.pop("training", {}).items():
        known = training.get(key)
        training[key] = {**known, **value} if isinstance(known, dict) else value
    recipe = {
        "name": "ann",
        "author": {"id": "ann", "name": "Ann"},
        "sources": [{"name": "texts", "kind": "folder", "path": "texts"}],
        "training": training,
        **sections,
    }
    recipe.setdefault("datasets", dict(SMALL))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ann.yaml").write_text(yaml.safe_dump(recipe))
    return load_recipe("ann", folder)


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Variables with which `twin` as a process has these settings."""
    return {
        "TWIN_HOME": str(settings.home),
        "TWIN_RECIPES": str(settings.recipes),
        "TWIN_MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri,
        "OMP_NUM_THREADS": "1",
        **more,
    }
