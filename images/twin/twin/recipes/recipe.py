"""The whole recipe."""

import hashlib
import json
from pathlib import PurePath
from typing import Any

from pydantic import Field, model_validator

from twin.recipes.author import AuthorSection, RightsSection
from twin.recipes.crawl import CrawlSection
from twin.recipes.datasets import AuditSection, DatasetsSection
from twin.recipes.engines import JudgeSection
from twin.recipes.evaluation import EvaluationSection
from twin.recipes.features import FeaturesSection
from twin.recipes.monitoring import MonitoringSection
from twin.recipes.prompt import PromptSection
from twin.recipes.resources import ResourcesSection
from twin.recipes.retrieval import RetrievalSection
from twin.recipes.section import RecipeName, Section
from twin.recipes.serving import ServingSection
from twin.recipes.sources import Source
from twin.recipes.training import TrainingSection


class Recipe(Section):
    """One twin: its author, its sources, and the knobs of every stage."""

    name: RecipeName
    author: AuthorSection
    sources: tuple[Source, ...] = Field(min_length=1)
    rights: RightsSection = RightsSection()
    crawl: CrawlSection = CrawlSection()
    features: FeaturesSection = FeaturesSection()
    datasets: DatasetsSection = DatasetsSection()
    audit: AuditSection = AuditSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()
    prompt: PromptSection = PromptSection()
    retrieval: RetrievalSection = RetrievalSection()
    serving: ServingSection = ServingSection()
    resources: ResourcesSection = ResourcesSection()
    monitoring: MonitoringSection = MonitoringSection()
    judge: JudgeSection | None = Field(
        default=None,
        description="a model that compares two answers: with one, a text that it does not find "
        "worse than the author's is rejected in no preference pair, and evaluations tell how often "
        "the candidate's answers win",
    )

    @model_validator(mode="after")
    def _source_names_differ(self) -> "Recipe":
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources have the same name")
        return self

    @model_validator(mode="after")
    def _reservations_are_overruled_by_consent_only(self) -> "Recipe":
        if not self.rights.honour_reservations and not self.rights.consent:
            raise ValueError("rights.honour_reservations = false needs rights.consent to say why")
        return self

    @model_validator(mode="after")
    def _shares_of_a_model_need_several_gpus(self) -> "Recipe":
        gpus = self.resources.training.gpus
        if self.training.sharding == "fsdp" and gpus is not None and gpus < 2:
            raise ValueError(
                f"training.sharding: fsdp shares the weights out among GPUs, and "
                f"resources.training.gpus is {gpus}: ask for 2 or more, or set sharding to none"
            )
        return self

    @model_validator(mode="after")
    def _judged_drafts_need_a_judge(self) -> "Recipe":
        if self.serving.drafts.contradictions == "judge" and self.judge is None:
            raise ValueError("serving.drafts.contradictions: judge needs one: name it in judge")
        return self

    @model_validator(mode="after")
    def _marks_need_a_judge(self) -> "Recipe":
        if self.datasets.gates.quality is not None and self.judge is None:
            raise ValueError("datasets.gates.quality is given by the judge: name one in judge")
        return self

    @model_validator(mode="after")
    def _a_taught_end_is_merged(self) -> "Recipe":
        if self.training.teach_end and self.serving.adapters == "shared":
            raise ValueError(
                "training.teach_end changes the model's head, which versions share with "
                "serving.adapters: shared: set serving.adapters to merged, or take a base model "
                "that knows the end of its answers"
            )
        return self

    @model_validator(mode="after")
    def _what_is_shared_is_an_adapter(self) -> "Recipe":
        if self.training.method in {"dora", "full"} and self.serving.adapters == "shared":
            raise ValueError(
                f"training.method {self.training.method} makes what no engine loads beside others: "
                "set serving.adapters to merged, or training.method to lora or qlora"
            )
        return self

    @model_validator(mode="after")
    def _the_name_is_no_model_of_candidates(self) -> "Recipe":
        if self.name.endswith("-candidates"):
            raise ValueError(
                f"name {self.name}: twin-{self.name} is where candidates of another recipe may be "
                "registered: choose a name that ends otherwise"
            )
        return self

    @model_validator(mode="after")
    def _whoever_decides_is_there(self) -> "Recipe":
        if self.evaluation.judge.decides and self.judge is None:
            raise ValueError("evaluation.judge.decides needs a judge: name one in the key judge")
        return self

    @property
    def model_name(self) -> str:
        """Name of the registered model."""
        return f"twin-{self.name}"

    def digest(self, *sections: str) -> str:
        """SHA-256 (first 12 hex digits) of the named sections, or of the whole recipe.

        Of a path its last name counts: where the recipe lies on a machine changes nothing. Of a
        teacher's endpoint its model counts: how it is reached changes nothing. Nor does it matter
        what a stage ran on, so ``resources`` is left out.
        """
        included = set(sections) or None
        data = self.model_dump(mode="json", include=included, exclude={"resources"})
        datasets, evaluation = data.get("datasets", {}), data.get("evaluation", {})
        judged = [evaluation.get(key, {}) for key in ("judge", "style", "abilities")]
        training = data.get("training", {})
        learned = (training.get("own_base", {}), *training.get("classifiers", ()))
        for section in (datasets, *judged, *learned, *data.get("sources", ())):
            for key in ("written", "calibration", "folder", "path", "corpus"):
                if section.get(key):
                    section[key] = PurePath(section[key]).name
        if gates := datasets.get("gates"):
            _shorten_paths(gates)
        if endpoint := (datasets.get("teacher") or {}).get("endpoint"):
            datasets["teacher"]["endpoint"] = endpoint["model"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def _shorten_paths(gates: dict[str, Any]) -> None:
    """Leave the last names of what gates name."""
    gates["evaluation_sets"] = [PurePath(each).name for each in gates["evaluation_sets"]]
    for each in gates["classifiers"]:
        each["model"] = PurePath(each["model"]).name
    if not gates["classifiers"]:  # or samples made before there were any would be remade
        del gates["classifiers"]
