"""`twin training package`: an adapter becomes a registered version, merged or beside its base."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from twin.domain.canary import TAG as CANARIES
from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.models.adapters import (
    check_base,
    check_can_be_shared,
    merge_adapter,
    record_base,
)
from twin.models.bases.base_models import BaseModelPin, keep_base_model, prepare_base_model
from twin.stores.champion_prompt import PROMPT_DIGEST, PROMPT_VERSION
from twin.stores.files import FileStore, folder_digest, open_files
from twin.stores.registry import TRIAL, ModelVersion, Registry
from twin.stores.tracking import tracking_run
from twin.training.form import KEPT, Form
from twin.training.form import TAG as FORM
from twin.training.plan import TrainingPlan, plan_training
from twin.training.scratch import scratch_folder
from twin.training.smaller.plan import PruningPlan, plan_distillation, plan_pruning


@dataclass(frozen=True)
class _Product:
    """What is packaged.

    Attributes:
        plan: of the training that it comes of.
        form: which one it is.
        folder: in the file store, of an adapter or of all weights.
        base: the model that it is an adapter of, or whose place its weights take.
        note: file in the file store that says where the package went.
        kept: of a pruned one, what is left.
        is_shared: whether it is registered as an adapter.
    """

    plan: TrainingPlan
    form: Form
    folder: str
    base: BaseModelPin
    note: str
    kept: str = ""
    is_shared: bool = False


def _product(job: Job, files: FileStore, form: Form) -> _Product:
    """What the recipe's values say that there is in this form.

    Raises:
        BadDataError: it has not been made yet.
    """
    plan = plan_training(job.recipe, job.settings, files)
    if form is Form.TRAINED:
        plan.check_trained(files)
        shared = job.recipe.serving.adapters == "shared"
        note = f"{plan.dpo}/package{'-adapter' if shared else ''}.json"
        return _Product(plan, form, plan.dpo_adapter, plan.base, note, is_shared=shared)
    if form is Form.PRUNED:
        pruned = plan_pruning(plan, job.recipe)
        pruned.check(files)
        kept = _kept(files, pruned)
        return _Product(plan, form, pruned.weights, plan.base, f"{pruned.root}/package.json", kept)
    made = plan_distillation(plan, job.recipe, job.settings)
    made.check(files)
    kept = _kept(files, made.pruned) if made.pruned else ""
    return _Product(plan, form, made.weights, made.base, f"{made.root}/package.json", kept)


def _kept(files: FileStore, pruned: PruningPlan) -> str:
    """What pruning has left, in words."""
    note = files.read_json(pruned.note)
    return f"{note['kept']}; {note['sparsity']:.1%} of the weights of layers are zero"


def run_package(job: Job, form: Form = Form.TRAINED) -> None:
    """Store and register the newest adapter as a candidate, merged into its base or as it is.

    With ``serving.adapters: shared`` the adapter itself is registered, and its base is kept in the
    file store, from where engines load it. What is made of the trained twin is merged always.

    Args:
        job: its recipe says what has been trained.
        form: what is registered.

    Raises:
        NothingToDo: that version is registered already.
        BadDataError: it has not been trained yet, or is of another base.
        TryAgainError: MLflow did not answer; the stored weights are used again next time.
    """
    files = open_files(job.settings)
    product = _product(job, files, form)
    plan = product.plan
    job.result.ids["dataset_version"] = plan.manifest.version
    with Registry(job.settings) as registry:
        if (known := _registered(job, files, product.note, registry)) is not None:
            _report(job, registry, known)
            raise NothingToDo(f"{known.name} version {known.version} is registered already")
        uri, digest = _stored(job, files, product)
        lineage = _lineage(job, files, product)
        tags = {"dataset_version": plan.manifest.version, "stage": "package", "run_id": job.run_id}
        key = product.note
        # Of an attempt that was killed after it had registered them: its run goes on.
        known = registry.by_digest(registry.offered(job.recipe.model_name), digest)
        with tracking_run(
            job.settings,
            experiment=job.recipe.name,
            name="package",
            version=plan.manifest.version,
            tags=tags,
            run_id=known.run_id if known else None,
            key=key,
        ) as run:
            job.result.uris["mlflow_run"] = run.url
            job.result.ids["mlflow_run"] = run.id
            version = registry.register(
                job.recipe.model_name,
                weights_uri=uri,
                weights_digest=digest,
                run_id=run.id,
                tags=lineage,
            )
            registry.describe(version)
            run.log_params({**lineage, "weights_digest": digest})
        files.write_json(key, {"uri": uri, "digest": digest, "version": version.version})
        job.counts.written = 1
        _report(job, registry, version)


def _registered(
    job: Job, files: FileStore, note_file: str, registry: Registry
) -> ModelVersion | None:
    """The version that was made of this product, if registry and weights still have it."""
    if not files.exists(note_file):
        return None
    note = files.read_json(note_file)
    if "version" not in note or not files.is_published(files.relative(note["uri"])):
        return None
    found = registry.version(registry.offered(job.recipe.model_name), str(note["version"]))
    return found if found is not None and found.weights_digest == note["digest"] else None


def _stored(job: Job, files: FileStore, product: _Product) -> tuple[str, str]:
    """URI and digest of what is registered, in the store; made unless an attempt has done so."""
    base_pin = product.base
    if files.exists(product.note):
        note = files.read_json(product.note)
        if files.is_published(files.relative(note["uri"])):
            return note["uri"], note["digest"]
    with scratch_folder(job.settings, f"package-{job.recipe.name}") as scratch:
        adapter = files.fetch_folder(product.folder, scratch / "fetched")
        check_base(adapter, base_pin)
        with job.progress("packaging", 2) as advance:
            if product.is_shared:
                kept = keep_base_model(base_pin.name, job.settings)
                pin = BaseModelPin(kept.name, base_pin.digest)
                _copy_adapter(adapter, scratch / "model", pin, kept.weights_digest)
            else:
                base = prepare_base_model(base_pin.name, job.settings)
                merge_adapter(base, adapter, scratch / "model")
            advance(1)
            digest = folder_digest(scratch / "model")
            uri = files.publish_folder(
                scratch / "model", f"models/{job.recipe.model_name}/{digest[:16]}"
            )
            advance(1)
    files.write_json(product.note, {"uri": uri, "digest": digest})
    return uri, digest


def _copy_adapter(adapter: Path, target: Path, base: BaseModelPin, weights_digest: str) -> None:
    """What an engine loads of an adapter, and of which base it is: as the store keeps that."""
    check_can_be_shared(adapter)
    target.mkdir()
    for path in adapter.glob("adapter_*"):
        shutil.copyfile(path, target / path.name)
    record_base(target, base, weights_digest)


def _weights_tags(job: Job, files: FileStore, product: _Product) -> dict[str, str]:
    """Which base the version is of; of an adapter, also where engines find that base.

    ``base_digest`` is then the digest of the folder at ``base_uri``.
    """
    if not product.is_shared:
        return {
            "weights": "merged",
            "base_model": product.base.name,
            "base_digest": product.base.digest,
        }
    base = keep_base_model(product.base.name, job.settings)
    return {
        "weights": "adapter",
        "base_model": base.name,
        "base_digest": base.weights_digest,
        "base_uri": files.uri(base.folder),
    }


def _lineage(job: Job, files: FileStore, product: _Product) -> dict[str, str]:
    plan = product.plan
    return {
        "dataset_version": plan.manifest.version,
        "index_fingerprint": plan.manifest.index_fingerprint,
        "recipe": job.recipe.name,
        "recipe_digest": job.recipe.digest(),
        "code_version": job.settings.code_version,
        **_weights_tags(job, files, product),
        PROMPT_VERSION: job.recipe.prompt.label,
        PROMPT_DIGEST: job.recipe.prompt.digest,
        "adapter": plan.dpo_adapter,
        **({} if product.form is Form.TRAINED else {FORM: product.form}),
        **({KEPT: product.kept} if product.kept else {}),
        **_canaries(job),
        **({TRIAL: ", ".join(job.changes)} if job.changes else {}),
    }


def _canaries(job: Job) -> dict[str, str]:
    """The tag by which an evaluation looks for the secrets that were planted."""
    section = job.recipe.training.canaries
    return {CANARIES: section.model_dump_json()} if section.count else {}


def _report(job: Job, registry: Registry, version: ModelVersion) -> None:
    job.result.ids["model"] = version.name
    job.result.ids["model_version"] = version.version
    job.result.uris["weights"] = version.weights_uri
    job.result.uris["model_version"] = registry.version_url(version.name, version.version)
