"""What a recipe asks for the pods of a stage (``resources``), put into the profile that fits it.

A profile says in its annotation `ALLOWED` what may be asked of it:

    gpus: [1, 1]                  least and most
    memory: [4Gi, 512Gi]
    image_variants: [cuda]        NAME-cuda instead of NAME
    gpu_types:                    by name, the labels of the nodes that have such
      l4: {nvidia.com/gpu.product: NVIDIA-L4}

What it does not list cannot be asked of it. Only what the stage's own profile is for is asked: a
small job of the stage, which takes another profile, stays small.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from include.runtime import Runtime

ONE_GPU, SEVERAL_GPUS, NO_GPU = "gpu-1", "gpu-n", "cpu"
#: The profiles that a stage's recipe asks `resources` of; of any other stage it is ``cpu``.
PROFILES_OF_STAGE: Mapping[str, tuple[str, ...]] = {
    "crawl": ("crawl", "crawl-browser"),
    "training": (ONE_GPU,),
    "evaluation": (ONE_GPU,),
}

#: Annotation of a profile: what a recipe may ask of it, as YAML.
ALLOWED = "llm-twin/allowed"
#: Annotation of a profile: the images are those of this kind, ``NAME-cuda`` instead of ``NAME``.
IMAGE_VARIANT = "llm-twin/image-variant"
#: Label of a profile: how many GPUs its container has; the job learns it as ``TWIN_GPUS``.
GPUS = "llm-twin/gpus"
GPU = "nvidia.com/gpu"
#: Bytes that a job keeps of models, in the volume `HOME`; it grows with the volume.
CACHE_BYTES = "TWIN_MODEL_CACHE_BYTES"
HOME, SCRATCH, SHARED_MEMORY = "home", "tmp", "shared-memory"
#: Where jobs find the volume of models that they share, if there is one.
MODELS, MODELS_FOLDER, MODELS_VARIABLE = "models", "/models", "TWIN_MODELS"

Asked = Mapping[str, Any]


class ResourcesError(ValueError):
    """No profile of this cluster gives what a recipe asks for; the message says what one gives."""


def profiles_of(stage: str) -> tuple[str, ...]:
    """The profiles that a stage's recipe asks `resources` of."""
    return PROFILES_OF_STAGE.get(stage, (NO_GPU,))


def asked_by(recipe: Mapping[str, Any], stage: str) -> dict[str, Any]:
    """What a recipe, as its YAML stands, asks for the pods of a stage."""
    resources = recipe.get("resources")
    section = resources.get(stage) if isinstance(resources, Mapping) else None
    asked = dict(section) if isinstance(section, Mapping) else {}
    return {name: value for name, value in asked.items() if value is not None}


def profile_for(profile: str, asked: Asked) -> str:
    """Name of the profile that has so many GPUs as are asked for; ``profile`` where none are."""
    gpus = asked.get("gpus")
    if gpus is None or profile not in (ONE_GPU, SEVERAL_GPUS):
        return profile
    return (NO_GPU, ONE_GPU)[gpus] if gpus < 2 else SEVERAL_GPUS


def template_for(
    runtime: Runtime, profile: str, asked: Asked, *, several_gpus: bool = True
) -> dict[str, Any]:
    """The pod template of a job, with what its recipe asks for.

    Args:
        runtime: says where the profiles are, and whether there are GPUs.
        profile: that the job takes where its recipe asks for nothing.
        asked: as `asked_by` has it.
        several_gpus: whether the job can use more than one GPU; else it gets one of them, and
            everything else as it was asked.

    Raises:
        ResourcesError: this cluster, or the profile, does not give that.
    """
    if not runtime.gpus and (asked.get("gpus") or asked.get("gpu_type")):
        raise ResourcesError(
            "it asks for GPUs and this cluster has none ([twin] gpus, jobs.gpus of the chart): "
            "leave gpus and gpu_type out"
        )
    path = runtime.profile(profile_for(profile, asked))
    template = read_profile(path)
    used = asked if several_gpus else {**asked, "gpus": min(1, asked.get("gpus", 0))}
    try:
        _check(template, asked, path.stem)
        return _sharing_models(_with(template, used), runtime)
    except (KeyError, StopIteration) as error:
        # A cluster's own profile, read while DAGs are parsed: one must not take all of them along.
        raise ResourcesError(f"profile {path.stem} lacks what its jobs need: {error}") from None


def read_profile(path: Path) -> dict[str, Any]:
    """A pod template as it stands."""
    import yaml

    template: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return template


def faults_of(runtime: Runtime, recipe: Mapping[str, Any]) -> list[str]:
    """What this cluster does not give of what a recipe asks for, a line for each stage."""
    resources = recipe.get("resources")
    faults = []
    for stage in resources if isinstance(resources, Mapping) else ():
        try:
            for profile in profiles_of(stage):
                template_for(runtime, profile, asked_by(recipe, stage))
        except ResourcesError as error:
            faults.append(f"resources.{stage}: {error}")
    return faults


def _check(template: Mapping[str, Any], asked: Asked, profile: str) -> None:
    """Hold what is asked to what the profile allows."""
    import yaml

    notes = template["metadata"].get("annotations") or {}
    allowed: dict[str, Any] = yaml.safe_load(notes.get(ALLOWED, "")) or {}
    for name in ("gpus", "cpus", "memory", "disk", "shared_memory"):
        # Of no GPU there is nothing to check: profiles without GPUs list none.
        if not asked.get(name):
            continue
        if name not in allowed:
            raise ResourcesError(f"{name} = {asked[name]}: profile {profile} has none to ask for")
        least, most = allowed[name]
        if not _amount(least) <= _amount(asked[name]) <= _amount(most):
            raise ResourcesError(
                f"{name} = {asked[name]}: profile {profile} allows {least} to {most}"
            )
    for name, known in (("image_variant", "image_variants"), ("gpu_type", "gpu_types")):
        names = sorted(allowed.get(known) or ())
        if name in asked and asked[name] not in names:
            listed = ", ".join(names) or "none"
            raise ResourcesError(f"{name} = {asked[name]}: profile {profile} allows {listed}")


def _with(template: Mapping[str, Any], asked: Asked) -> dict[str, Any]:
    """The template, with what is asked for in place of its own numbers."""
    pod = deepcopy(dict(template))
    metadata, spec = pod["metadata"], pod["spec"]
    notes = metadata.get("annotations") or {}
    allowed = notes.pop(ALLOWED, "")
    container = _base(spec)
    if gpus := asked.get("gpus"):
        _ask(container, GPU, str(gpus))
        metadata["labels"][GPUS] = str(gpus)
    if cpus := asked.get("cpus"):
        _ask(container, "cpu", str(cpus))
    if memory := asked.get("memory"):
        _ask(container, "memory", memory)
    if disk := asked.get("disk"):
        _enlarge(spec, container, disk)
    if shared := asked.get("shared_memory"):
        _volume(spec, SHARED_MEMORY)["sizeLimit"] = shared
    if variant := asked.get("image_variant"):
        notes[IMAGE_VARIANT] = variant
    if kind := asked.get("gpu_type"):
        import yaml

        labels = yaml.safe_load(allowed)["gpu_types"][kind]
        spec["nodeSelector"] = {**spec.get("nodeSelector", {}), **labels}
    return pod


def _sharing_models(pod: dict[str, Any], runtime: Runtime) -> dict[str, Any]:
    """The template with the volume of models that all jobs share, if it is of a job with models."""
    if not runtime.models_claim:
        return pod
    spec = pod["spec"]
    container = _base(spec)
    names = {variable["name"] for variable in container.get("env") or ()}
    if CACHE_BYTES not in names:
        return pod
    shared = {MODELS_VARIABLE: MODELS_FOLDER, CACHE_BYTES: str(runtime.models_bytes)}
    kept = [variable for variable in container["env"] if variable["name"] not in shared]
    added = [{"name": name, "value": value} for name, value in shared.items()]
    container["env"] = [*kept, *added]
    container["volumeMounts"].append({"name": MODELS, "mountPath": MODELS_FOLDER})
    claim = {"claimName": runtime.models_claim}
    spec["volumes"].append({"name": MODELS, "persistentVolumeClaim": claim})
    return pod


def _base(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The container of the job."""
    return next(each for each in spec["containers"] if each["name"] == "base")


def _ask(container: Mapping[str, Any], name: str, amount: str) -> None:
    """Request what is the limit too: nothing is lent by neighbours, or taken back by them."""
    container["resources"]["requests"][name] = container["resources"]["limits"][name] = amount


def _enlarge(spec: Mapping[str, Any], container: Mapping[str, Any], disk: str) -> None:
    """Give models and checkpoints so much room, and the caches their old share of it."""
    home = _volume(spec, HOME)
    share = _amount(disk) / _amount(home["sizeLimit"])
    home["sizeLimit"] = disk
    container["resources"]["requests"]["ephemeral-storage"] = disk
    # Kubernetes counts the volumes of a pod together.
    whole = _amount(disk) + _amount(_volume(spec, SCRATCH)["sizeLimit"])
    container["resources"]["limits"]["ephemeral-storage"] = f"{int(whole) // 2**20}Mi"
    for variable in container["env"]:
        if variable["name"] == CACHE_BYTES:
            variable["value"] = str(int(int(variable["value"]) * share))


def _volume(spec: Mapping[str, Any], name: str) -> dict[str, Any]:
    volume: dict[str, Any] = next(each for each in spec["volumes"] if each["name"] == name)
    directory: dict[str, Any] = volume["emptyDir"]
    return directory


def _amount(quantity: object) -> float:
    from kubernetes.utils.quantity import parse_quantity

    return float(parse_quantity(str(quantity)))
