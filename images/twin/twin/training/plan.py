"""What a training job reads and where its outputs go: names made of their inputs.

``training/<recipe>/<fingerprint>/sft/adapter`` and ``.../dpo-<fingerprint>/adapter`` hold the
adapters; ``checkpoints`` beside them is there only while a training is unfinished.
"""

import hashlib
import json
from dataclasses import dataclass

from twin.models.bases.base_models import BaseModelPin, pin_base_model
from twin.rag.prompt import PROMPT_VERSION
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import FileStore
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.tracking import TrackingRun

TRAINER = "2"
"""Version of this stage's code, part of every fingerprint: raise it when results change."""


@dataclass(frozen=True)
class TrainingPlan:
    """The inputs of a recipe's training and the names of its outputs in the file store."""

    manifest: SampleSetManifest
    base: BaseModelPin
    sft: str
    dpo: str

    @property
    def sft_adapter(self) -> str:
        """Folder of the adapter after SFT."""
        return f"{self.sft}/adapter"

    @property
    def dpo_adapter(self) -> str:
        """Folder of the adapter after DPO."""
        return f"{self.dpo}/adapter"

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
    sft = _fingerprint(
        manifest.version,
        base.digest,
        recipe.author.name,
        str(training.seed),
        training.method,
        str(training.teach_end),
        training.lora.model_dump_json(),
        training.sft.model_dump_json(),
    )
    root = f"training/{recipe.name}/{sft}"
    return TrainingPlan(
        manifest=manifest,
        base=base,
        sft=f"{root}/sft",
        dpo=f"{root}/dpo-{_fingerprint(training.dpo.model_dump_json())}",
    )


def _fingerprint(*parts: str) -> str:
    text = json.dumps([TRAINER, PROMPT_VERSION, *parts])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
