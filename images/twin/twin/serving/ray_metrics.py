"""Metrics of all replicas, by way of Ray: each node's agent exports what its processes measure.

Prometheus reads the agents themselves (the chart's PodMonitor). ``/metrics`` of the endpoint asks
them all, so that one address shows the whole.
"""

import asyncio
from typing import Any

import httpx
import ray  # noqa: TID253 - only Serve imports this module
from ray.serve.metrics import Counter, Histogram  # noqa: TID253

from twin.domain.errors import TryAgainError
from twin.serving.metrics import MEASURES, Measure, merged

TIMEOUT_SECONDS = 5.0
#: Of what Ray exports: the twin's own, and Serve's of its queues, replicas and requests.
PREFIXES = ("ray_twin_", "ray_serve_")


class RayMetrics:
    """`twin.serving.metrics.Metrics` of a replica of Ray Serve."""

    def __init__(self) -> None:
        self._measures: dict[str, Any] = {each.name: _made(each) for each in MEASURES}

    def count(self, measure: Measure, number: float = 1, /, **labels: str) -> None:
        """See `Metrics.count`."""
        if number > 0:  # Ray takes no zero
            self._measures[measure.name].inc(number, tags=labels)

    def observe(self, measure: Measure, value: float, /, **labels: str) -> None:
        """See `Metrics.observe`."""
        self._measures[measure.name].observe(value, tags=labels)

    async def text(self) -> str:
        """What every node exports, some seconds old.

        Raises:
            TryAgainError: a node's agent does not answer; what the others say would look whole.
        """
        nodes = await asyncio.to_thread(ray.nodes)
        addresses = [
            f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
            for node in nodes
            if node["Alive"]
        ]
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
            try:
                answers = await asyncio.gather(*map(http.get, addresses))
                texts = [answer.raise_for_status().text for answer in answers]
            except httpx.HTTPError as error:
                raise TryAgainError(
                    f"Ray's metrics can't be read on every node ({type(error).__name__})"
                ) from None
        return merged(texts, PREFIXES)


def _made(measure: Measure) -> Any:
    if measure.kind == "counter":
        return Counter(measure.name, description=measure.help, tag_keys=measure.labels)
    # Ray takes no bound of 0 and wants them ascending, as they are.
    return Histogram(
        measure.name,
        description=measure.help,
        boundaries=list(measure.buckets),
        tag_keys=measure.labels,
    )
