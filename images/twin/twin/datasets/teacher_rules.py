"""Rules for what a teacher writes: the passage's language, its facts, and no more of its words."""

from collections.abc import Callable, Iterator, Sequence

from twin.datasets.gates import Passed, Reason, Rejected
from twin.datasets.instructions import gives_away
from twin.datasets.passages import Passage
from twin.domain.sample import InstructSample, TeacherKind
from twin.domain.written import plain, refuses
from twin.rag.support import SupportVerifier
from twin.text.language import SURE, language_of
from twin.text.shingles import is_copy, shingles
from twin.text.words import count_words
from twin.text.words import words as words_of

MIN_INSTRUCTION_WORDS = 3
MAX_INSTRUCTION_WORDS = 80

MIN_COPIED_WORDS = 8
"""Words from which an answer that stands in its passage is a copy: a short fact has no others."""

MIN_KEPT = 0.7
"""Share of sentences that a plain text and its passage must have from each other."""

LONGER = 1.5
"""How much longer than its passage a plain text may be."""

Test = tuple[Reason, Callable[[], bool]]
"""A reason to leave a sample out, and whether it is so."""

_POINTS = ("the passage", "this passage", "the text above", "the article above", "the excerpt")


class TeacherRules:
    """Checks what a teacher has written; remembers what was asked, so that nothing is asked twice.

    Args:
        verifier: of support.
        refusal: the recipe's ``retrieval.dont_know``.
        most_words: of an answer.
    """

    def __init__(self, verifier: SupportVerifier, refusal: str, most_words: int) -> None:
        self._verifier = verifier
        self._refusal = refusal
        self._most_words = most_words
        self._asked: set[tuple[str, ...]] = set()

    def check(self, passage: Passage, samples: Sequence[InstructSample]) -> Passed:
        """The samples of one reply that pass, and the others."""
        passed = Passed([], [])
        for sample in samples:
            reason = self._fault(passage, sample)
            if reason is None:
                passed.kept.append(sample)
                self._asked.add(_key(sample.instruction))
            else:
                passed.rejected.append(Rejected(sample, reason))
        return passed

    def _fault(self, passage: Passage, sample: InstructSample) -> Reason | None:
        """The first test that a sample fails."""
        tests = {
            TeacherKind.INSTRUCTION: self._of_instruction,
            TeacherKind.QUESTION: self._of_question,
            TeacherKind.REWRITE: self._of_rewrite,
        }[TeacherKind(sample.kind)]
        for reason, fails in tests(passage, sample):
            if fails():
                return reason
        return Reason.REPEATED if _key(sample.instruction) in self._asked else None

    def _of_instruction(self, passage: Passage, sample: InstructSample) -> Iterator[Test]:
        asked = sample.instruction
        words = count_words(asked)
        yield Reason.LENGTH, lambda: not MIN_INSTRUCTION_WORDS <= words <= MAX_INSTRUCTION_WORDS
        yield Reason.POINTS, lambda: any(each in asked.casefold() for each in _POINTS)
        yield Reason.GIVES_AWAY, lambda: gives_away(asked, passage.answer)
        yield Reason.LANGUAGE, lambda: not _in_language(asked, passage)

    def _of_question(self, passage: Passage, sample: InstructSample) -> Iterator[Test]:
        answer = sample.answer
        yield from self._of_instruction(passage, sample)
        yield Reason.LANGUAGE, lambda: not _in_language(f"{sample.instruction}\n{answer}", passage)
        yield Reason.REFUSES, lambda: refuses(answer, self._refusal)
        yield Reason.LENGTH, lambda: count_words(answer) > self._most_words
        yield Reason.COPY, lambda: _is_taken(answer, passage.chunk.text)
        yield Reason.UNSUPPORTED, lambda: not self._is_supported(passage, sample)

    def _of_rewrite(self, passage: Passage, sample: InstructSample) -> Iterator[Test]:
        """The plain text has to say what the passage says, all of it, and in other words."""
        said = sample.instruction.partition("\n\n")[2]
        words, most = count_words(said), LONGER * count_words(passage.answer)
        yield Reason.LENGTH, lambda: not MIN_INSTRUCTION_WORDS <= words <= most
        yield Reason.LANGUAGE, lambda: not _in_language(said, passage)
        yield Reason.COPY, lambda: _is_taken(said, passage.answer)
        yield Reason.UNSUPPORTED, lambda: self._share(said, passage.answer) < MIN_KEPT
        yield Reason.UNSUPPORTED, lambda: self._share(passage.answer, said) < MIN_KEPT

    def _is_supported(self, passage: Passage, sample: InstructSample) -> bool:
        verdicts = self._verifier.verify(sample.answer, sample.context)
        if not verdicts:  # too short to be verified: then each of its words must be the author's
            return _words(sample.answer) <= _words(passage.chunk.text)
        return all(each.is_supported for each in verdicts)

    def _share(self, text: str, source: str) -> float:
        """Share of a text's sentences that its source supports; 1 of none that could be."""
        verdicts = self._verifier.verify(text, [source])
        return sum(each.is_supported for each in verdicts) / len(verdicts) if verdicts else 1.0


def _is_taken(text: str, source: str) -> bool:
    """Whether a text is mostly the words of its source in a row."""
    if is_copy(shingles(text), shingles(source)):
        return True
    return count_words(text) >= MIN_COPIED_WORDS and plain(text) in plain(source)


def _in_language(text: str, passage: Passage) -> bool:
    """Whether a text is in the passage's language, as far as anybody can tell of so short a one."""
    code, probability = language_of(text)
    if code is None or probability < SURE:
        return True
    of_passage, sure = language_of(passage.answer)
    expected = of_passage if sure >= SURE else passage.chunk.language
    return expected is None or code == expected


def _words(text: str) -> set[str]:
    return set(words_of(text.casefold()))


def _key(text: str) -> tuple[str, ...]:
    return tuple(sorted(_words(text)))
