"""Section of a recipe: how the twin answers."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.engines import EngineKind, LlamaCppSection, RemoteSection, VllmSection
from twin.recipes.section import Section


class ServingSection(Section):
    """How the twin answers."""

    engine: EngineKind = Field(
        default="auto", description="auto: vllm where the engine has a GPU, else llama.cpp"
    )
    adapters: Literal["merged", "shared"] = Field(
        default="merged",
        description="merged: each version has weights of its own; shared: versions are LoRA "
        "adapters beside one base model in one engine",
    )
    llama_cpp: LlamaCppSection = LlamaCppSection()
    vllm: VllmSection = VllmSection()
    remote: RemoteSection | None = Field(default=None, description="needed by engine: remote")
    replicas: PositiveInt = 2
    max_question_characters: PositiveInt = 4_000
    max_new_tokens: PositiveInt = 192
    max_context_tokens: PositiveInt = Field(
        default=800, description="budget of the passages in the prompt"
    )
    passages: PositiveInt = Field(default=3, description="passages retrieved for an answer")
    temperature: float = Field(default=0.3, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    repetition_penalty: float = Field(default=1.1, gt=0)
    cpus_per_replica: float = Field(default=0.5, ge=0)
    gpus_per_replica: float = Field(default=0, ge=0)
    answers_at_once: PositiveInt = Field(
        default=1, description="generations that a replica runs at the same time"
    )
    max_queued_requests: PositiveInt = Field(
        default=16, description="requests that wait for a replica; one more is told to retry"
    )
    max_history_tokens: int = Field(
        default=600, ge=0, description="budget of the conversation's earlier turns in the prompt"
    )
    answer_timeout_seconds: PositiveInt = Field(
        default=120, description="a longer generation is cut short, which bounds every shutdown"
    )
    probe_question: str = Field(
        default="What do you write about?", description="asked of a version before it gets traffic"
    )
    traffic_steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(10, 50, 100), description="shares of traffic, in percent, that a rollout goes by"
    )
    step_seconds: float = Field(
        default=2.0, ge=0, description="how long each share is watched before the next"
    )
    start_timeout_seconds: PositiveInt = 300

    @model_validator(mode="after")
    def _traffic_rises_to_all(self) -> "ServingSection":
        if not self.traffic_steps or self.traffic_steps[-1] != 100:
            raise ValueError("traffic_steps must end with 100")
        if list(self.traffic_steps) != sorted(set(self.traffic_steps)):
            raise ValueError("traffic_steps must rise")
        return self

    @model_validator(mode="after")
    def _remote_engine_has_its_section(self) -> "ServingSection":
        if self.engine == "remote" and self.remote is None:
            raise ValueError("engine: remote needs serving.remote with base_url and model")
        return self
