"""Section of a recipe: how the twin answers."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.autoscaling import AutoscalingSection
from twin.recipes.drafts import DraftsSection
from twin.recipes.engines import (
    EngineKind,
    LlamaCppSection,
    RemoteSection,
    RunningEngine,
    VllmSection,
)
from twin.recipes.guardrails import GuardrailsSection
from twin.recipes.rollout import DEFAULT_ANALYSIS, RolloutSection
from twin.recipes.section import Section
from twin.recipes.traces import TracesSection

_SHAPING = {
    "max_prompt_tokens",
    "max_new_tokens",
    "max_context_tokens",
    "passages",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "beams",
    "max_history_tokens",
    "link_hosts",
    "guardrails",
    "probe_question",
}


class CacheSection(Section):
    """Answers given again to questions that ask the same."""

    min_similarity: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="cosine of two questions, by the recipe's embedder, from which they ask the "
        "same, if they find the same passages too. `make bench-cache` says what share of answers "
        "is then given again to another question; another embedder wants another value",
    )
    max_answers: PositiveInt = Field(
        default=1_000, description="that one replica keeps; the least used go first"
    )
    seconds: PositiveInt = Field(default=3_600, description="how long an answer is given again")


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
    replicas: PositiveInt | None = Field(
        default=None,
        description="replicas of the engine, each with the model in memory; unset: 1 on a laptop, "
        "since one with all cores is faster than two with half, and 2 on a cluster. With one, a "
        "crash loses the answers under way and lets others wait until it is back; a rollout and "
        "the draining of a node lose none, since the next one starts before it ends",
    )
    autoscaling: AutoscalingSection | None = Field(
        default=None, description="of the engine; unset: as many replicas as `replicas` says"
    )
    version_replicas: PositiveInt | None = Field(
        default=None,
        description="replicas of retrieval and prompt, which hold no language model; unset: 1 on "
        "a laptop, 2 on a cluster. With one, a crash loses the answers under way",
    )
    max_question_characters: PositiveInt = Field(
        default=4_000, description="of the question, and of the system text; more is refused"
    )
    max_prompt_tokens: PositiveInt = Field(
        default=4_096,
        description="of the whole prompt: a longer system text or question is refused; of history "
        "and passages what fits is shown. The engine's own limit holds as well",
    )
    max_new_tokens: PositiveInt = 192
    max_context_tokens: PositiveInt = Field(
        default=800, description="budget of the passages in the prompt"
    )
    passages: PositiveInt = Field(default=3, description="passages retrieved for an answer")
    temperature: float = Field(default=0.3, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int = Field(
        default=0,
        ge=0,
        description="so many of the likeliest words are drawn from; 0: all. A remote engine is not "
        "asked for it",
    )
    min_p: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="words are drawn that are at least so likely in relation to the likeliest; "
        "0: all. A remote engine is not asked for it",
    )
    beams: PositiveInt = Field(
        default=1,
        le=16,
        description="above 1: beam search, which draws nothing and shows an answer when it is "
        "whole; only the engine transformers has it",
    )
    repetition_penalty: float = Field(default=1.1, gt=0)
    cpus_per_replica: PositiveInt | None = Field(
        default=None,
        description="cores that an engine replica reserves, and its threads; unset: all of a "
        "laptop's, 3 on a cluster, which leaves one of a worker's four to versions",
    )
    gpus_per_replica: float = Field(
        default=0,
        ge=0,
        description="GPUs that an engine replica reserves and uses; 0: none. A fraction is a "
        "share of one GPU's memory",
    )
    answers_at_once: PositiveInt = Field(
        default=1,
        description="answers that the engine transformers writes at the same time, each in a "
        "thread; llama.cpp and vllm have knobs of their own",
    )
    max_queued_requests: PositiveInt = Field(
        default=64,
        description="requests of a version replica that wait for the engine; one more is told to "
        "retry",
    )
    max_history_tokens: int = Field(
        default=600, ge=0, description="budget of the conversation's earlier turns in the prompt"
    )
    answer_timeout_seconds: PositiveInt = Field(
        default=120,
        description="from the request's arrival, waiting and prefill included; a longer answer is "
        "cut short, which bounds every shutdown",
    )
    max_wait_seconds: PositiveInt = Field(
        default=60,
        description="from the request's arrival to the answer's first word, so waiting and "
        "prefill; an answer that has not begun by then is given up, and its caller told to retry",
    )
    link_hosts: tuple[str, ...] = Field(
        default=("localhost", "127.0.0.1"),
        description="hosts, and those below them, that an answer's addresses may lead to beside "
        "its sources' and what these link to; other addresses are made to lead nowhere",
    )
    guardrails: GuardrailsSection = GuardrailsSection()
    probe_question: str = Field(
        default="What do you write about?",
        description="asked of a version before it gets traffic; answered however near it is, "
        "unless retrieval.min_score is set",
    )
    traces: TracesSection = TracesSection()
    citations: bool = Field(
        default=True,
        description="whether each sentence of an answer is checked against its sources",
    )
    answers_kept_days: int = Field(
        default=30,
        ge=0,
        le=3_650,
        description="how long an answer is kept with its question and the key that asked, so that "
        "its caller can read it again and give feedback; 0: not at all",
    )
    cache: CacheSection | None = Field(
        default=None,
        description="unset: each question gets an answer of its own. Set ({} will do): one that "
        "asks the same as an earlier one gets its answer at once, whoever asked. Later turns of a "
        "conversation and JSON are always answered afresh",
    )
    notice: str = Field(
        default="An AI answers here in the manner of {author}, from {author}'s texts. It can be "
        "wrong: check the sources.",
        min_length=1,
        max_length=1_000,
        description="what the page says of who answers; {author} stands for the author's name",
    )
    drafts: DraftsSection = DraftsSection()
    traffic_steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = Field(
        default=(10, 50, 100), description="shares of traffic, in percent, that a rollout goes by"
    )
    step_seconds: float = Field(
        default=2.0, ge=0, description="how long each share is watched before the next"
    )
    start_timeout_seconds: PositiveInt = 300
    rollout: RolloutSection = RolloutSection()

    @model_validator(mode="after")
    def _traffic_rises_to_all(self) -> "ServingSection":
        if not self.traffic_steps or self.traffic_steps[-1] != 100:
            raise ValueError("traffic_steps must end with 100")
        if list(self.traffic_steps) != sorted(set(self.traffic_steps)):
            raise ValueError("traffic_steps must rise")
        return self

    @model_validator(mode="after")
    def _what_is_asked_for_has_a_step(self) -> "ServingSection":
        """Comparing and approving happen while two versions answer."""
        if self.traffic_steps != (100,):
            return self
        if self.rollout.require_approval:
            raise ValueError(
                "rollout.require_approval: traffic_steps has no share below 100 at which a version "
                "could wait: give one, as in [10, 100]"
            )
        # The default is in every recipe, and compares where it can.
        own = self.rollout.analysis not in ((), DEFAULT_ANALYSIS)
        if own and not self.rollout.shadow_percent:
            raise ValueError(
                "rollout.analysis: traffic_steps has no share below 100, and no question is "
                "mirrored, so nothing can be compared: give a share, or rollout.shadow_percent"
            )
        return self

    @model_validator(mode="after")
    def _remote_engine_has_its_section(self) -> "ServingSection":
        if self.engine == "remote" and self.remote is None:
            raise ValueError("engine: remote needs serving.remote with base_url and model")
        return self

    @model_validator(mode="after")
    def _replicas_are_given_once(self) -> "ServingSection":
        if self.autoscaling and self.replicas:
            raise ValueError(
                "replicas and autoscaling both say how many replicas the engine has: leave out one"
            )
        return self

    def scale(self, replicas: int, at_once: int) -> dict[str, Any]:
        """How many replicas the engine has, as options of Serve.

        Args:
            replicas: where nothing scales.
            at_once: answers that a replica writes at the same time.
        """
        if self.autoscaling is None:
            return {"num_replicas": replicas}
        return {"autoscaling_config": self.autoscaling.options(at_once)}

    @model_validator(mode="after")
    def _engine_can_do_what_is_asked(self) -> "ServingSection":
        kind = self.engine_kind
        if self.gpus_per_replica and kind in ("llama.cpp", "remote"):
            raise ValueError(
                f"gpus_per_replica: {self.gpus_per_replica:g}, but the engine {kind} uses no GPU "
                "here: set engine to vllm or transformers, or gpus_per_replica to 0"
            )
        if self.beams > 1 and kind != "transformers":
            raise ValueError(
                f"beams: {self.beams}, but the engine {kind} has no beam search: set engine to "
                "transformers, or beams to 1"
            )
        if self.adapters == "shared" and kind not in ("llama.cpp", "vllm"):
            raise ValueError(
                f"adapters: shared, but the engine {kind} takes no adapters: set engine to "
                "llama.cpp or vllm, or adapters to merged"
            )
        return self

    @property
    def shaping(self) -> dict[str, Any]:
        """What shapes a prompt or an answer, but for the engine: two that agree in it answer alike.

        The engine's own knobs are not among it.
        """
        return self.model_dump(mode="json", include=_SHAPING)

    @property
    def engine_kind(self) -> RunningEngine:
        """The engine that runs, with ``auto`` decided."""
        if self.engine != "auto":
            return self.engine
        return "vllm" if self.gpus_per_replica else "llama.cpp"
