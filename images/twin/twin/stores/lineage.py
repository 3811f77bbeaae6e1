"""What was made of documents: sample sets, and the model versions that were trained on those."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from twin.domain.sample import Split
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.rerankers import Rerankers
from twin.stores.sample_sets import SampleSetManifest, SampleSets, recipes_with_samples
from twin.stores.tuned_embedders import TunedEmbedders

if TYPE_CHECKING:
    from twin.stores.registry import ModelVersion

#: Recipe and version.
SampleSet = tuple[str, str]


def sample_sets(settings: Settings, wanted: Callable[[SampleSetManifest], bool]) -> list[SampleSet]:
    """The sample sets, of any recipe, whose manifest is wanted.

    Raises:
        BadDataError: a manifest is damaged.
        TryAgainError: the file store is away.
    """
    files = open_files(settings)
    sets = {recipe: SampleSets(files, recipe) for recipe in recipes_with_samples(files)}
    return [
        (recipe, version)
        for recipe, its_sets in sets.items()
        for version in its_sets.versions()
        if wanted(its_sets.manifest(version))
    ]


def models_trained_on(settings: Settings, sets: Sequence[SampleSet]) -> "list[ModelVersion]":
    """The registered versions that learnt from one of these sample sets.

    Raises:
        TryAgainError: the registry is away; without a sample set it is not asked.
    """
    from twin.stores.registry import MODEL_PREFIX, Registry

    if not sets:
        return []
    with Registry(settings) as registry:
        return [
            item
            for recipe in sorted({recipe for recipe, _ in sets})
            for item in registry.versions(f"{MODEL_PREFIX}{recipe}")
            if (recipe, item.tags.get("dataset_version")) in sets
        ]


def rerankers_trained_on(settings: Settings, sets: Sequence[SampleSet]) -> list[str]:
    """Recipe and version of the rerankers that learnt from one of these sample sets.

    Raises:
        BadDataError: a report is damaged.
        TryAgainError: the file store is away.
    """
    return _trained_on(settings, sets, Rerankers)


def embedders_trained_on(settings: Settings, sets: Sequence[SampleSet]) -> list[str]:
    """Recipe and version of the tuned embedders that learnt from one of these sample sets.

    Raises:
        BadDataError: a report is damaged.
        TryAgainError: the file store is away.
    """
    return _trained_on(settings, sets, TunedEmbedders)


def _trained_on(
    settings: Settings,
    sets: Sequence[SampleSet],
    kind: type[Rerankers] | type[TunedEmbedders],
) -> list[str]:
    files = open_files(settings)
    return [
        f"{recipe}/{version}"
        for recipe in sorted({recipe for recipe, _ in sets})
        for version, report in kind(files, recipe).reports()
        if (recipe, report.dataset_version) in sets
    ]


def splits_learnt(settings: Settings, sets: SampleSets, model: str) -> dict[str, Split]:
    """The documents that promoted models learnt from or were validated on, and as which.

    Of the champion, the one before it and the reference; data sets that are gone tell nothing.

    Args:
        settings: where the registry is.
        sets: of the model's recipe.
        model: name of the registered model.

    Raises:
        TryAgainError: the registry is away.
    """
    from twin.stores.registry import CHAMPION, PREVIOUS, REFERENCE, Registry

    with Registry(settings) as registry:
        found = [registry.by_alias(model, alias) for alias in (REFERENCE, PREVIOUS, CHAMPION)]
    versions = dict.fromkeys(item.tags.get("dataset_version", "") for item in found if item)
    learnt: dict[str, Split] = {}
    for version in versions:
        if version and sets.is_published(version):
            documents = sets.manifest(version).documents
            learnt |= {id_: split for id_, split in documents.items() if split is not Split.TEST}
    return learnt
