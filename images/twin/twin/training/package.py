"""`twin training package`: base and adapter become one model, stored and registered."""

from pathlib import Path

from twin.domain.errors import BadDataError, NothingToDo
from twin.job import Job
from twin.models.bases.base_models import prepare_base_model
from twin.rag.prompt import PROMPT_VERSION
from twin.stores.files import FileStore, folder_digest, open_files
from twin.stores.registry import ModelVersion, Registry
from twin.stores.tracking import tracking_run
from twin.training.engine import load_for_training, scratch_folder
from twin.training.plan import TrainingPlan, plan_training


def run_package(job: Job) -> None:
    """Merge, store and register the newest adapter as a candidate.

    Raises:
        NothingToDo: that version is registered already.
        BadDataError: there is no trained adapter yet.
        TryAgainError: MLflow did not answer; the stored weights are used again next time.
    """
    files = open_files(job.settings)
    plan = plan_training(job.recipe, job.settings, files)
    job.result.ids["dataset_version"] = plan.manifest.version
    if not files.is_published(plan.dpo_adapter):
        raise BadDataError(
            f"no adapter for samples {plan.manifest.version}: "
            f"run `twin training sft` and `twin training dpo --recipe {job.recipe.name}`"
        )
    with Registry(job.settings) as registry:
        if (known := _registered(job, files, plan, registry)) is not None:
            _report(job, registry, known)
            raise NothingToDo(f"{known.name} version {known.version} is registered already")
        uri, digest = _stored(job, files, plan)
        tags = {"dataset_version": plan.manifest.version, "stage": "package", "run_id": job.run_id}
        with tracking_run(
            job.settings, experiment=job.recipe.name, name="package", tags=tags, key=_note(plan)
        ) as run:
            job.result.uris["mlflow_run"] = run.url
            job.result.ids["mlflow_run"] = run.id
            version = registry.register(
                job.recipe.model_name,
                weights_uri=uri,
                weights_digest=digest,
                run_id=run.id,
                tags=_lineage(job, plan),
            )
            run.log_params({**_lineage(job, plan), "weights_digest": digest})
        files.write_json(_note(plan), {"uri": uri, "digest": digest, "version": version.version})
        job.counts.written = 1
        _report(job, registry, version)


def _note(plan: TrainingPlan) -> str:
    """File that says where an adapter's package went."""
    return f"{plan.dpo}/package.json"


def _registered(
    job: Job, files: FileStore, plan: TrainingPlan, registry: Registry
) -> ModelVersion | None:
    """The version that was made of this adapter, if registry and weights still have it."""
    if not files.exists(_note(plan)):
        return None
    note = files.read_json(_note(plan))
    if "version" not in note or not files.is_published(files.relative(note["uri"])):
        return None
    found = registry.version(job.recipe.model_name, str(note["version"]))
    return found if found is not None and found.weights_digest == note["digest"] else None


def _stored(job: Job, files: FileStore, plan: TrainingPlan) -> tuple[str, str]:
    """URI and digest of the merged model in the store; merged unless an attempt has done so."""
    if files.exists(_note(plan)):
        note = files.read_json(_note(plan))
        if files.is_published(files.relative(note["uri"])):
            return note["uri"], note["digest"]
    with scratch_folder(job.settings, f"package-{job.recipe.name}") as scratch:
        adapter = files.fetch_folder(plan.dpo_adapter, scratch / "fetched")
        with job.progress("merging", 2) as advance:
            base = prepare_base_model(job.recipe.training.base_model, job.settings)
            merge(base, adapter, scratch / "model", job)
            advance(1)
            digest = folder_digest(scratch / "model")
            uri = files.publish_folder(
                scratch / "model", f"models/{job.recipe.model_name}/{digest[:16]}"
            )
            advance(1)
    files.write_json(_note(plan), {"uri": uri, "digest": digest})
    return uri, digest


def merge(base: Path, adapter: Path, target: Path, job: Job) -> None:
    """Write base and adapter as one model: bf16 safetensors, tokenizer, chat template, licence.

    The sum is formed in float32 and rounded once.
    """
    import torch
    from peft import PeftModel

    model, chat = load_for_training(base, job.settings)
    merged = PeftModel.from_pretrained(model.float(), adapter).merge_and_unload()
    merged.to(torch.bfloat16).save_pretrained(target)
    chat.tokenizer.save_pretrained(target)
    licence = base / "LICENCE"
    if licence.is_file():
        (target / "LICENCE").write_bytes(licence.read_bytes())


def _lineage(job: Job, plan: TrainingPlan) -> dict[str, str]:
    return {
        "dataset_version": plan.manifest.version,
        "index_fingerprint": plan.manifest.index_fingerprint,
        "recipe": job.recipe.name,
        "recipe_digest": job.recipe.digest(),
        "code_version": job.settings.code_version,
        "base_model": plan.base.name,
        "base_digest": plan.base.digest,
        "prompt_version": PROMPT_VERSION,
        "adapter": plan.dpo_adapter,
    }


def _report(job: Job, registry: Registry, version: ModelVersion) -> None:
    job.result.ids["model"] = version.name
    job.result.ids["model_version"] = version.version
    job.result.uris["weights"] = version.weights_uri
    job.result.uris["model_version"] = registry.version_url(version.name, version.version)
