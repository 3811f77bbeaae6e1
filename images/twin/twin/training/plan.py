"""What a training job reads and where its outputs go: names made of their inputs.

``training/<recipe>/<fingerprint>/sft/adapter`` and ``.../dpo-<fingerprint>/adapter`` hold the
adapters. ``checkpoints`` beside them, ``.../candidates-<fingerprint>.json`` and
``.../replies-<fingerprint>`` are there only while a job is unfinished.
`twin.stores.pair_sets` has the preference pairs.
"""

import hashlib
import json
from dataclasses import dataclass

from twin.domain.errors import BadDataError
from twin.models.bases.base_models import BaseModelPin, pin_base_model
from twin.rag.judge import JUDGE_VERSION
from twin.rag.prompt import BUILT_IN, PROMPT_VERSION
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import FileStore
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.tracking import TrackingRun
from twin.training.pair_reviews import PairReviews, read_reviews

TRAINER = "2"
"""Version of this stage's code, part of every fingerprint: raise it when results change."""

PAIRER = "1"
"""Version of the code that makes pairs, part of their version: raise it when pairs change."""


@dataclass(frozen=True)
class TrainingPlan:
    """The inputs of a recipe's training and the names of its outputs in the file store.

    ``made`` is the version of the preference pairs that the model after SFT is to write, ``pairs``
    of those that ``reviews``, what people say of them, leave: the same where nobody says anything.
    """

    manifest: SampleSetManifest
    base: BaseModelPin
    sft: str
    made: str
    reviews: PairReviews
    pairs: str
    dpo: str

    @property
    def sft_adapter(self) -> str:
        """Folder of the adapter after SFT."""
        return f"{self.sft}/adapter"

    @property
    def pretrained(self) -> str:
        """Folder of what continued pretraining has made, while SFT is unfinished."""
        return f"{self.sft}/pretrained"

    @property
    def candidates(self) -> str:
        """File of what the model has written so far, while the pairs are unfinished."""
        return f"{self.sft.removesuffix('/sft')}/candidates-{self.made}.json"

    @property
    def replies(self) -> str:
        """File of what the judge has replied so far, while the pairs are unfinished."""
        return f"{self.sft.removesuffix('/sft')}/replies-{self.made}"

    @property
    def dpo_adapter(self) -> str:
        """Folder of the adapter after DPO."""
        return f"{self.dpo}/adapter"

    def check_sft(self, files: FileStore) -> None:
        """Refuse what goes on from the SFT adapter where there is none yet.

        Raises:
            BadDataError: there is none.
        """
        if not files.is_published(self.sft_adapter):
            raise BadDataError(
                f"no SFT adapter for samples {self.manifest.version}: "
                f"run `twin training sft --recipe {self.manifest.recipe}`"
            )

    def check_trained(self, files: FileStore) -> None:
        """Refuse what goes on from the trained twin where there is none yet.

        Raises:
            BadDataError: there is none.
        """
        if not files.is_published(self.dpo_adapter):
            raise BadDataError(
                f"no adapter for samples {self.manifest.version}: "
                "run `twin training sft`, `twin training pairs` and "
                f"`twin training dpo --recipe {self.manifest.recipe}`"
            )

    def log_samples(self, run: TrackingRun, files: FileStore) -> None:
        """Record the samples as what ``run`` trains on."""
        name, version = self.manifest.recipe, self.manifest.version
        run.log_dataset(name, version, SampleSets(files, name).uri(version), "training")


def plan_training(recipe: Recipe, settings: Settings, files: FileStore) -> TrainingPlan:
    """Look up the newest samples and the base model, and name the outputs; prepares no model.

    Raises:
        BadDataError: there are no samples yet, or the base model cannot be used.
    """
    manifest = SampleSets(files, recipe.name).latest()
    base = pin_base_model(recipe.training.base_model, settings)
    training = recipe.training
    sft = fingerprint(
        manifest.version,
        base.digest,
        recipe.author.name,
        str(training.seed),
        training.method,
        str(training.teach_end),
        *([] if recipe.prompt.digest == BUILT_IN.digest else [recipe.prompt.digest]),
        training.lora.model_dump_json(),
        training.sft.model_dump_json(),
        *([training.canaries.model_dump_json()] if training.canaries.count else []),
        *([training.pretraining.model_dump_json()] if training.pretraining.epochs else []),
    )
    root = f"training/{recipe.name}/{sft}"
    made = fingerprint(
        PAIRER,
        manifest.version,
        sft,
        training.dpo.pairs.model_dump_json(),
        str(training.dpo.max_length),
        recipe.retrieval.dont_know,
        *_judge_of(recipe),
    )
    reviews = read_reviews(files, recipe.name)
    pairs = fingerprint(made, reviews.digest) if reviews.digest else made
    return TrainingPlan(
        manifest=manifest,
        base=base,
        sft=f"{root}/sft",
        made=made,
        reviews=reviews,
        pairs=pairs,
        dpo=f"{root}/dpo-{fingerprint(training.dpo.model_dump_json(), pairs)}",
    )


def _judge_of(recipe: Recipe) -> tuple[str, ...]:
    """What the judge's verdicts depend on; nothing without one."""
    judge = recipe.judge
    return () if judge is None else (JUDGE_VERSION, judge.base_url, judge.model)


def fingerprint(*parts: str) -> str:
    """Part of a name: twelve hex digits that change with any of the inputs."""
    text = json.dumps([TRAINER, PROMPT_VERSION, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
