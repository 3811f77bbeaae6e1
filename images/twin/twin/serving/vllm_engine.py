"""The Serve application that runs a model by vLLM: what it reserves, and where.

`build` runs wherever Serve builds applications, mostly without vLLM, so this module imports
nothing of it. The replica is `twin.serving.vllm_server.VllmServer`, named by its import path: it
starts in vLLM's environment, which is another Python on a laptop and another image on KubeRay.
"""

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.recipes.serving import ServingSection
from twin.settings import Settings, get_settings

if TYPE_CHECKING:
    from ray.serve import Application

SERVER = "twin.serving.vllm_server.VllmServer"

#: Custom resource of the worker group whose image has vLLM (helm/llm-twin, `serving.engines`).
RESOURCE = "vllm"

#: Requests that a replica takes; vLLM batches as many as fit and queues the rest itself.
ONGOING_REQUESTS = 512

#: Answers that a replica writes at a good speed each, from which autoscaling starts another.
ANSWERS_AT_ONCE = 32

#: Beyond the longest answer, what a replica that is told to stop may take.
SHUTDOWN_MARGIN_SECONDS = 15


class EngineSpec(BaseModel):
    """What an engine application is made from: the arguments of `build`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights_uri: str
    weights_digest: str
    serving: ServingSection

    @property
    def devices(self) -> int:
        """Processes that share the model: tensor parallel times pipeline parallel."""
        options = self.serving.vllm.options
        sizes = (options.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline"))
        tensor, pipeline = (size if isinstance(size, int) and size > 0 else 1 for size in sizes)
        return tensor * pipeline

    @property
    def gpus_per_device(self) -> float:
        """GPUs of each process; 0 runs on processors.

        Raises:
            BadDataError: processes and reserved GPUs do not go together.
        """
        gpus = self.serving.gpus_per_replica
        if gpus in (0, self.devices) or (self.devices == 1 and gpus < 1):
            return gpus / self.devices
        raise BadDataError(
            f"serving.gpus_per_replica = {gpus:g} and {self.devices} parallel processes in "
            "serving.vllm.options: tensor_parallel_size times pipeline_parallel_size must be the "
            "number of GPUs (a fraction of one GPU runs one process)"
        )

    @property
    def cpus(self) -> float:
        """Cores that a replica reserves."""
        return self.serving.cpus_per_replica or 1

    @property
    def threads(self) -> int:
        """Threads on processors: the reserved ones."""
        return max(1, round(self.cpus))


def build(args: dict[str, Any]) -> "Application":
    """The application of the engine that ``args`` describe (see `EngineSpec`)."""
    from ray import serve

    spec = EngineSpec.model_validate(args)
    deployment = serve.deployment(name="Engine", **deployment_options(spec, get_settings()))
    # How many replicas there are is no concern of one: Serve would replace them all for it.
    one = spec.serving.model_copy(update={"replicas": None, "autoscaling": None})
    bound = spec.model_copy(update={"serving": one})
    return deployment(SERVER).bind(bound.model_dump(mode="json"))


def deployment_options(spec: EngineSpec, settings: Settings) -> dict[str, Any]:
    """Options of `ray.serve.deployment`: exactly what the recipe reserves, in vLLM's environment.

    Raises:
        BadDataError: the recipe's GPUs and parallel processes do not go together.
        BadConfigurationError: this machine has no environment for vLLM.
    """
    where = {RESOURCE: 0.001} if settings.ray_service else {}
    replica = {"CPU": spec.cpus, **where}
    gpus = {"GPU": spec.gpus_per_device} if spec.gpus_per_device else {}
    return {
        **spec.serving.scale(spec.serving.replicas or 1, ANSWERS_AT_ONCE),
        "max_ongoing_requests": ONGOING_REQUESTS,
        "graceful_shutdown_timeout_s": (
            spec.serving.answer_timeout_seconds + SHUTDOWN_MARGIN_SECONDS
        ),
        # Loading fails for reasons that trying again seldom mends.
        "max_constructor_retry_count": 2,
        "ray_actor_options": {
            "num_cpus": spec.cpus,
            "resources": where,
            "runtime_env": _runtime_env(spec, settings),
        },
        # The replica only steers: vLLM's worker processes take the GPUs, each from its bundle.
        "placement_group_bundles": [
            {**replica, **gpus},
            *({**gpus, **where} for _ in range(spec.devices - 1) if gpus),
        ],
        "placement_group_strategy": "PACK",
    }


def _runtime_env(spec: EngineSpec, settings: Settings) -> dict[str, Any]:
    variables = {
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "OMP_NUM_THREADS": str(spec.threads),
        # Ray says which cores a replica may use by their number only.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    if not spec.gpus_per_device:
        variables["CUDA_VISIBLE_DEVICES"] = ""  # none is reserved, so none is seen
    elif spec.gpus_per_device < 1:
        variables["VLLM_RAY_PER_WORKER_GPUS"] = f"{spec.gpus_per_device:g}"
    if settings.ray_service:  # the worker group's image is the environment
        return {"env_vars": variables}
    python = settings.vllm_python.absolute()
    if not python.is_file():
        raise BadConfigurationError(
            f"serving.engine: vllm needs an environment of its own, and {python} is not there: "
            "run `make vllm`, or set TWIN_VLLM_PYTHON"
        )
    return {"env_vars": variables, "py_executable": str(python)}
