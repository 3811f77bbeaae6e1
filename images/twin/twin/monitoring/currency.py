"""Does the index hold what the warehouse does, and how much is new since a model was trained?"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from twin.domain.monitoring import Measure, Standing
from twin.stores.registry import TRIAL, ModelVersion

INDEX = "index.behind"
SAMPLES = "samples.behind"
CHANGED = "data.changed"


@dataclass(frozen=True)
class LiveDocument:
    """A live document as the warehouse has it."""

    revision: str
    changed: datetime


def index_behind(live: Mapping[str, LiveDocument], indexed: Mapping[str, str]) -> Measure:
    """How many documents the index has otherwise than the warehouse.

    Args:
        live: by id.
        indexed: id to revision of all documents that the index knows, those without a chunk too.
    """
    late = {id_ for id_, document in live.items() if indexed.get(id_) != document.revision}
    gone = indexed.keys() - live.keys()
    behind = sorted(late | gone)
    says = f"{len(late)} of {len(live)} documents are not in the index as they stand"
    if gone:
        says += f", and {len(gone)} are that are gone"
    return Measure(
        name=INDEX,
        standing=Standing.BAD if behind else Standing.GOOD,
        value=float(len(behind)),
        reference=0.0,
        count=len(live),
        says=says,
        # What stands there now: the same gap is worked on once.
        cause=_digest(INDEX, (f"{id_} {_revision(live, id_)}" for id_ in behind)),
    )


def samples_behind(made_from: str | None, index: str) -> Measure:
    """Whether the newest samples were made from another index.

    Args:
        made_from: fingerprint of the index that they were made from; None: there are none.
        index: fingerprint of the index as it is.
    """
    is_behind = made_from != index
    told = "there are no samples yet" if made_from is None else "they are of an earlier index"
    return Measure(
        name=SAMPLES,
        standing=Standing.BAD if is_behind else Standing.GOOD,
        value=float(is_behind),
        reference=0.0,
        says=f"samples: {told if is_behind else 'they are of the index as it is'}",
        cause=f"{SAMPLES}:{index}",
    )


def newest_trained(versions: Sequence[ModelVersion]) -> ModelVersion | None:
    """The newest version that was trained by its recipe: a trial is promoted by hand only.

    Args:
        versions: of a model, oldest first.
    """
    return next((each for each in reversed(versions) if TRIAL not in each.tags), None)


def data_changed(
    live: Mapping[str, LiveDocument],
    learnt: Collection[str],
    since: datetime | None,
    limit: float | None,
) -> Measure:
    """Share of documents that are new, changed or gone since the newest model's samples were dealt.

    Args:
        live: by id.
        learnt: documents that its samples were dealt from.
        since: when that was; None: there is no model, so all of them are new.
        limit: from which it is bad; None: never.
    """
    changed = {id_ for id_, each in live.items() if since is None or each.changed > since}
    gone = set(learnt) - live.keys() if since else set()
    total = len(live.keys() | gone)
    share = len(changed | gone) / total if total else 0.0
    is_bad = limit is not None and share >= limit > 0
    return Measure(
        name=CHANGED,
        standing=Standing.BAD if is_bad else Standing.GOOD,
        value=share,
        reference=limit,
        count=total,
        says=f"{len(changed)} documents are new or changed and {len(gone)} gone since the newest "
        f"model ({share:.0%} of {total})"
        if since
        else f"no model is registered yet, and there are {len(live)} documents",
        cause=_digest(CHANGED, (f"{id_} {_revision(live, id_)}" for id_ in sorted(changed | gone))),
    )


def _revision(live: Mapping[str, LiveDocument], document: str) -> str:
    return live[document].revision if document in live else "gone"


def _digest(name: str, lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return f"{name}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
