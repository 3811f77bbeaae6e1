"""People's verdicts put to work: samples left out, answers replaced, and what stays as it is."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from twin.domain.sample import InstructSample, Maker
from twin.domain.verdict import Decision, Verdict, digest_of
from twin.domain.written import missing_facts

LACKS_FACT = "edited answer lacks a fact"
ANSWER_EDITED = "answer edited"


@dataclass(frozen=True)
class Refused:
    """A sample that people have left out: its question, why, and what they have noted."""

    question: str
    reason: str
    notes: str = ""

    def __str__(self) -> str:
        """The reason with the notes."""
        return f"{self.reason} ({self.notes})" if self.notes else self.reason


@dataclass
class Reviews:
    """The verdicts on a recipe's samples, and what has become of them.

    Attributes:
        verdicts: by sample and digest of what was seen.
        clean: applied to people's answers: they are no safer than a text from the web.
        kept: samples that people want as they are, or have given another answer.
        edited: those of them with another answer.
        refused: samples that are left out, by id.
        used: verdicts that were on a sample.
    """

    verdicts: dict[tuple[str, str], Verdict]
    clean: Callable[[str], str] = str
    kept: set[str] = field(default_factory=set)
    edited: set[str] = field(default_factory=set)
    refused: dict[str, Refused] = field(default_factory=dict)
    used: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, verdicts: Iterable[Verdict], clean: Callable[[str], str] = str) -> "Reviews":
        """The reviews of these verdicts."""
        return cls({(each.sample, each.seen): each for each in verdicts}, clean)

    def apply(self, samples: Iterable[InstructSample]) -> list[InstructSample]:
        """The samples without those that people reject, the others with people's answers."""
        return [kept for sample in samples if (kept := self._reviewed(sample)) is not None]

    def outcome(self, samples: Sequence[InstructSample]) -> dict[str, int]:
        """What the verdicts have done to these samples, counted; nothing where there are none."""
        made = {sample.id for sample in samples}
        counts = {
            "kept as they are": len((self.kept - self.edited) & made),
            ANSWER_EDITED: len(self.edited & made),
            "left out": len(self.refused),
            "of another text or of no sample": len(self.verdicts) - len(self.used),
        }
        return {name: count for name, count in counts.items() if count}

    def reasons(self) -> dict[str, int]:
        """Why samples are left out, counted."""
        return dict(Counter(each.reason for each in self.refused.values()).most_common())

    def _reviewed(self, sample: InstructSample) -> InstructSample | None:
        """The sample after all verdicts on it: an edited one may have been judged again."""
        passed: set[tuple[str, str]] = set()
        while (key := (sample.id, digest_of(sample))) in self.verdicts and key not in passed:
            passed.add(key)
            self.used.add(key)
            verdict = self.verdicts[key]
            if verdict.decision in {Decision.REJECT, None}:
                self._refuse(sample, verdict.reason, verdict.notes)
                return None
            self.kept.add(sample.id)
            if verdict.decision is Decision.EDIT:
                answer = self.clean(verdict.answer)
                if missing_facts(answer, sample.facts):
                    self._refuse(sample, LACKS_FACT, verdict.notes)
                    return None
                sample = _edited(sample, answer)
                self.edited.add(sample.id)
        return sample

    def _refuse(self, sample: InstructSample, reason: str, notes: str) -> None:
        self.kept.discard(sample.id)
        self.edited.discard(sample.id)
        self.refused[sample.id] = Refused(sample.instruction, reason, notes)


def _edited(sample: InstructSample, answer: str) -> InstructSample:
    maker = Maker.EDITED if sample.maker is Maker.PASSAGE else sample.maker
    return sample.model_copy(update={"answer": answer, "maker": maker})
