"""Section `resources` of a recipe: what the pods of a stage ask their cluster for.

The profiles of the cluster (pod templates) say which values they allow; Airflow holds a recipe to
them when it reads it. On a laptop a job is a child process, and takes what the machine has.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt, WithJsonSchema, model_validator

from twin.recipes.section import Section, Slug

_UNITS = {"Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_SIZE = re.compile(rf"^([1-9]\d*)({'|'.join(_UNITS)})$")


def bytes_of(size: str) -> int:
    """The bytes of a size such as ``64Gi``.

    Raises:
        ValueError: it is none.
    """
    match = _SIZE.fullmatch(size)
    if match is None:
        raise ValueError("a size is a whole number with Mi, Gi or Ti, such as 64Gi")
    return int(match[1]) * _UNITS[match[2]]


def _is_size(size: str) -> str:
    bytes_of(size)
    return size


Size = Annotated[
    str, AfterValidator(_is_size), WithJsonSchema({"type": "string", "pattern": _SIZE.pattern})
]


class StageResources(Section):
    """What each pod of a stage gets; what is unset is as its profile says."""

    cpus: PositiveInt | None = Field(default=None, description="cores")
    memory: Size | None = Field(default=None, description="64Gi; shared memory is part of it")
    disk: Size | None = Field(
        default=None, description="of models, checkpoints and fetched weights, such as 200Gi"
    )
    image_variant: Slug | None = Field(
        default=None, description="build of the image, among those that the profile allows: cuda"
    )

    @property
    def shared(self) -> str | None:
        """Shared memory, where the stage can ask for some."""
        return None

    @model_validator(mode="after")
    def _shared_memory_is_part_of_memory(self) -> "StageResources":
        if self.memory and self.shared and bytes_of(self.shared) >= bytes_of(self.memory):
            raise ValueError(
                f"shared_memory: {self.shared} is taken from memory: {self.memory}, so it must be "
                "smaller"
            )
        return self


class GpuResources(StageResources):
    """What each pod of a stage that loads a language model gets."""

    gpus: int | None = Field(
        default=None, ge=0, le=1, description="0: processors alone; unset: 1, if there are any"
    )
    gpu_type: Slug | None = Field(
        default=None,
        description="kind of GPU, by a name that the profile knows: l4, a100-80gb, h100",
    )
    shared_memory: Size | None = Field(
        default=None, description="of data loaders and of processes that train together"
    )

    @property
    def shared(self) -> str | None:
        """Shared memory that is asked for."""
        return self.shared_memory

    @model_validator(mode="after")
    def _a_type_is_of_a_gpu(self) -> "GpuResources":
        if self.gpus == 0 and self.gpu_type:
            raise ValueError(f"gpu_type: {self.gpu_type} needs gpus: 1 or more")
        return self


class TrainingResources(GpuResources):
    """What each pod of training gets."""

    gpus: int | None = Field(
        default=None,
        ge=0,
        le=16,
        description="of one node; with several, `training sft` and `training dpo` run a process on "
        "each (training.sharding says what they share out), and the other steps take one of them. "
        "0: processors alone; unset: 1, if there are any",
    )


class ResourcesSection(Section):
    """What the pods of each stage ask their cluster for."""

    crawl: StageResources = StageResources()
    features: StageResources = StageResources()
    datasets: StageResources = StageResources()
    training: TrainingResources = TrainingResources()
    evaluation: GpuResources = GpuResources()
