"""Commands of `twin serving`."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from twin.domain.errors import TryAgainError, TwinError
from twin.job import (
    Job,
    RecipeOption,
    ResultOption,
    RunIdOption,
    configure_logging,
    log,
    run_job,
)
from twin.serving import feedback_commands, keys_commands, prompts_commands
from twin.settings import Settings, get_settings

app = typer.Typer(help="The HTTP endpoint that answers.", no_args_is_help=True)
app.add_typer(feedback_commands.app, name="feedback")

app.add_typer(keys_commands.app, name="keys")
app.add_typer(prompts_commands.app, name="prompts")

START_SECONDS = 180.0


@app.command()
def start() -> None:
    """Run the endpoint until this process is ended: Ray, Ray Serve, and what was in service.

    Reads `rollouts/` in the file store (else the champions in the registry), the weights and the
    index. Listens on the ports of TWIN_ENDPOINT_URL and TWIN_SERVE_API_URL, asks callers for one
    of TWIN_API_KEYS, and writes Ray's logs under `<home>/ray`. On a cluster KubeRay does this.
    """
    configure_logging()
    signal.signal(signal.SIGTERM, _leave)
    try:
        _serve(get_settings())
    except TwinError as error:
        print(f"twin serving start: error: {error}", file=sys.stderr, flush=True)
        raise typer.Exit(error.exit_code) from None


@app.command()
def prune_traces(
    recipe: RecipeOption, run_id: RunIdOption = None, result: ResultOption = None
) -> None:
    """Delete traces of answers that are older than the recipe's `serving.traces.kept_days`.

    Traces of evaluations stay. Reads and writes: the recipe's experiment in MLflow. Ends with 99,
    nothing to do, where none is so old.
    """
    from twin.serving.prune import prune_traces as prune

    run_job("serving prune-traces", prune, recipe=recipe, run_id=run_id, result=result)


@app.command()
def batch(
    questions: Annotated[
        Path,
        typer.Argument(
            help="JSON lines or Parquet. A row is what /v1/answers takes: question, and as needed "
            "k, filter, temperature, max_tokens …; id names it in the answers."
        ),
    ],
    answers: Annotated[
        Path, typer.Argument(help="Where the answers go: a file that ends in .jsonl or .parquet.")
    ],
    recipe: RecipeOption,
    version: Annotated[
        str | None,
        typer.Option("--version", help="Which version answers; the one in service if not given."),
    ] = None,
    at_once: Annotated[
        int, typer.Option("--at-once", min=1, help="Rows that are asked at the same time.")
    ] = 4,
    run_id: RunIdOption = None,
    result: ResultOption = None,
) -> None:
    """Have the running endpoint answer the questions of a file, by Ray Data.

    Asks TWIN_ENDPOINT_URL with the first of TWIN_API_KEYS, so the limits of that key hold. Each
    answer is kept as it comes: after a kill, or where the endpoint went away, run the same command
    again, and only what is missing is asked. Rows that ask the same are asked once. A row that is
    malformed or refused goes to ANSWERS.failed.jsonl with the reason, and the others go on.
    """
    from twin.serving.batch import answer_rows

    def body(job: Job) -> None:
        answer_rows(job, questions, answers, at_once=at_once, version=version)

    run_job("serving batch", body, recipe=recipe, run_id=run_id, result=result)


def _serve(settings: Settings) -> None:
    from twin.serving.access import Keys
    from twin.serving.local_ray import local_ray, wait_for_dashboard
    from twin.serving.restore import states_to_serve
    from twin.stores.ray_serve import RayServe
    from twin.stores.serve_config import render

    Keys(settings.api_keys)
    started = time.monotonic()
    with local_ray(settings) as ray:
        wait_for_dashboard(settings, ray, START_SECONDS)
        RayServe(settings).apply(lambda: render(states_to_serve(settings), settings))
        _wait_for_health(settings, ray, START_SECONDS)
        seconds = round(time.monotonic() - started, 1)
        log.info("serving", endpoint=settings.endpoint_url, seconds=seconds)
        code = ray.wait()
    raise TryAgainError(f"Ray ended by itself (exit code {code}): its log says why")


def _wait_for_health(settings: Settings, ray: "subprocess.Popen[bytes]", seconds: float) -> None:
    import httpx

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ray.poll() is not None:
            raise TryAgainError(f"Ray ended at its start (exit code {ray.returncode})")
        try:
            if httpx.get(f"{settings.endpoint_url}/healthz", timeout=2).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TryAgainError(
        f"the endpoint {settings.endpoint_url} is not healthy after {seconds:.0f} s: "
        f"see {settings.serve_api_url}"
    )


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End in order (which ends Ray) when a supervisor says so."""
    raise SystemExit(0)
