"""What changed from one version of a recipe's samples to another."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSetManifest, SampleSets

INPUTS = ("index_fingerprint", "recipe_digest", "prompt_version", "split_seed", "verdicts")
"""Fields of the manifest that say what a version was made from."""

SHOWN = 5
"""Samples that are shown of each kind of change."""

Sample = InstructSample | PreferencePair


class Changes(BaseModel):
    """Samples (or pairs) of two versions, told apart by their ids."""

    model_config = ConfigDict(frozen=True)

    kept: int
    added: dict[str, int] = Field(description="split to number")
    removed: dict[str, int] = Field(description="split to number")
    rewritten: int = Field(description="the same id in the same split with another text")
    moved: int = Field(description="the same id in another split")
    examples: tuple[str, ...] = ()


class Difference(BaseModel):
    """What changed from version ``before`` to version ``after``."""

    model_config = ConfigDict(frozen=True)

    before: str
    after: str
    inputs: dict[str, tuple[str, str]] = Field(description="what a version is made from: both")
    documents_added: tuple[str, ...]
    documents_removed: tuple[str, ...]
    documents_moved: dict[str, tuple[Split, Split]] = Field(
        description="a model trained on the first version may have seen what the second measures on"
    )
    samples: Changes
    pairs: Changes


def difference(sets: SampleSets, pairs: PairSets, before: str, after: str) -> Difference:
    """Compare two versions of a recipe, and the newest pairs that were made of each.

    Raises:
        BadDataError: one of them does not exist.
    """
    old, new = sets.manifest(before), sets.manifest(after)
    return Difference(
        before=before,
        after=after,
        inputs=_inputs(old, new),
        documents_added=tuple(sorted(new.documents.keys() - old.documents.keys())),
        documents_removed=tuple(sorted(old.documents.keys() - new.documents.keys())),
        documents_moved={
            name: (split, new.documents[name])
            for name, split in sorted(old.documents.items())
            if new.documents.get(name, split) is not split
        },
        samples=_changes(_samples(sets, before), _samples(sets, after)),
        pairs=_changes(_pairs(pairs, before), _pairs(pairs, after)),
    )


def render_difference(change: Difference) -> str:
    """The difference in Markdown."""
    lines = [f"# From {change.before} to {change.after}", ""]
    lines += [f"- {name}: {old} became {new}" for name, (old, new) in change.inputs.items()]
    for what, documents in (
        ("new", change.documents_added),
        ("gone", change.documents_removed),
        ("in another split", tuple(change.documents_moved)),
    ):
        if documents:
            named = ", ".join(documents[:SHOWN]) + (", …" if len(documents) > SHOWN else "")
            lines.append(f"- documents {what}: {len(documents)} ({named})")
    lines += ["", "| | kept | added | removed | rewritten | moved |", "|---|---|---|---|---|---|"]
    for name, changes in (("samples", change.samples), ("pairs", change.pairs)):
        figures = (
            changes.kept,
            _figures(changes.added),
            _figures(changes.removed),
            changes.rewritten,
            changes.moved,
        )
        lines.append(f"| {name} | {' | '.join(map(str, figures))} |")
    examples = [*change.samples.examples, *change.pairs.examples]
    return "\n".join([*lines, *(["", *examples] if examples else [])])


def _figures(splits: Mapping[str, int]) -> str:
    if not splits:
        return "0"
    each = ", ".join(f"{split} {count}" for split, count in splits.items())
    return f"{sum(splits.values())} ({each})"


def _inputs(old: SampleSetManifest, new: SampleSetManifest) -> dict[str, tuple[str, str]]:
    both = {name: (_shown(getattr(old, name)), _shown(getattr(new, name))) for name in INPUTS}
    return {name: (was, now) for name, (was, now) in both.items() if was != now}


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return str(value)


def _samples(sets: SampleSets, version: str) -> dict[str, Sample]:
    return {sample.id: sample for split in Split for sample in sets.instruct(version, split)}


def _pairs(pairs: PairSets, version: str) -> dict[str, Sample]:
    return {pair.id: pair for pair in pairs.newest_pairs(version)}


def _changes(old: Mapping[str, Sample], new: Mapping[str, Sample]) -> Changes:
    added = [new[name] for name in new.keys() - old.keys()]
    removed = [old[name] for name in old.keys() - new.keys()]
    both = sorted(old.keys() & new.keys())
    moved = [new[name] for name in both if old[name].split is not new[name].split]
    rewritten = [
        new[name]
        for name in both
        if old[name].split is new[name].split and _text(old[name]) != _text(new[name])
    ]
    shown = chain(
        _examples("new", added), _examples("gone", removed), _examples("rewritten", rewritten)
    )
    return Changes(
        kept=len(both) - len(moved) - len(rewritten),
        added=_by_split(added),
        removed=_by_split(removed),
        rewritten=len(rewritten),
        moved=len(moved),
        examples=tuple(shown),
    )


def _text(sample: Sample) -> Sample:
    """All of a sample but where it came from, which every crawl may change."""
    return sample.model_copy(update={"revision": ""})


def _by_split(samples: Iterable[Sample]) -> dict[str, int]:
    return dict(sorted(Counter(sample.split.value for sample in samples).items()))


def _examples(what: str, samples: Iterable[Sample]) -> list[str]:
    first = sorted(samples, key=lambda sample: sample.id)[:SHOWN]
    return [f"- {what}: {sample.instruction} ({sample.split.value})" for sample in first]
