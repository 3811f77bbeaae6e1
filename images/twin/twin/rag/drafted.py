"""A draft's sections as one answer: its text, its sources by one numbering, its places."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from twin.domain.answer import CheckedSentence, Passage
from twin.domain.draft import Contradiction, CopiedSentence, Draft, DraftSection, DraftTask, Place
from twin.rag.draft_checks import Checked
from twin.rag.draft_text import laid_out
from twin.rag.draft_views import Against
from twin.rag.outline import one_line
from twin.rag.query import Query

NOWHERE = (0, 0)

Numbers = dict[tuple[str, str], int]
"""Numbers of sources, by the ids of their chunks and the text that was shown."""


@dataclass(frozen=True)
class WrittenSection:
    """A section, the passages that it was written from, and what was found of it.

    ``cut`` says that it ends before its model did, or that its model was cut short.
    """

    heading: str
    text: str
    cut: bool
    sources: tuple[Passage, ...]
    checked: Checked
    against: tuple[Against, ...] = ()


@dataclass(frozen=True)
class DraftWork:
    """What was asked for, and what came of it."""

    query: Query
    task: DraftTask
    outline: tuple[str, ...]
    written: tuple[WrittenSection, ...]
    outdated: tuple[Against, ...]
    remarks: tuple[str, ...]


def answer_fields(work: DraftWork, dont_know: str) -> dict[str, Any]:
    """The fields of an `twin.domain.answer.Answer` that say what was written.

    Args:
        work: the draft.
        dont_know: its text where nothing was written.
    """
    title = one_line(work.task.topic)
    sections = [(each.heading, each.text) for each in work.written]
    text, starts = laid_out(work.task.kind, title, sections)
    sources, numbers = _joined(work.written)
    return {
        "id": uuid.uuid4().hex,
        "question": work.query.question,
        "answer": text if work.written else dont_know,
        "sources": sources,
        "sentences": tuple(
            _moved(sentence, start, [numbers[_key(each)] for each in section.sources])
            for section, start in zip(work.written, starts, strict=True)
            for sentence in section.checked.sentences
        ),
        "grounded": bool(sources),
        "refused": not work.written,
        "draft": _draft(work, title, starts, numbers),
    }


def _draft(work: DraftWork, title: str, starts: Sequence[int], numbers: Numbers) -> Draft:
    task, searched = work.task, work.query.filter
    words = sum(each.checked.words for each in work.written)
    return Draft(
        topic=task.topic,
        kind=task.kind,
        length=task.length,
        language=task.language,
        notes=task.notes,
        filter=searched.model_dump(mode="json", exclude_defaults=True) if searched else None,
        title=title,
        outline=work.outline,
        sections=tuple(
            _section(each, start, numbers) for each, start in zip(work.written, starts, strict=True)
        ),
        copied_share=sum(each.checked.copied_words for each in work.written) / max(1, words),
        copied=tuple(_copied(work.written, starts)),
        from_notes=tuple(
            Place(start=start + begin, end=start + end)
            for each, start in zip(work.written, starts, strict=True)
            for begin, end in each.checked.from_notes
        ),
        contradictions=tuple(_contradictions(work, starts)),
        remarks=work.remarks,
        instruction=task.instruction,
    )


def _section(written: WrittenSection, start: int, numbers: Numbers) -> DraftSection:
    return DraftSection(
        start=start,
        end=start + len(written.text),
        heading=written.heading,
        text=written.text,
        sources=tuple(numbers[_key(source)] for source in written.sources),
        cut=written.cut,
    )


def _copied(written: Sequence[WrittenSection], starts: Sequence[int]) -> Iterator[CopiedSentence]:
    for each, at in zip(written, starts, strict=True):
        for (begin, end), source in each.checked.copied:
            yield CopiedSentence(
                start=at + begin,
                end=at + end,
                document_id=source.document_id,
                url=source.url,
                title=source.title,
            )


def _contradictions(work: DraftWork, starts: Sequence[int]) -> Iterator[Contradiction]:
    """Those of the draft's sentences, then older views that were not written from, each once."""
    named = set()
    for section, at in zip(work.written, starts, strict=True):
        for each in section.against:
            named.add(_quoted(each))
            yield _contradiction(each, at)
    for each in work.outdated:
        if _quoted(each) not in named:
            named.add(_quoted(each))
            yield _contradiction(each, 0)


def _quoted(against: Against) -> tuple[str, str]:
    return against.said.passage.chunk_id, against.said.text


def _contradiction(against: Against, at: int) -> Contradiction:
    begin, end = against.span or NOWHERE
    passage, later = against.said.passage, against.later
    return Contradiction(
        start=at + begin,
        end=at + end,
        quote=against.said.text,
        document_id=passage.document_id,
        url=passage.url,
        title=passage.title,
        published=passage.published,
        difference=against.difference,
        latest=later is None,
        latest_quote=later.text if later else "",
        latest_url=later.passage.url if later else "",
        latest_document_id=later.passage.document_id if later else "",
    )


def _joined(written: Sequence[WrittenSection]) -> tuple[tuple[Passage, ...], Numbers]:
    """All sources, each once, and their numbers.

    A passage that was cut to fit one section is another source where it stands whole.
    """
    first: dict[tuple[str, str], Passage] = {}
    for section in written:
        for source in section.sources:
            first.setdefault(_key(source), source)
    numbers = {key: number for number, key in enumerate(first, start=1)}
    sources = [source.model_copy(update={"rank": numbers[key]}) for key, source in first.items()]
    return tuple(sources), numbers


def _key(source: Passage) -> tuple[str, str]:
    return source.chunk_id, source.text


def _moved(sentence: CheckedSentence, start: int, numbers: Sequence[int]) -> CheckedSentence:
    """A sentence of a section as one of the whole draft."""
    return CheckedSentence(
        start=start + sentence.start,
        end=start + sentence.end,
        supported=sentence.supported,
        citations=tuple(
            citation.model_copy(update={"source": numbers[citation.source - 1]})
            for citation in sentence.citations
        ),
    )
