"""Feedback that people have accepted and that no model has learnt from yet."""

import hashlib
from collections.abc import Collection, Sequence

from twin.domain.feedback_pair import FeedbackPair
from twin.domain.monitoring import Measure, Standing
from twin.domain.sample import Split
from twin.domain.verdict import Decision, Verdict, digest_of_pair
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import FileStore
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSetManifest
from twin.stores.verdicts import Verdicts

ACCEPTED = "feedback.accepted"


def accepted(waiting: Collection[str]) -> Measure:
    """How many accepted pairs wait; neither good nor bad news, so always good.

    Args:
        waiting: their ids.
    """
    text = "\n".join(sorted(waiting))
    return Measure(
        name=ACCEPTED,
        standing=Standing.GOOD,
        value=float(len(waiting)),
        count=len(waiting),
        says=f"{len(waiting)} accepted pairs of callers' feedback that no model has learnt from",
        cause=f"{ACCEPTED}:{hashlib.sha256(text.encode()).hexdigest()[:16]}",
    )


def waiting_pairs(files: FileStore, recipe: str, manifest: SampleSetManifest) -> set[str]:
    """Ids of accepted pairs that the newest pairs of these samples lack.

    Raises:
        BadDataError: a file is damaged.
        TryAgainError: the file store is away.
    """
    candidates = FeedbackPairs(files, recipe).read()
    verdicts = Verdicts(files, recipe, on_pairs=True).read() if candidates else ()
    learnt = {each.id for each in PairSets(files, recipe).newest_pairs(manifest.version)}
    return {
        each.pair.id
        for each in _wanted(candidates, verdicts)
        if all(manifest.documents.get(id_) is Split.TRAIN for id_ in each.documents)
    } - learnt


def _wanted(candidates: Sequence[FeedbackPair], verdicts: Sequence[Verdict]) -> list[FeedbackPair]:
    """Those that people keep, as they stand or edited."""
    wanted = {
        (each.sample, each.seen)
        for each in verdicts
        if each.decision in {Decision.KEEP, Decision.EDIT}
    }
    return [each for each in candidates if (each.pair.id, digest_of_pair(each.pair)) in wanted]
