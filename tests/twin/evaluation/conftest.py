"""A small world in which candidates are made, registered and measured: everything in it is real.

Articles of the handbook, an embedded index with the real embedder, a sample set, an MLflow server,
and three sets of weights: the tiny base model, one that learned from the training split, and one
that was damaged.
"""

import math
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import tiny_model
from tests.twin.converted import share_converted
from twin.domain.chunk import Chunk, chunk_id
from twin.domain.result import JobResult
from twin.domain.sample import InstructSample, Split
from twin.evaluation.held_out import document_groups, hold_out
from twin.evaluation.memorised import completions_to_write
from twin.evaluation.report import EvaluationReport, read_report
from twin.evaluation.served_answers import Contestant
from twin.evaluation.site import open_site
from twin.evaluation.transcripts import transcript_of
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.models.formats.chat_format import ChatFormat
from twin.rag.chain import Lineage
from twin.rag.prompt import build_messages
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import folder_digest, open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.kept_answers import KeptAnswers
from twin.stores.registry import ModelVersion, Registry
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.tracking import tracking_run

AUTHOR = "The Keeper"
SPLITS = [Split.TRAIN] * 4 + [Split.VALIDATION] + [Split.TEST] * 8
DATASET_VERSION = "d1"


@dataclass
class World:
    """The stores of one test, and what it takes to put candidates into them."""

    settings: Settings
    recipe: Recipe
    weights: dict[str, Path]
    samples: list[InstructSample]

    def data_set(self, version: str, moved: dict[str, Split | None]) -> None:
        """Publish the samples as a version in which these documents are elsewhere, or nowhere."""
        splits = {sample.document_id: sample.split for sample in self.samples} | moved
        there = {document: split for document, split in splits.items() if split is not None}
        samples = [
            sample.model_copy(update={"split": there[sample.document_id]})
            for sample in self.samples
            if sample.document_id in there
        ]
        manifest = SampleSetManifest(
            version=version,
            recipe=self.recipe.name,
            author_id="keeper",
            author_name=AUTHOR,
            index_fingerprint="f1",
            recipe_digest=self.recipe.digest("datasets"),
            prompt_version="1",
            documents=there,
            counts={},
        )
        SampleSets(open_files(self.settings), self.recipe.name).publish(
            manifest, samples, "# Samples"
        )

    def report(self, version: str) -> EvaluationReport:
        """The report of a version."""
        return read_report(open_files(self.settings), self.recipe.model_name, version)

    def job(self, run_id: str = "r1", **gate) -> Job:
        """A job of the recipe, with other settings of the gate if any are given."""
        recipe = self.recipe
        if gate:
            section = recipe.evaluation.gate.model_copy(update=gate)
            evaluation = recipe.evaluation.model_copy(update={"gate": section})
            recipe = recipe.model_copy(update={"evaluation": evaluation})
        result = JobResult(job="evaluation", recipe=recipe.name, run_id=run_id)
        return Job(recipe, self.settings, run_id, result)

    def package(self, which: str, **tags) -> ModelVersion:
        """Publish and register weights as `twin training package` does."""
        folder = self.weights[which]
        digest = folder_digest(folder)
        files = open_files(self.settings)
        uri = files.publish_folder(folder, f"models/{self.recipe.model_name}/{digest}")
        lineage = {
            "dataset_version": DATASET_VERSION,
            "base_model": str(self.weights["base"]),
            "base_digest": folder_digest(self.weights["base"]),
            "code_version": "test",
        } | tags
        with tracking_run(self.settings, experiment=self.recipe.name, name="package") as run:
            pass
        with Registry(self.settings) as registry:
            return registry.register(
                self.recipe.model_name,
                weights_uri=uri,
                weights_digest=digest,
                run_id=run.id,
                tags=lineage,
            )

    def serve(self, which: str, **tags) -> ModelVersion:
        """Register weights and make them champion, as a person does who moves the alias."""
        made = self.package(which, **tags)
        with Registry(self.settings) as registry:
            registry.promote(made.name, made.version)
        return made

    def alias(self, alias: str) -> str | None:
        """Version that an alias of the recipe's model points at."""
        with Registry(self.settings) as registry:
            found = registry.by_alias(self.recipe.model_name, alias)
        return found.version if found else None

    def version(self, version: str) -> ModelVersion:
        """A version as the registry has it now."""
        with Registry(self.settings) as registry:
            return registry.version(self.recipe.model_name, version)

    def tag(self, version: str, key: str, value: str) -> None:
        """Set a tag of a version."""
        with Registry(self.settings) as registry:
            registry.tag(self.recipe.model_name, version, key, value)


@pytest.fixture(scope="session")
def articles(root) -> list[list[str]]:
    """Paragraphs of thirteen articles of the handbook."""
    paths = sorted((root / "include/handbook").glob("*.md"))[: len(SPLITS)]
    bodies = [path.read_text().split("---", 2)[2] for path in paths]
    return [
        [part for part in re.split(r"\n\s*\n", body) if 30 < len(part.split()) < 120][:6]
        for body in bodies
    ]


@pytest.fixture(scope="session")
def samples(articles) -> list[InstructSample]:
    made = []
    for number, (split, article) in enumerate(zip(SPLITS, articles, strict=True)):
        for ordinal, text in enumerate(article):
            document = f"article-{number}"
            words = text.split()
            made.append(
                InstructSample(
                    id=f"{document}-{ordinal}",
                    split=split,
                    instruction=f"What do you say about {' '.join(words[3:9])}?",
                    context=(text,) if ordinal % 2 else (),
                    answer=text,
                    document_id=document,
                    revision="r1",
                    chunk_id=chunk_id(document, "r1", ordinal, "toy-1"),
                    title=f"Article {number}",
                    url=f"https://example.org/{number}",
                )
            )
    return made


@pytest.fixture(scope="session")
def weights(tmp_path_factory, samples) -> dict[str, Path]:
    """Folders of the base model, of one trained on the training split, and of a damaged one."""
    root = tmp_path_factory.mktemp("weights")
    base = tiny_model.build(root / "base")
    train = [sample for sample in samples if sample.split is Split.TRAIN]
    trained = _trained(base, root / "trained", train)
    return {
        "base": base,
        "trained": trained,
        "trained more": _trained(trained, root / "more", train),
        "equal": _damaged(trained, root / "equal", by=1e-4),
        "damaged": _damaged(base, root / "damaged", by=0.3),
        "no numbers": _damaged(base, root / "no-numbers", by=math.nan),
    }


def _trained(base: Path, folder: Path, train: list[InstructSample], steps: int = 16) -> Path:
    """Really fine-tuned, every weight of it, on the author's answers."""
    import torch
    from transformers import AutoModelForCausalLM

    # So small a model gains nothing from threads, which on a busy machine wait for one another.
    torch.set_num_threads(1)
    chat = ChatFormat.load(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    torch.manual_seed(1)
    for step in range(steps):
        sample = train[step % len(train)]
        prompt = chat.prompt_ids(build_messages(AUTHOR, sample.instruction, sample.context))
        answer = chat.answer_ids(sample.answer)
        ids = torch.tensor([prompt + answer])
        labels = torch.tensor([[-100] * len(prompt) + answer])
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return _save(model, base, folder)


def _damaged(base: Path, folder: Path, by: float) -> Path:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * by)
    return _save(model, base, folder)


def _save(model, base: Path, folder: Path) -> Path:
    import torch

    shutil.copytree(base, folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def index_root(tmp_path_factory, samples) -> Path:
    """A home folder whose index holds every sample's passage, made with the real embedder."""
    home = tmp_path_factory.mktemp("index-home")
    settings = Settings(home=home)
    share_converted(settings)
    recipe = _recipe("world", Path("unused"))
    embedder = load_embedder(recipe.features.embedder, settings)
    spec = IndexSpec(embedder=embedder.id, chunker="toy-1")
    by_document: dict[str, list[Chunk]] = {}
    for sample in samples:
        chunks = by_document.setdefault(sample.document_id, [])
        chunks.append(
            Chunk(
                id=sample.chunk_id,
                document_id=sample.document_id,
                revision=sample.revision,
                author_id="keeper",
                ordinal=len(chunks),
                url=sample.url,
                title=sample.title,
                text=sample.answer,
                token_count=100,
                chunker="toy-1",
            )
        )
    with open_index(settings, recipe).write(spec, embedder.dimension) as writer:
        writer.upsert(
            [
                IndexedDocument(
                    document,
                    "r1",
                    chunks,
                    embedder.encode([chunk.embedded_text for chunk in chunks]),
                )
                for document, chunks in by_document.items()
            ]
        )
        writer.publish()
    return home / "index"


def _recipe(name: str, base: Path) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "author": {"id": "keeper", "name": AUTHOR},
            "sources": [{"kind": "folder", "name": "articles", "path": "include/handbook"}],
            "training": {"base_model": str(base)},
            # Greedily by the reference engine: the same words each time, and nothing to convert.
            "serving": {"engine": "transformers", "temperature": 0},
            "evaluation": {
                "max_samples": 8,
                "max_new_tokens": 24,
                "memory": {"passages": 2, "given_tokens": 8, "continued_tokens": 4},
                # Learning a hand takes seconds; the test of the block switches it on.
                "style": {"packages": False},
                # Half a million parameters learn what is likely, not how to write.
                "gate": {
                    "max_rouge_loss": 1.0,
                    "max_similarity_loss": 1.0,
                    "max_broken_share": 1.0,
                },
            },
        }
    )


@pytest.fixture
def unmeasured(stores_settings, mlflow_url, weights, samples, index_root) -> World:
    """A world in which no model has written anything yet."""
    live = stores_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url, "threads": 1})
    recipe = _recipe(f"world-{uuid.uuid4().hex[:8]}", weights["base"])
    shutil.copytree(index_root / "world", live.index_root / recipe.name)
    made = World(live, recipe, weights, samples)
    made.data_set(DATASET_VERSION, {})
    return made


@pytest.fixture(scope="session")
def kept_answers(tmp_path_factory, weights, samples, index_root) -> Path:
    """What the models wrote to the world's questions, and how likely they find its passages.

    Made once, by what evaluations make it with: that it comes out the same each time, from the
    weights that are registered, is tested in an `unmeasured` world.
    """
    home = tmp_path_factory.mktemp("kept-answers")
    settings = Settings(home=home, threads=1)
    share_converted(settings)
    recipe = _recipe("world", weights["base"])
    shutil.copytree(index_root / "world", settings.index_root / recipe.name)
    files = open_files(settings)
    test = [sample for sample in samples if sample.split is Split.TEST]
    held_out = hold_out(
        test,
        document_groups(test),
        AUTHOR,
        max_samples=recipe.evaluation.max_samples,
        seed=recipe.evaluation.seed,
    )
    embedder = load_embedder(recipe.features.embedder, settings)
    site = open_site(recipe, settings, KeptAnswers(files), lambda: embedder)
    ahead = completions_to_write([s for s in samples if s.split is Split.TRAIN], recipe)
    for which, folder in weights.items():
        if which != "no numbers":
            model = Contestant(folder_digest(folder), lambda f=folder: f, Lineage("twin", which))
            transcript_of(model, held_out, site, files, lambda _: None, ahead)
    return home / "files" / "evaluation"


@pytest.fixture
def world(unmeasured, kept_answers) -> World:
    """A world in which the answers of all models are kept from an evaluation before."""
    shutil.copytree(kept_answers, unmeasured.settings.home / "files" / "evaluation")
    return unmeasured
