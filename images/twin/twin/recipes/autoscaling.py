"""Section `serving.autoscaling` of a recipe: engine replicas that come and go with requests."""

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from twin.recipes.section import Section

#: Seconds that more requests than replicas like are waited for before one more is started: what
#: Serve's 30 are cut to, since a caller waits `max_wait_seconds` at most.
UPSCALE_DELAY_SECONDS = 5.0


class AutoscalingSection(Section):
    """Between how many replicas the engine runs, by the requests that are under way.

    Serve decides (https://docs.ray.io/en/latest/serve/autoscaling-guide.html); where its cluster
    lacks a node for one more, the cluster's own autoscaler brings it.
    """

    least: int = Field(
        default=1,
        ge=0,
        description="replicas without a request. 0 frees the memory and the GPU of a model that "
        "nobody asks; who asks first waits until it is loaded, so raise max_wait_seconds",
    )
    most: PositiveInt
    ongoing_requests: PositiveFloat | None = Field(
        default=None,
        description="requests under way that a replica is to have; more start another one. Unset: "
        "what a replica writes at once",
    )
    idle_seconds: int = Field(
        default=600,
        ge=0,
        le=86_400,
        description="so long fewer requests are waited for before a replica ends",
    )

    @model_validator(mode="after")
    def _least_is_least(self) -> "AutoscalingSection":
        if self.least > self.most:
            raise ValueError(f"least: {self.least} is more than most: {self.most}")
        return self

    def options(self, at_once: int) -> dict[str, Any]:
        """As Serve's ``autoscaling_config``.

        Args:
            at_once: answers that a replica writes at the same time.
        """
        return {
            "min_replicas": self.least,
            # A rollout asks before anybody else does.
            "initial_replicas": max(1, self.least),
            "max_replicas": self.most,
            "target_ongoing_requests": self.ongoing_requests or float(at_once),
            "upscale_delay_s": UPSCALE_DELAY_SECONDS,
            "downscale_delay_s": float(self.idle_seconds),
        }
