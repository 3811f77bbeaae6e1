"""Weights, sample sets and rerankers that nothing needs any more: named, and left where they are.

What is kept: versions that an alias points at, that serve, wait warm or would be gone back to, and
the newest; their samples, from which lineage and forgetting find what they learnt; and the newest
samples, which a training may be reading. A version that is named here is still in the registry, and
whoever deletes its weights ends its way back into service.
"""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from twin.domain.rollout import RolloutState
from twin.stores.registry import ModelVersion
from twin.stores.rerankers import PINNED, RerankerReport


class Unneeded(BaseModel):
    """A folder that nothing needs.

    Attributes:
        kind: weights, sample set or reranker.
        place: its address, or its recipe and version.
        of: versions that it belongs to.
    """

    model_config = ConfigDict(frozen=True)

    kind: str
    place: str
    of: tuple[str, ...] = ()


def needed_versions(
    versions: Sequence[ModelVersion],
    aliases: Mapping[str, str],
    state: RolloutState,
    newest: int,
) -> dict[str, str]:
    """Version to the reason why it is kept.

    Args:
        versions: all of a model, oldest first.
        aliases: alias to version, people's own too.
        state: what should serve.
        newest: so many are kept whatever they are.
    """
    kept = {
        each.version: "one of the newest" for each in versions[max(len(versions) - newest, 0) :]
    }
    kept |= {version: f"alias {alias}" for alias, version in aliases.items()}
    serving = [*state.running, *state.versions]
    serving += [each for each in (state.previous, state.warm) if each is not None]
    return kept | {each.version: "in service, or gone back to" for each in serving}


def unneeded_weights(versions: Sequence[ModelVersion], needed: Mapping[str, str]) -> list[Unneeded]:
    """Weights of versions that are not needed; those that another one shares are."""
    used = {each.weights_uri for each in versions if each.version in needed}
    of: dict[str, list[str]] = {}
    for each in versions:
        if each.weights_uri not in used:
            of.setdefault(each.weights_uri, []).append(each.version)
    return [Unneeded(kind="weights", place=uri, of=tuple(own)) for uri, own in of.items()]


def unneeded_samples(
    versions: Sequence[ModelVersion],
    needed: Mapping[str, str],
    published: Iterable[str],
    latest: str | None,
    of_rerankers: Iterable[str],
) -> list[Unneeded]:
    """Sample sets that only versions learnt from which are not needed.

    One that no version was trained on is left out: a training may be at it now.

    Args:
        versions: all of the model.
        needed: of these.
        published: versions of sample sets that there are.
        latest: the newest of them.
        of_rerankers: those that needed rerankers were trained on.
    """
    used = {latest, *of_rerankers}
    learnt: dict[str, list[str]] = {}
    for each in versions:
        dataset = each.tags.get("dataset_version", "")
        learnt.setdefault(dataset, []).append(each.version)
        if each.version in needed:
            used.add(dataset)
    return [
        Unneeded(kind="sample set", place=version, of=tuple(learnt[version]))
        for version in published
        if version in learnt and version not in used
    ]


def needed_rerankers(
    reports: Mapping[str, RerankerReport],
    offered: str | None,
    state: RolloutState,
    latest: str | None,
) -> set[str]:
    """Rerankers that are offered, that a version in service has, or that are of the newest samples.

    Args:
        reports: by version.
        offered: the one that a new rollout would take.
        state: what should serve; a served recipe names its own.
        latest: the newest samples.
    """
    served = [*state.versions, *state.running]
    served += [each for each in (state.previous, state.warm) if each is not None]
    pinned = {
        str(each.recipe.get("retrieval", {}).get("rerank", "")).removeprefix(PINNED)
        for each in served
    }
    of_latest = {version for version, each in reports.items() if each.dataset_version == latest}
    return reports.keys() & ({offered} | pinned | of_latest)
