"""Recipes: one YAML file per twin with its author, its sources and the knobs of every stage.

A recipe is checked when it is loaded: an unknown key, a missing one or a value out of range is
refused in one line that names file, key and what is allowed.
"""

from twin.recipes.author import AuthorSection, RightsSection
from twin.recipes.crawl import CrawlSection
from twin.recipes.datasets import (
    AuditSection,
    DatasetsSection,
    GatesSection,
    PersonalDataSection,
)
from twin.recipes.evaluation import EvaluationSection, GateSection, StyleSection
from twin.recipes.features import (
    BoilerplateSection,
    ChunkingSection,
    DuplicatesSection,
    FeaturesSection,
    QualitySection,
)
from twin.recipes.load import find_recipe, load_recipe
from twin.recipes.own_base import OwnBaseSection
from twin.recipes.recipe import Recipe
from twin.recipes.resources import ResourcesSection
from twin.recipes.retrieval import RetrievalSection
from twin.recipes.section import Section
from twin.recipes.serving import ServingSection
from twin.recipes.smaller import DistillationSection, PruningSection
from twin.recipes.sources import (
    SOURCE_KINDS,
    BucketSource,
    FolderSource,
    GithubSource,
    LinkedInExportSource,
    MediumSource,
    SiteSource,
    Source,
    SubstackSource,
    WarehouseDumpSource,
    WebSource,
)
from twin.recipes.steps import StepsSection
from twin.recipes.sweep import ChoicesSection
from twin.recipes.teacher import TeacherSection
from twin.recipes.text_classifiers import TextClassifierSection
from twin.recipes.training import (
    DpoSection,
    LoraSection,
    PairsSection,
    SftSection,
    TrainedSection,
    TrainingSection,
)

__all__ = [
    "SOURCE_KINDS",
    "AuditSection",
    "AuthorSection",
    "BoilerplateSection",
    "BucketSource",
    "ChoicesSection",
    "ChunkingSection",
    "CrawlSection",
    "DatasetsSection",
    "DistillationSection",
    "DpoSection",
    "DuplicatesSection",
    "EvaluationSection",
    "FeaturesSection",
    "FolderSource",
    "GateSection",
    "GatesSection",
    "GithubSource",
    "LinkedInExportSource",
    "LoraSection",
    "MediumSource",
    "OwnBaseSection",
    "PairsSection",
    "PersonalDataSection",
    "PruningSection",
    "QualitySection",
    "Recipe",
    "ResourcesSection",
    "RetrievalSection",
    "RightsSection",
    "Section",
    "ServingSection",
    "SftSection",
    "SiteSource",
    "Source",
    "StepsSection",
    "StyleSection",
    "SubstackSource",
    "TeacherSection",
    "TextClassifierSection",
    "TrainedSection",
    "TrainingSection",
    "WarehouseDumpSource",
    "WebSource",
    "find_recipe",
    "load_recipe",
]
