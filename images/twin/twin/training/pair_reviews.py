"""What people have said of pairs, put to work: a model's pairs become those that are trained on.

People's word stands above every gate: a pair that they keep is neither left out to balance lengths
nor because a rule speaks against it, and callers' candidates come in by it alone.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from twin.domain.feedback_pair import FeedbackPair
from twin.domain.length_bias import fairness, length_auc
from twin.domain.sample import PreferencePair, Split
from twin.domain.verdict import Decision, Verdict, digest_of_pair
from twin.domain.written import plain
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import FileStore
from twin.stores.verdicts import Verdicts, digest
from twin.text.likeness import likeness

KEPT = "kept as they are"
EDITED = "chosen text edited"
UNBALANCED = "left out to balance lengths"
EQUAL = "left out: the edited text is the rejected one"
HELD_OUT = "left out: of documents that are held out, or gone"
REJECTED = "left out"


@dataclass(frozen=True)
class PairReviews:
    """Verdicts on pairs, and callers' candidates that people want."""

    verdicts: tuple[Verdict, ...] = ()
    wanted: tuple[FeedbackPair, ...] = ()

    @property
    def digest(self) -> str:
        """Of all of it; "" where nobody has said anything."""
        if not self.verdicts:
            return ""
        wanted = "\n".join(each.model_dump_json() for each in self.wanted)
        return hashlib.sha256(f"{digest(self.verdicts)}\n{wanted}".encode()).hexdigest()

    @cached_property
    def by_seen(self) -> Mapping[tuple[str, str], Verdict]:
        """Each verdict by what it is on."""
        return {(each.sample, each.seen): each for each in self.verdicts}


@dataclass
class ReviewedPairs:
    """Pairs to train on, and what people's verdicts have done, counted."""

    pairs: list[PreferencePair] = field(default_factory=list)
    outcome: Counter[str] = field(default_factory=Counter)


def read_reviews(files: FileStore, recipe: str) -> PairReviews:
    """What people have said of the recipe's pairs.

    Raises:
        BadDataError: a file is damaged.
    """
    verdicts = Verdicts(files, recipe, on_pairs=True).read()
    if not verdicts:
        return PairReviews()
    wanted = {
        (each.sample, each.seen)
        for each in verdicts
        if each.decision in {Decision.KEEP, Decision.EDIT}
    }
    candidates = FeedbackPairs(files, recipe).read()
    return PairReviews(
        verdicts,
        tuple(each for each in candidates if (each.pair.id, digest_of_pair(each.pair)) in wanted),
    )


def review(
    made: Sequence[PreferencePair], reviews: PairReviews, documents: Mapping[str, Split]
) -> ReviewedPairs:
    """The pairs after people's verdicts, of lengths that give nothing away.

    Lengths are balanced once more, since verdicts and candidates change them: by leaving out pairs
    that nobody has judged. If only judged ones are left, they stay as they are.

    Args:
        made: by a model.
        reviews: what people say.
        documents: the split of each document of the samples.
    """
    reviewed = ReviewedPairs()
    fixed: set[str] = set()
    for pair in (*made, *_candidates(reviews, documents, reviewed.outcome)):
        kept = _judged(pair, reviews.by_seen, reviewed.outcome, fixed)
        if kept is not None:
            reviewed.pairs.append(kept)
    reviewed.pairs = _balanced(reviewed.pairs, fixed, reviewed.outcome)
    return reviewed


def _candidates(
    reviews: PairReviews, documents: Mapping[str, Split], outcome: Counter[str]
) -> list[PreferencePair]:
    """Those of which every document is trained on: people do not overrule that."""
    usable = [
        each.pair
        for each in reviews.wanted
        if all(documents.get(id_) is Split.TRAIN for id_ in each.documents)
    ]
    if left_out := len(reviews.wanted) - len(usable):
        outcome[HELD_OUT] += left_out
    return usable


def _judged(
    pair: PreferencePair,
    verdicts: Mapping[tuple[str, str], Verdict],
    outcome: Counter[str],
    fixed: set[str],
) -> PreferencePair | None:
    """The pair after all verdicts on it: an edited one may have been judged again."""
    passed: set[tuple[str, str]] = set()
    said = ""
    while (key := (pair.id, digest_of_pair(pair))) in verdicts and key not in passed:
        passed.add(key)
        verdict = verdicts[key]
        if verdict.decision in {Decision.REJECT, None}:
            outcome[f"{REJECTED}: {verdict.reason}"] += 1
            return None
        said = said or KEPT
        if verdict.decision is Decision.EDIT:
            said = EDITED
            alike = likeness(verdict.answer, pair.rejected)
            pair = pair.model_copy(update={"chosen": verdict.answer, "likeness": alike})
    if said and plain(pair.chosen) == plain(pair.rejected):
        outcome[EQUAL] += 1
        return None
    if said:
        outcome[said] += 1
        fixed.add(pair.id)
    return pair


def _balanced(
    pairs: Sequence[PreferencePair], fixed: set[str], outcome: Counter[str]
) -> list[PreferencePair]:
    now = list(pairs)
    while sign := fairness(length_auc([(len(each.chosen), len(each.rejected)) for each in now])):
        differences = {
            place: sign * (len(each.chosen) - len(each.rejected))
            for place, each in enumerate(now)
            if each.id not in fixed
        }
        worst = max(differences, key=differences.__getitem__, default=None)
        if worst is None or differences[worst] <= 0:
            break
        now.pop(worst)
        outcome[UNBALANCED] += 1
    return now
