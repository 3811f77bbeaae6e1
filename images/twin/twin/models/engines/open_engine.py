"""Which engine runs a model in this process, by the recipe and by what this machine has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twin.domain.errors import BadConfigurationError
from twin.models.engines.engine import Engine
from twin.recipes import ServingSection


@dataclass(frozen=True)
class EngineSite:
    """Where an engine runs and what it may use there.

    Attributes:
        threads: CPU threads, as many as cores are reserved for it.
        cache: folder of files made from weights, which later starts find again.
        adapters: names to folders of the LoRA adapters to start with.
    """

    threads: int
    cache: Path
    adapters: Mapping[str, Path] = field(default_factory=dict)


def open_engine(folder: Path, serving: ServingSection, site: EngineSite) -> Engine:
    """Load a model's folder into the engine of the recipe, in this process. Blocking.

    Raises:
        BadDataError: no complete model, or one that the engine cannot run.
        BadConfigurationError: an engine that does not run in this environment.
    """
    kind = serving.engine_kind
    if kind == "transformers":
        from twin.models.engines.transformers_engine import TransformersEngine

        at_once = serving.answers_at_once
        return TransformersEngine.load(folder, threads=site.threads, at_once=at_once)
    if kind == "llama.cpp":
        from twin.models.engines.llama_cpp import LlamaCppEngine

        return LlamaCppEngine.load(
            folder,
            adapters=site.adapters,
            threads=site.threads,
            knobs=serving.llama_cpp,
            cache=site.cache,
        )
    if kind == "remote" and serving.remote:
        from twin.models.engines.remote import RemoteEngine

        return RemoteEngine.open(serving.remote)
    raise BadConfigurationError(
        f"the engine {kind} does not run in this environment: ask the endpoint, or set "
        "serving.engine to llama.cpp or transformers"
    )
