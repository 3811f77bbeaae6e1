"""A second version to play with: promoted, rolled out and rolled back by hand."""

from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from twin.domain.errors import BadDataError
from twin.laptop.chain import Chain
from twin.laptop.platform import Platform
from twin.recipes import Recipe
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry

#: A quarter of the steps that the demo's recipe has, and no preference training.
CHANGES = "training.sft.max_steps=12,training.dpo.enabled=false"


@dataclass
class SecondVersion:
    """A short training on a platform whose demo has a champion."""

    platform: Platform
    recipe: Recipe
    recipe_name: str

    def __post_init__(self) -> None:
        self.console: Console = self.platform.console
        self.chain = Chain(self.platform)

    def run(self) -> ModelVersion:
        """Train it, have it measured, and say how to promote it.

        Raises:
            BadDataError: there is no first version.
            TwinError: a pipeline failed, with the end of its log.
        """
        champion = self._by_alias(CHAMPION)
        if champion is None:
            again = "" if self.recipe_name == "handbook" else f" RECIPE={self.recipe_name}"
            raise BadDataError(
                f"{self.recipe.model_name} has no champion yet: run `make demo{again}` first"
            )
        self.chain.wait_for(("training", "evaluation", "rollout"))
        since = datetime.now(UTC)
        self.console.print(f"training with {CHANGES}")
        self.chain.airflow.trigger("training", {"recipe": self.recipe_name, "set": CHANGES})
        for dag_id in ("training", "evaluation"):
            self.chain.follow(dag_id, since)
        candidate = self._by_alias(CANDIDATE)
        if candidate is None or candidate.version == champion.version:
            raise BadDataError(
                f"the second version of {self.recipe.model_name}, {champion.version}, is champion "
                f"already: go back by `twin rollout rollback --recipe {self.recipe_name}` first"
            )
        self.console.rule("evaluation")
        self.platform.run_job("evaluation", "report", "--recipe", self.recipe_name)
        self._show_next_steps(champion, candidate)
        return candidate

    def _by_alias(self, alias: str) -> ModelVersion | None:
        with Registry(self.platform.jobs_settings) as registry:
            return registry.by_alias(self.recipe.model_name, alias)

    def _show_next_steps(self, champion: ModelVersion, candidate: ModelVersion) -> None:
        page = f"{self.platform.addresses.mlflow}/#/models/{self.recipe.model_name}"
        name = self.recipe_name
        self.console.rule("what to try")
        self.console.print(
            f"version {candidate.version} of {self.recipe.model_name} is candidate, version "
            f"{champion.version} is champion and in service.\n"
            f"  promote:    give version {candidate.version} the alias champion at {page},\n"
            f"              or twin evaluation promote --recipe {name} --force\n"
            f"  watch:      twin rollout status --recipe {name}\n"
            f"  roll back:  twin rollout rollback --recipe {name}",
            markup=False,
        )
