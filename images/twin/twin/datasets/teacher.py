"""Samples that a teacher helps with: which passages, which kinds, and what becomes of each reply.

The author's words stay the author's: of two kinds the answer is a passage, word for word. Only
passages that are trained on are shown to a teacher, in an order drawn by their ids, so that a
budget that ends early leaves a fair sample.
"""

import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from twin.datasets.copies import sample_id
from twin.datasets.gates import Rejected
from twin.datasets.passages import Passage
from twin.datasets.teacher_prompts import (
    TEACHER_VERSION,
    Written,
    ask_for,
    is_readable,
    read_reply,
    schema_of,
)
from twin.datasets.teacher_rules import TeacherRules
from twin.domain.answer import Passage as Shown
from twin.domain.document import NAMESPACE
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Maker, Split, TeacherKind, draw_key
from twin.domain.written import plain
from twin.models.asking import Asker, Form, Loss, Question, Reply
from twin.rag.prompt import format_passage
from twin.recipes import DatasetsSection, TeacherSection

Context = Callable[[Passage, int], tuple[str, ...]]
"""The passages that a sample shows: of a passage, and by which number of its samples."""

Retrieve = Callable[[str], Sequence[Shown]]
"""Finds passages for a question among those that may be trained on, best first."""

REFUSED = "refused by the teacher"
EXCUSES = ("i can't", "i cannot", "i'm sorry", "i am sorry", "i won't", "as an ai", "unable to")
"""Words of a reply that is no JSON, by which it counts as a refusal (in English)."""


@dataclass(frozen=True)
class Task:
    """A passage, and what the teacher is to write to it."""

    passage: Passage
    kind: TeacherKind


@dataclass
class Taught:
    """What a teacher has brought.

    Attributes:
        samples: that passed the rules for what a teacher writes.
        rejected: the others.
        outcomes: of every task, one each.
    """

    samples: list[InstructSample] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)


ANSWERED = "answered"

TRIED = 20
"""Tasks that are asked first: if no reply to them can be read, nothing more is paid for."""


class Teacher:
    """Makes samples with the help of a language model.

    Args:
        asker: of that model.
        knobs: the recipe's section; it has a teacher.
        author: whose passages they are.
        rules: for what the teacher writes.
        clean: applied to what the teacher writes, which is no safer than a text from the web.
        bindable: whether the model can write by a JSON schema.
    """

    def __init__(
        self,
        asker: Asker,
        knobs: DatasetsSection,
        author: str,
        rules: TeacherRules,
        *,
        clean: Callable[[str], str] = str,
        bindable: bool = True,
    ) -> None:
        if knobs.teacher is None:
            raise ValueError("the recipe names no teacher")
        self._asker = asker
        self._knobs = knobs
        self._teacher: TeacherSection = knobs.teacher
        self._author = author
        self._rules = rules
        self._clean = clean
        self._bindable = bindable

    def tasks(self, passages: Sequence[Passage]) -> list[Task]:
        """What is asked for: kinds by turns, no more than the recipe's samples need."""
        drawn = [draw_key(each.chunk.id, self._knobs.seed) for each in passages]
        tasks, expected = [], 0
        for place in sorted(range(len(drawn)), key=drawn.__getitem__):
            passage = passages[place]
            if expected >= self._knobs.max_samples:
                break
            for kind in TeacherKind:
                share: float = getattr(self._teacher.kinds, kind.value)
                if self._draw(passage, kind) < share:
                    tasks.append(Task(passage, kind))
                    expected += 1 if kind is TeacherKind.REWRITE else self._teacher.per_passage
        return tasks

    def teach(
        self,
        passages: Sequence[Passage],
        context: Context,
        retrieve: Retrieve,
        advance: Callable[[int], None] = lambda _: None,
    ) -> Taught:
        """The samples of passages that are trained on.

        Args:
            passages: that can be answers.
            context: as extractive samples show passages.
            retrieve: as serving finds them.
            advance: is told of so many calls that are done with.

        Raises:
            BadDataError: nothing that the model writes can be used, so that it is no teacher.
            TryAgainError: the model does not answer.
        """
        tasks = self.tasks(passages)
        replies = self._replies(tasks, advance)
        taught = Taught()
        for task, reply in zip(tasks, replies, strict=True):
            taught.outcomes[_outcome(task, reply)] += 1
            if reply.loss is None:
                made = self._samples(task, reply, context, retrieve)
                found = self._rules.check(task.passage, made)
                taught.samples += found.kept
                taught.rejected += found.rejected
        if tasks and not taught.samples:
            raise self._useless(tasks, replies, taught.rejected)
        return taught

    def _replies(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> list[Reply]:
        """A reply to each task; of a model that writes nothing readable only a few are paid."""
        first = self._asker.ask([self._question(task) for task in tasks[:TRIED]], advance)
        if first and all(reply.loss for reply in first):
            raise self._useless(tasks[:TRIED], first, ())
        return [*first, *self._asker.ask([self._question(task) for task in tasks[TRIED:]], advance)]

    def _useless(
        self, tasks: Sequence[Task], replies: Sequence[Reply], rejected: Sequence[Rejected]
    ) -> BadDataError:
        counts = Counter(map(_outcome, tasks, replies))
        counts.update(each.reason.value for each in rejected)
        told = ", ".join(f"{name}: {count}" for name, count in counts.most_common())
        return BadDataError(
            f"the teacher {self._teacher.model} brought no sample ({told}): take another model, "
            "raise datasets.teacher.budget, or leave datasets.teacher out"
        )

    def _question(self, task: Task) -> Question:
        kind, chunk = task.kind, task.passage.chunk
        form = Form(
            TEACHER_VERSION,
            self._teacher.max_tokens,
            schema_of(kind, self._teacher) if self._bindable else None,
            self._teacher.temperature,
        )
        messages = ask_for(kind, chunk, task.passage.answer, self._author, self._teacher)
        return Question(messages, form, lambda text: is_readable(kind, text), chunk.document_id)

    def _samples(
        self, task: Task, reply: Reply, context: Context, retrieve: Retrieve
    ) -> list[InstructSample]:
        written = [
            Written(self._clean(each.instruction), self._clean(each.answer))
            for each in read_reply(task.kind, reply.text)[: self._teacher.per_passage]
        ]
        if task.kind is TeacherKind.QUESTION:
            return [self._question_sample(task, each, retrieve) for each in written]
        return [
            _verbatim(task, each, context(task.passage, number))
            if task.kind is TeacherKind.INSTRUCTION
            else _verbatim(task, each, ())
            for number, each in enumerate(written)
        ]

    def _question_sample(self, task: Task, written: Written, retrieve: Retrieve) -> InstructSample:
        """Over what serving would find; the right passage takes the last place if it is missing.

        As in service, fewer passages are shown at times.
        """
        chunk = task.passage.chunk
        found = retrieve(written.instruction)
        most = self._random(task.passage, written.instruction).randint(1, max(1, len(found)))
        right = [hit for hit in found if chunk.id in {hit.chunk_id, *hit.joined}]
        others = [hit for hit in found if hit not in right]
        kept = [*right, *others[: max(0, most - max(1, len(right)))]]
        shown = [format_passage(hit) for hit in found if hit in kept]
        context = shown if right else [*shown, format_passage(chunk)]
        made = _sample(task, written.instruction, tuple(context), written.answer)
        parts = (chunk.id, Maker.TEACHER, written.instruction, written.answer)
        return made.model_copy(update={"id": str(uuid.uuid5(NAMESPACE, "\n".join(parts)))})

    def _draw(self, passage: Passage, kind: TeacherKind) -> float:
        return self._random(passage, kind).random()

    def _random(self, passage: Passage, purpose: str) -> random.Random:
        return random.Random(f"{self._knobs.seed}:{passage.chunk.id}:{purpose}")  # noqa: S311 - no secret


def _verbatim(task: Task, written: Written, context: tuple[str, ...]) -> InstructSample:
    return _sample(task, written.instruction, context, task.passage.answer)


def _sample(task: Task, instruction: str, context: tuple[str, ...], answer: str) -> InstructSample:
    chunk = task.passage.chunk
    return InstructSample(
        id=sample_id(chunk.id, instruction, grounded=bool(context)),
        split=Split.TRAIN,
        instruction=instruction,
        context=context,
        answer=answer,
        document_id=chunk.document_id,
        revision=chunk.revision,
        chunk_id=chunk.id,
        title=chunk.title,
        url=chunk.url,
        maker=Maker.TEACHER,
        chunk_ids=(chunk.id,),
        kind=task.kind.value,
    )


def _outcome(task: Task, reply: Reply) -> str:
    if reply.loss is None:
        said = ANSWERED
    elif reply.loss is Loss.UNREADABLE and _is_excuse(reply.reason):
        said = REFUSED
    else:
        said = reply.loss.value
    return f"{task.kind.value}: {said}"


def _is_excuse(text: str) -> bool:
    said = plain(text).casefold().replace("\u2019", "'")
    return any(excuse in said for excuse in EXCUSES)
