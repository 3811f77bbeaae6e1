"""The least that a FastAPI application on Ray Serve does: what the endpoint is compared with."""

from fastapi import FastAPI
from ray import serve

api = FastAPI()


@serve.deployment(num_replicas=2, max_ongoing_requests=200, ray_actor_options={"num_cpus": 0})
@serve.ingress(api)
class Noop:
    """Answers with nothing."""

    @api.get("/healthz")
    async def health(self) -> dict[str, str]:
        """A constant."""
        return {"status": "ok"}


app = Noop.bind()
