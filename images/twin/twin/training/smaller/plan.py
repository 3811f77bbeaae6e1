"""What is made of a trained twin, and where it goes: names made of the inputs.

Below the folder of the twin's adapter: ``distilled-<fingerprint>/weights`` is a student, with
``answers.json`` and ``checkpoints`` beside it while it is unfinished, and
``pruned-<fingerprint>/weights`` what pruning leaves, with what is said of it in ``pruning.json``.
"""

from dataclasses import dataclass

from twin.domain.errors import BadDataError
from twin.models.bases.base_models import BaseModelPin, pin_base_model
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import FileStore
from twin.training.plan import TrainingPlan, fingerprint

DISTILLER, PRUNER = "1", "1"
"""Versions of the code that distils and prunes: raise one when its results change."""


@dataclass(frozen=True)
class PruningPlan:
    """A trained twin, and the name of what pruning leaves of it in the file store."""

    twin: TrainingPlan
    root: str

    @property
    def weights(self) -> str:
        """Folder of what is left, with all its weights."""
        return f"{self.root}/weights"

    @property
    def note(self) -> str:
        """File of what is said of it."""
        return f"{self.root}/pruning.json"

    def check(self, files: FileStore) -> None:
        """Refuse what goes on from the pruned twin where there is none yet.

        Raises:
            BadDataError: there is none.
        """
        if not files.is_published(self.weights):
            raise BadDataError(
                "the trained twin is not pruned with these values of training.pruning: run "
                f"`twin training prune --recipe {self.twin.manifest.recipe}`"
            )


def plan_pruning(twin: TrainingPlan, recipe: Recipe) -> PruningPlan:
    """Name the output."""
    training = recipe.training
    inputs = (
        PRUNER,
        training.pruning.model_dump_json(),
        str(training.seed),
        str(training.sft.max_length),
    )
    return PruningPlan(twin, f"{twin.dpo}/pruned-{fingerprint(*inputs)}")


@dataclass(frozen=True)
class DistillationPlan:
    """The twin that teaches, its student, and the names of what comes of it in the file store.

    ``base`` is the student's base model: where ``is_copy``, the twin's own, of which the student
    has fewer layers, or what ``pruned`` has left.
    """

    twin: TrainingPlan
    base: BaseModelPin
    is_copy: bool
    pruned: PruningPlan | None
    root: str

    @property
    def weights(self) -> str:
        """Folder of the student, with all its weights."""
        return f"{self.root}/weights"

    @property
    def answers(self) -> str:
        """File of what the twin has written so far, while the student is unfinished."""
        return f"{self.root}/answers.json"

    def check(self, files: FileStore) -> None:
        """Refuse what goes on from the student where there is none yet.

        Raises:
            BadDataError: there is none.
        """
        if not files.is_published(self.weights):
            raise BadDataError(
                "no student of the trained twin with these values of training.distillation: run "
                f"`twin training distill --recipe {self.twin.manifest.recipe}`"
            )


def plan_distillation(twin: TrainingPlan, recipe: Recipe, settings: Settings) -> DistillationPlan:
    """Look up the student and name the outputs; prepares no model.

    Raises:
        BadDataError: there is no such base model, or it can't be one.
    """
    section, training = recipe.training.distillation, recipe.training
    base = twin.base if section.student is None else pin_base_model(section.student, settings)
    pruned = plan_pruning(twin, recipe) if section.copied == "pruned" else None
    inputs = (
        DISTILLER,
        section.model_dump_json(exclude={"student"}),
        str(section.student is None),
        base.digest,
        str(training.seed),
        *([training.lora.model_dump_json()] if section.method == "lora" else []),
        *([pruned.root] if pruned else []),
    )
    return DistillationPlan(
        twin=twin,
        base=base,
        is_copy=section.student is None,
        pruned=pruned,
        root=f"{twin.dpo}/distilled-{fingerprint(*inputs)}",
    )
