"""`twin training check`: whether a recipe with a run's own values can be trained, without a GPU."""

from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.stores.files import open_files
from twin.training.plan import plan_training


def run_check(job: Job) -> None:
    """Look up what a training reads and name what it makes; loads no model.

    The recipe with the run's own values has been validated before this begins. The result's
    ``detail`` says which values are the run's own (``changes``).

    Raises:
        NothingToDo: these values have been trained with already.
        BadDataError: there are no samples, or no such base model, or one that can't be trained.
        BadConfigurationError: the base model is gated, or its package is not installed.
        TryAgainError: the file store or the model hub does not answer.
    """
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    job.result.ids.update(dataset_version=plan.manifest.version, base_digest=plan.base.digest)
    job.result.uris.update(adapter=files.uri(plan.dpo_adapter))
    job.result.detail.update(
        base_model=plan.base.name,
        changes=list(job.changes),
    )
    if files.is_published(plan.dpo_adapter):
        raise NothingToDo(f"it is trained already: {files.uri(plan.dpo_adapter)}")
