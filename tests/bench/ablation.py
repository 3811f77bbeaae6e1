"""Which gates and which kinds of sample pay: each is switched off in turn, and the rest trained on.

The arms go through the house's own jobs: `datasets make` and `training sft` on the demo's recipe
and base model, each with a file store of its own, so that whatever is finished stays finished. All
train for the same few steps. They are measured on the same held-out documents by the statistics of
an evaluation, and compared with the arm that has everything, with intervals by document.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from tests.bench.retrieval.questions import chunks_of, handbook
from tests.conftest import ROOT
from twin.datasets.make import make_samples
from twin.domain.errors import NothingToDo
from twin.domain.result import JobResult
from twin.domain.sample import InstructSample, Maker, Split, is_known_right
from twin.domain.written import plain
from twin.evaluation.answers import copy_share
from twin.evaluation.held_out import HeldOut, document_groups, hold_out
from twin.evaluation.perplexity import perplexity, perplexity_gain
from twin.evaluation.resampling import Statistic, difference, share_of
from twin.evaluation.served_answers import Contestant
from twin.evaluation.site import open_site
from twin.evaluation.style import AuthorStyle, author_style
from twin.evaluation.transcripts import Transcript, transcript_of
from twin.features.chunker import Chunker
from twin.job import Job
from twin.models.adapters import merge_adapter
from twin.models.bases.base_models import prepare_base_model
from twin.models.embedder import Embedder, load_embedder
from twin.rag.chain import Lineage
from twin.rag.retrieve import make_retriever
from twin.recipes import DatasetsSection, Recipe, load_recipe
from twin.settings import Settings
from twin.stores.files import folder_digest, open_files
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.kept_answers import KeptAnswers
from twin.stores.sample_sets import SampleSets
from twin.training.plan import plan_training
from twin.training.sft import run_sft

STEPS = int(os.environ.get("TWIN_BENCH_STEPS", "10"))
"""Of training, four samples each: about two minutes of one core."""
SEEDS = (13, 14)
HELD_OUT = 24
"""Passages, and as many written questions, that each arm is measured on."""
ANSWER_TOKENS = 64
TEST_SHARE = 0.4
"""Of documents: more than the demo holds out, since intervals are over documents."""
UNTRAINED = "untrained"
EVERYTHING = "everything"


@dataclass(frozen=True)
class Arm:
    """What one training goes without.

    Attributes:
        name: of what is switched off.
        datasets: values of the recipe's section that switch it off.
        replaced: functions that always say so, for what no recipe switches off.
        without: kinds of written questions that are left out of the file.
    """

    name: str
    datasets: Mapping[str, Any] = field(default_factory=dict)
    replaced: Mapping[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Of its folder."""
        return re.sub(r"\W+", "-", self.name)


ARMS = (
    Arm(EVERYTHING),
    Arm("passages", {"min_answer_words": 100_000, "max_answer_words": 100_000}),
    Arm("written questions", {"written": None}),
    Arm("withheld questions", {"withheld_share": 0.0}),
    Arm("unanswerable questions", without=("unanswerable",)),
    Arm("follow-ups", without=("follow-up",)),
    Arm("questions in other languages", without=("other-language",)),
    Arm("questions about code and tables", without=("code", "table")),
    Arm("gate: copy budget", {"copy_share": 1.0}),
    Arm("gate: relevance", {"gates": {"relevance": 0.0}}),
    Arm("gate: held-out questions", replaced={"twin.datasets.held_out.HeldOut.like": ""}),
    Arm("gate: toxicity", {"gates": {"toxicity": 1.0}}),
    Arm("gate: rules", replaced={"twin.datasets.gates._fault": None}),
    Arm("gate: personal data", {"personal_data": {"redact": False}}),
)


@dataclass(frozen=True)
class Yardstick:
    """What all arms are measured on: held-out passages, held-out written questions."""

    passages: HeldOut
    written: HeldOut
    style: AuthorStyle
    trained: str
    refusal: str

    def statistics(self, made: tuple[Transcript, Transcript]) -> dict[str, Statistic]:
        """Name of a measure to what it says of one training."""
        of_passages, of_written = made
        right = [
            float(is_known_right(sample, answer, self.refusal))
            for sample, answer in zip(self.written.samples, of_written.answers, strict=True)
        ]
        return {
            "perplexity, author": perplexity(of_passages.scored),
            "perplexity, answers": perplexity(of_written.scored),
            "right": share_of(right),
            "copied": copy_share(
                of_written.answers, of_written.prompts(self.written), self.trained, self.refusal
            ),
            "style": self.style.similarity(of_passages.answers),
        }


class Ablation:
    """All arms in one folder.

    Args:
        folder: keeps what is finished.
        mlflow_url: where trainings are tracked.
    """

    def __init__(self, folder: Path, mlflow_url: str) -> None:
        self._folder = folder
        self._mlflow = mlflow_url
        self._found: dict[tuple[str, int, str], Any] = {}

    def settings(self, arm: Arm) -> Settings:
        """One home for models and index, a file store for each arm."""
        return Settings(
            home=self._folder / "home",
            files_uri=str(self._folder / "arms" / arm.slug),
            recipes=ROOT / "include" / "recipes",
            mlflow_tracking_uri=self._mlflow,
            threads=len(os.sched_getaffinity(0)),
        )

    def recipe(self, arm: Arm, seed: int = SEEDS[0]) -> Recipe:
        """The demo's, with what the arm changes and a short training."""
        recipe = load_recipe("handbook", ROOT / "include" / "recipes")
        knobs = recipe.datasets.model_dump()
        for key, value in {
            "test_share": TEST_SHARE,
            "validation_share": 0.0,
            **arm.datasets,
        }.items():
            knobs[key] = {**knobs[key], **value} if isinstance(value, dict) else value
        if arm.without:
            knobs["written"] = self._written_without(arm, Path(knobs["written"]))
        sft = recipe.training.sft.model_copy(update={"max_steps": STEPS, "save_steps": STEPS})
        return recipe.model_copy(
            update={
                "datasets": DatasetsSection.model_validate(knobs),
                "training": recipe.training.model_copy(update={"seed": seed, "sft": sft}),
            }
        )

    def make(self, arm: Arm) -> list[InstructSample]:
        """The arm's samples, by the house's job."""
        self._index()
        recipe, settings = self.recipe(arm), self.settings(arm)
        if not arm.replaced:
            self._take_over_splits(arm)
        with ExitStack() as stack:
            stack.enter_context(patch("twin.datasets.questions.make_retriever", self._retriever))
            for name, value in arm.replaced.items():
                stack.enter_context(patch(name, return_value=value))
            _run(make_samples, recipe, settings)
        return self.samples(arm)

    def samples(self, arm: Arm) -> list[InstructSample]:
        """Those of the arm that are trained on and measured on."""
        sets = SampleSets(open_files(self.settings(arm)), "handbook")
        version = sets.latest().version
        return [sample for split in Split for sample in sets.instruct(version, split)]

    def train(self, arm: Arm, seed: int) -> tuple[Transcript, Transcript]:
        """Train the arm, unless that was done, and let it write and score what is held out."""
        recipe, settings = self.recipe(arm, seed), self.settings(arm)
        _run(run_sft, recipe, settings)
        files = open_files(settings)
        plan = plan_training(recipe, settings, files)
        base = prepare_base_model(plan.base.name, settings)
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            adapter = files.fetch_folder(plan.sft_adapter, Path(scratch) / "adapter")

            def merged() -> Path:
                merge_adapter(base, adapter, Path(scratch) / "model")
                return Path(scratch) / "model"

            return self._transcripts(folder_digest(adapter), merged, settings)

    def untrained(self) -> tuple[Transcript, Transcript]:
        """What the base model says."""
        settings = self.settings(ARMS[0])
        base = prepare_base_model(self.recipe(ARMS[0]).training.base_model, settings)
        return self._transcripts(folder_digest(base), lambda: base, settings)

    @cached_property
    def yardstick(self) -> Yardstick:
        """Of the arm that has everything; all arms hold out the same documents."""
        samples, recipe = self.samples(ARMS[0]), self.recipe(ARMS[0])
        test = [sample for sample in samples if sample.split is Split.TEST]
        groups = document_groups(test)
        train = [sample.answer for sample in samples if sample.split is Split.TRAIN]

        def held(maker: Maker) -> HeldOut:
            those = [sample for sample in test if sample.maker is maker]
            author = recipe.author.name
            return hold_out(those, groups, author, max_samples=HELD_OUT, seed=SEEDS[0])

        return Yardstick(
            held(Maker.PASSAGE),
            held(Maker.WRITTEN),
            author_style(train),
            plain("\n".join(dict.fromkeys(train))),
            recipe.retrieval.dont_know,
        )

    def _transcripts(
        self, digest: str, weights: Any, settings: Settings
    ) -> tuple[Transcript, Transcript]:
        """By the chain that serves, whose index all arms share."""
        by, files = self.yardstick, open_files(settings)
        recipe = self.recipe(ARMS[0])
        short = recipe.evaluation.model_copy(update={"max_new_tokens": ANSWER_TOKENS})
        recipe = recipe.model_copy(update={"evaluation": short})
        site = open_site(recipe, settings, KeptAnswers(files), lambda: self._embedder)
        model = Contestant(digest, cache(weights), Lineage(recipe.model_name, digest))
        first, second = (
            transcript_of(model, held, site, files, lambda _: None)
            for held in (by.passages, by.written)
        )
        return first, second

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self.recipe(ARMS[0]).features.embedder, self.settings(ARMS[0]))

    def _index(self) -> None:
        """The handbook's chunks, as the demo cuts them."""
        recipe, settings = self.recipe(ARMS[0]), self.settings(ARMS[0])
        index = open_index(settings, recipe)
        if index.state() is not None:
            return
        embedder = self._embedder
        chunker = Chunker(embedder, recipe.features.chunk_tokens, recipe.features)
        spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
        with index.write(spec, embedder.dimension) as writer:
            for own in chunks_of(handbook(), chunker):
                vectors = embedder.encode([chunk.embedded_text for chunk in own])
                document = own[0]
                writer.upsert(
                    [IndexedDocument(document.document_id, document.revision, own, vectors)]
                )
            writer.publish()

    def _take_over_splits(self, arm: Arm) -> None:
        """A document stays where an earlier version had it: here where everything has it.

        An arm whose recipe is no other one deals the same documents by the same seed.
        """
        whole, own = (Path(self.settings(each).files_root) / "datasets" for each in (ARMS[0], arm))
        if whole.is_dir() and not own.exists():
            shutil.copytree(whole, own)

    def _retriever(self, *arguments: Any) -> Any:
        """The house's, which remembers: all arms ask one index the same questions."""
        retriever, known = make_retriever(*arguments), self._found

        class Remembering:
            def find(self, question: str, count: int, others: Any) -> Any:
                key = (question, count, repr(others))
                if key not in known:
                    known[key] = retriever.find(question, count, others)
                return known[key]

        return Remembering()

    def _written_without(self, arm: Arm, path: Path) -> Path:
        questions = yaml.safe_load(path.read_text(encoding="utf-8"))
        kept = [each for each in questions if each["kind"] not in arm.without]
        made = self._folder / f"{arm.slug}.yaml"
        made.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
        return made


def training_digest(samples: Sequence[InstructSample]) -> str:
    """Of all that a training sees of samples: the same one makes the same model."""
    seen = [
        (sample.id, sample.instruction, sample.context, sample.answer)
        for sample in samples
        if sample.split is Split.TRAIN
    ]
    return hashlib.sha256(json.dumps(sorted(seen)).encode()).hexdigest()


def mean_of_seeds(statistics: Sequence[Statistic]) -> Statistic:
    """One figure of several trainings, sample by sample."""
    counted = None
    for each in statistics:
        if each.counted is not None:
            counted = each.counted if counted is None else counted | each.counted
    return Statistic(
        lambda weights: sum(each.of(weights) for each in statistics) / len(statistics), counted
    )


def gained(
    whole: Mapping[int, dict[str, Statistic]],
    less: Mapping[int, dict[str, Statistic]],
    transcripts: Mapping[int, tuple[tuple[Transcript, Transcript], tuple[Transcript, Transcript]]],
) -> dict[str, Statistic]:
    """By how much it is better to have it, over the seeds that both were trained with.

    Relative for perplexity, a difference for the others.
    """
    seeds = sorted(whole.keys() & less.keys())
    made = {
        name: mean_of_seeds([difference(whole[s][name], less[s][name]) for s in seeds])
        for name in ("right", "copied", "style")
    }
    for place, name in enumerate(("perplexity, author", "perplexity, answers")):
        made[name] = mean_of_seeds(
            [
                perplexity_gain(transcripts[s][0][place].scored, transcripts[s][1][place].scored)
                for s in seeds
            ]
        )
    return made


def _run(body: Any, recipe: Recipe, settings: Settings) -> None:
    """A job in this process; one that was done before is fine."""
    result = JobResult(job=body.__name__, recipe=recipe.name, run_id="ablation")
    try:
        body(Job(recipe, settings, "ablation", result))
    except NothingToDo:
        return


@contextmanager
def kept_time(folder: Path, arm: Arm, seed: int) -> Iterator[None]:
    """Note what an arm took, once."""
    note = folder / "seconds.json"
    known = json.loads(note.read_text()) if note.exists() else {}
    started = time.monotonic()
    yield
    known.setdefault(f"{arm.name}, {seed}", round(time.monotonic() - started))
    note.write_text(json.dumps(known, indent=2))
