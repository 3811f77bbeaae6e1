"""`twin monitoring unneeded`: what could be deleted, by the stores' own manifests."""

from twin.monitoring.unneeded import (
    Unneeded,
    needed_rerankers,
    needed_versions,
    unneeded_samples,
    unneeded_weights,
)
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.registry import Registry
from twin.stores.rerankers import Rerankers
from twin.stores.rollout_states import RolloutStates
from twin.stores.sample_sets import SampleSets


def find_unneeded(settings: Settings, recipe: Recipe, newest: int) -> list[Unneeded]:
    """What nothing needs of a recipe's weights, sample sets and rerankers. Deletes nothing.

    Args:
        settings: where the stores are.
        recipe: whose.
        newest: versions of the model that are kept in any case.

    Raises:
        BadDataError: a manifest is damaged.
        TryAgainError: a store is away: what can't be asked for is not called unneeded.
    """
    files = open_files(settings)
    sets, rerankers = SampleSets(files, recipe.name), Rerankers(files, recipe.name)
    state = RolloutStates(settings).load(recipe.model_name)
    with Registry(settings) as registry:
        versions = registry.versions(recipe.model_name)
        aliases = registry.aliases(recipe.model_name)
    latest = sets.find_latest()
    newest_set = latest.version if latest else None
    reports = dict(rerankers.reports())
    needed = needed_versions(versions, aliases, state, newest)
    kept = needed_rerankers(reports, rerankers.offered(), state, newest_set)
    of_rerankers = [reports[version].dataset_version for version in kept]
    samples = unneeded_samples(versions, needed, sets.versions(), newest_set, of_rerankers)
    others = sorted(reports.keys() - kept)
    return [
        *unneeded_weights(versions, needed),
        *(each.model_copy(update={"place": sets.uri(each.place)}) for each in samples),
        *(
            Unneeded(kind="reranker", place=files.uri(rerankers.folder(version)))
            for version in others
        ),
    ]
