"""The demo: trigger `crawl`, follow the chain that it sets off, ask the twin a question."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from twin.domain.answer import Answer
from twin.domain.errors import TwinError
from twin.laptop.airflow_api import DagRun
from twin.laptop.chain import SECONDS_BETWEEN_LOOKS, Chain
from twin.laptop.platform import Platform
from twin.laptop.processes import proportional_memory_mb
from twin.recipes import Recipe

#: Pipelines that every run of `crawl` walks through. `rollout` follows only a new champion.
CHAIN = ("crawl", "features", "datasets", "training", "evaluation")
SECONDS_FOR_ROLLOUT = 600


@dataclass
class Demo:
    """One walk through the whole loop on a platform that is up."""

    platform: Platform
    recipe: Recipe
    recipe_name: str

    def __post_init__(self) -> None:
        self.console: Console = self.platform.console
        self.chain = Chain(self.platform)
        self.endpoint = httpx.Client(
            base_url=self.platform.addresses.endpoint,
            headers={"authorization": f"Bearer {self.platform.secrets.api_key}"},
            timeout=120,
        )

    def run(self, question: str) -> Answer:
        """Walk the loop and ask; prints each stage as it ends.

        Raises:
            TwinError: a stage failed (with the end of its log), or no model passed the gate.
        """
        started = time.monotonic()
        with self._watched_memory() as peak:
            self.chain.wait_for((*CHAIN, "rollout"))
            since = datetime.now(UTC)
            self.chain.airflow.trigger("crawl", {"recipe": self.recipe_name})
            for dag_id in CHAIN:
                self.chain.follow(dag_id, since)
            self._wait_for_champion(since)
            answer = self.ask(question)
        self.show_answer(answer)
        self._show_evaluation()
        self._show_addresses()
        self.console.print(
            f"\nthe loop took {time.monotonic() - started:.0f} s; "
            f"memory of all processes at its peak: {peak[0] / 1024:.1f} GiB"
        )
        return answer

    def ask(self, question: str) -> Answer:
        """One question to the endpoint, as any program would ask it."""
        body = {"question": question, "model": self.recipe.model_name}
        response = self.endpoint.post("/v1/answers", json=body)
        if response.is_error:
            raise TwinError(f"the endpoint refuses the question: {response.text[:500]}")
        return Answer.model_validate(response.json())

    def _wait_for_champion(self, since: datetime) -> None:
        """Wait until the endpoint answers as the champion that the registry names."""
        champion = self._champion()
        if champion is None:
            self._show_evaluation()
            raise TwinError(
                "no model has passed the gate yet: the checks above say why, the whole report is "
                f"in MLflow, {self.platform.addresses.mlflow}"
            )
        deadline = time.monotonic() + SECONDS_FOR_ROLLOUT
        rollout: DagRun | None = None
        with self.console.status(f"rollout of version {champion} …"):
            while self._served_versions() != {champion}:
                runs = self.chain.airflow.runs_since("rollout", since)
                rollout = runs[-1] if runs else None
                if rollout is not None and rollout.state == "failed":
                    break
                if time.monotonic() > deadline:
                    raise TwinError(f"version {champion} is champion but not in service")
                time.sleep(SECONDS_BETWEEN_LOOKS)
        if rollout is not None:
            self.chain.say(self.chain.settled(rollout, since))

    def _champion(self) -> str | None:
        from twin.stores.registry import Registry

        found = Registry(self.platform.jobs_settings).by_alias(self.recipe.model_name, "champion")
        return found.version if found else None

    def _served_versions(self) -> set[str]:
        """Versions of the model that get a share of the questions."""
        try:
            models = self.endpoint.get("/v1/models").json().get("data", [])
        except (httpx.HTTPError, ValueError):
            return set()
        shares = {row["id"]: row.get("versions", {}) for row in models}
        return {v for v, share in shares.get(self.recipe.model_name, {}).items() if share}

    @contextmanager
    def _watched_memory(self) -> Iterator[list[float]]:
        """Yield a one-item list that holds the peak so far, in MiB."""
        peak, stop = [0.0], threading.Event()

        def watch() -> None:
            while not stop.wait(5):
                peak[0] = max(peak[0], proportional_memory_mb(self.platform.processes.pids()))

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield peak
        finally:
            stop.set()
            thread.join()

    def show_answer(self, answer: Answer) -> None:
        """Print an answer with its sources and lineage."""
        self.console.rule("answer")
        self.console.print(f"[bold]{escape(answer.question)}[/bold]\n\n{escape(answer.answer)}\n")
        for source in answer.sources:
            path = " > ".join((source.title, *source.headings))
            self.console.print(f"  [{source.rank}] {path}  {source.url}", markup=False)
        self.console.print(
            f"\n  {answer.model} version {answer.model_version}, trace {answer.trace_id}"
        )

    def _show_evaluation(self) -> None:
        self.console.rule("evaluation")
        self.platform.run_job("evaluation", "report", "--recipe", self.recipe_name)

    def _show_addresses(self) -> None:
        table = Table(show_header=False, box=None, padding=(0, 2))
        addresses = self.platform.addresses
        key = self.platform.laptop.home / "secrets.json"
        table.add_row("Airflow", addresses.airflow)
        table.add_row("MLflow", addresses.mlflow)
        table.add_row("talk to it", f"{addresses.endpoint} (key: api_key in {key})")
        table.add_row("endpoint", f"{addresses.endpoint}/v1 (the same key)")
        self.console.rule("where it runs")
        self.console.print(table)
