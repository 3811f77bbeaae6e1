"""Sections of a recipe: which engine runs the model that serves, and the engine's own knobs."""

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt

from twin.recipes.section import HttpUrl, Section

RunningEngine = Literal["llama.cpp", "vllm", "transformers", "remote"]
EngineKind = Literal["auto"] | RunningEngine


class LlamaCppSection(Section):
    """Knobs of llama.cpp."""

    quantisation: Literal["f16", "bf16", "q8_0", "q4_k_m"] = Field(
        default="q8_0",
        description="format of the GGUF file that the weights are converted to: q8_0 answers as "
        "the weights do; q4_k_m is little more than half as large (of models whose width is no "
        "multiple of 256, nearly as large) and answers a little worse",
    )
    parallel: PositiveInt = Field(
        default=8, description="answers written at once by continuous batching; more wait"
    )


class VllmSection(Section):
    """Knobs of vLLM."""

    options: dict[str, Any] = Field(
        default_factory=dict,
        description="engine arguments of vLLM by their own names, e.g. tensor_parallel_size, "
        "gpu_memory_utilization, speculative_config; an unknown one is refused",
    )


class RemoteSection(Section):
    """An OpenAI-compatible endpoint that runs the model elsewhere."""

    key_setting: ClassVar[str] = "TWIN_REMOTE_API_KEY"

    base_url: HttpUrl = Field(description="with its version path, e.g. https://host/v1")
    model: str = Field(min_length=1, description="the model's name there")
    timeout_seconds: PositiveInt = 60
    retries: int = Field(default=3, ge=0, description="after 429, 5xx and broken connections")
    concurrency: PositiveInt = Field(default=16, description="requests at once; more wait")
    requests_per_minute: PositiveInt | None = Field(
        default=None, description="begun, repeated ones included; the default sets no limit"
    )
    context_tokens: PositiveInt = Field(
        default=8_192, description="prompt and answer together; the endpoint does not tell"
    )

    @property
    def longest_pause(self) -> float:
        """Seconds that a request may wait for the others' turns, with all its repetitions."""
        if self.requests_per_minute is None:
            return 0.0
        return self.concurrency * (self.retries + 1) * 60 / self.requests_per_minute


class JudgeSection(RemoteSection):
    """An OpenAI-compatible endpoint of a model that compares answers."""

    key_setting: ClassVar[str] = "TWIN_JUDGE_API_KEY"


class TeacherEndpointSection(RemoteSection):
    """An OpenAI-compatible endpoint of a model that writes parts of training samples."""

    key_setting: ClassVar[str] = "TWIN_TEACHER_API_KEY"
