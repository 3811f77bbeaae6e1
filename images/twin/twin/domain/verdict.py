"""What people say of samples and pairs: keep it, reject it, or give it another answer."""

import hashlib
import json
from collections import Counter
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.sample import InstructSample, PreferencePair

NO_REASON = "no reason given"
DISAGREE = "people disagree"
"""Why a sample is left out of which as many people say one thing as another."""


class Decision(StrEnum):
    """What a person says of a sample."""

    KEEP = "keep"
    REJECT = "reject"
    EDIT = "edit"


class Opinion(BaseModel):
    """One person's."""

    model_config = ConfigDict(frozen=True)

    person: str = Field(description="number of the user, no name")
    decision: Decision
    reason: str = Field(default="", description="of a rejection: one of a few, to be counted")
    note: str = Field(default="", description="in the person's own words")
    answer: str = Field(default="", description="of an edit: instead of the sample's")


class Verdict(BaseModel):
    """What people say of a sample or a pair, as they saw it.

    ``sample`` is its id. ``seen`` is the digest of question and answer (`digest_of`), of a pair's
    question and both texts (`digest_of_pair`): once these are others, the verdict says nothing of
    them. An edit of a pair is another chosen text.
    """

    model_config = ConfigDict(frozen=True)

    sample: str
    seen: str
    document_id: str
    opinions: tuple[Opinion, ...] = Field(min_length=1, description="oldest first")

    @property
    def decision(self) -> Decision | None:
        """What most people say; None where two decisions have as many."""
        (first, most), *others = Counter(each.decision for each in self.opinions).most_common(2)
        return None if others and others[0][1] == most else first

    @property
    def reason(self) -> str:
        """Why it is left out, where it is: the reason that most of them give."""
        if self.decision is None:
            return DISAGREE
        reasons = Counter(each.reason or NO_REASON for each in self._of_the_most())
        return reasons.most_common(1)[0][0]

    @property
    def notes(self) -> str:
        """What people have noted of it, in their own words."""
        return "; ".join(each.note for each in self.opinions if each.note)

    @property
    def answer(self) -> str:
        """The newest edit, where most people want one."""
        return self._of_the_most()[-1].answer

    def _of_the_most(self) -> list[Opinion]:
        return [each for each in self.opinions if each.decision is self.decision]


def digest_of(sample: InstructSample) -> str:
    """Digest of what a verdict is on: question, turns before it, and answer."""
    turns = [turn.model_dump() for turn in sample.history]
    said = json.dumps([sample.instruction, turns, sample.answer], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def digest_of_pair(pair: PreferencePair) -> str:
    """Digest of what a verdict on a pair is on: question, turns before it, and both texts."""
    turns = [turn.model_dump() for turn in pair.history]
    said = json.dumps([pair.instruction, turns, pair.chosen, pair.rejected], ensure_ascii=False)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
