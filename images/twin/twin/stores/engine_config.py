"""The Serve application of an engine: its name, its configuration, what it reserves."""

import hashlib
import json
import os
from typing import Any

from twin.domain.rollout import ServedVersion, application_name
from twin.recipes import ServingSection
from twin.settings import Settings

LOCAL_IMPORT_PATH = "twin.serving.local_engine:build"
VLLM_IMPORT_PATH = "twin.serving.vllm_engine:build"

#: A worker of the chart has four cores; the fourth is for the versions on it.
CLUSTER_CPUS = 3

#: Beyond the longest answer, what a replica that is told to stop may take.
SHUTDOWN_MARGIN_SECONDS = 15

Config = dict[str, Any]

#: Of `serving`, what an engine's replica reads: a change of anything else is none to it, and what
#: stands in its arguments replaces it when it changes.
ENGINE_KEYS = frozenset(
    {"engine", "adapters", "llama_cpp", "vllm", "answers_at_once"}
    | {"cpus_per_replica", "gpus_per_replica"}
)
#: What the application of vLLM reads beside it, which says its own replicas and options.
VLLM_KEYS = frozenset({"replicas", "autoscaling", "answer_timeout_seconds", "repetition_penalty"})


def engine_name(model: str, served: ServedVersion, serving: ServingSection) -> str | None:
    """Name of the engine application that answers for a version; None if it runs elsewhere.

    Merged weights have an engine of their own, which configurations of one version share if they
    want the same of it; adapters share one with all versions, of any twin, of the same base and the
    same knobs.
    """
    if serving.engine_kind == "remote":
        return None
    if served.weights == "merged":
        return f"{application_name(model, served.engine)}-engine"
    knobs = {"base": served.base_digest, **_knobs(serving)}
    digest = hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()
    return f"engine-{digest[:12]}"


def adapter_name(model: str, served: ServedVersion) -> str | None:
    """What a version's adapter is called in its engine; None for merged weights."""
    return application_name(model, served.version) if served.weights == "adapter" else None


def engine_application(
    name: str, model: str, served: ServedVersion, serving: ServingSection, settings: Settings
) -> Config:
    """The application with this version's adapter, if it has one."""
    uri, digest = served.model_source
    serving = _decided(serving, settings)
    adapter = adapter_name(model, served)
    source = {"uri": served.weights_uri, "digest": served.weights_digest}
    return {
        "name": name,
        "route_prefix": None,
        "import_path": VLLM_IMPORT_PATH if serving.engine_kind == "vllm" else LOCAL_IMPORT_PATH,
        "args": {
            "weights_uri": uri,
            "weights_digest": digest,
            "serving": serving.model_dump(mode="json", include=_read_by(serving)),
        },
        "deployments": [
            {
                "name": "Engine",
                "max_queued_requests": serving.max_queued_requests,
                "user_config": {"adapters": {adapter: source} if adapter else {}},
                **_reserved(serving),
            }
        ],
    }


def _read_by(serving: ServingSection) -> set[str]:
    return {*ENGINE_KEYS, *(VLLM_KEYS if serving.engine_kind == "vllm" else ())}


def _decided(serving: ServingSection, settings: Settings) -> ServingSection:
    """The section with what it leaves open decided for the place where the engine runs."""
    on_cluster = bool(settings.ray_service)
    cpus = serving.cpus_per_replica or (CLUSTER_CPUS if on_cluster else os.cpu_count() or 1)
    decided = {"cpus_per_replica": cpus}
    if serving.autoscaling is None:
        decided["replicas"] = serving.replicas or (2 if on_cluster else 1)
    return serving.model_copy(update=decided)


def reserved_gpus(serving: ServingSection, settings: Settings) -> float:
    """GPUs that an engine's replicas reserve when it starts."""
    serving = _decided(serving, settings)
    scaling = serving.scale(serving.replicas or 1, 1)
    replicas = scaling.get("num_replicas") or scaling["autoscaling_config"]["initial_replicas"]
    return float(serving.gpus_per_replica * replicas)


def requests_at_once(serving: ServingSection) -> int:
    """Requests that a replica takes: what it writes at once, and of llama.cpp as many again, so
    that the next prompt is at hand when an answer ends."""
    if serving.engine_kind == "transformers":
        return serving.answers_at_once
    return 2 * answers_at_once(serving)


def answers_at_once(serving: ServingSection) -> int:
    """Answers that a replica of an engine in this environment writes at the same time."""
    if serving.engine_kind == "transformers":
        return serving.answers_at_once
    return serving.llama_cpp.parallel


def _knobs(serving: ServingSection) -> Config:
    """What makes an engine another one."""
    own = {"llama.cpp": serving.llama_cpp, "vllm": serving.vllm}.get(serving.engine_kind)
    return {
        "engine": serving.engine_kind,
        "knobs": own.model_dump(mode="json") if own else {},
        "cpus": serving.cpus_per_replica,
        "gpus": serving.gpus_per_replica,
        "replicas": serving.replicas,
        **({"autoscaling": serving.autoscaling.model_dump()} if serving.autoscaling else {}),
    }


def _reserved(serving: ServingSection) -> Config:
    """Replicas and what each reserves; vLLM's application says this itself."""
    if serving.engine_kind == "vllm":
        return {}
    return {
        **serving.scale(serving.replicas or 1, answers_at_once(serving)),
        "max_ongoing_requests": requests_at_once(serving),
        "graceful_shutdown_timeout_s": serving.answer_timeout_seconds + SHUTDOWN_MARGIN_SECONDS,
        "ray_actor_options": {
            "num_cpus": serving.cpus_per_replica,
            "num_gpus": serving.gpus_per_replica,
        },
    }
