"""The page "readers ask this and you have not written it", and questions proposed for the test."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import yaml

from twin.monitoring.failing_questions import QuestionGroup
from twin.pages.page import render_page

TEMPLATE = "questions.html.jinja"


def as_page(groups: Sequence[QuestionGroup], author: str, days: int, now: datetime) -> str:
    """HTML for the author."""
    unwritten = [each for each in groups if each.is_unwritten]
    return render_page(
        "twin.monitoring",
        TEMPLATE,
        author=author,
        days=days,
        made=now,
        sections=[
            ("Readers ask this, and you have not written it", unwritten),
            ("You have written about this, and the answers are not good", _written(groups)),
        ],
    )


def as_markdown(groups: Sequence[QuestionGroup], author: str, days: int, now: datetime) -> str:
    """The same for a terminal or an issue."""
    return "\n".join(_lines(groups, author, days, now)) + "\n"


def as_proposals(groups: Sequence[QuestionGroup]) -> str:
    """Questions in the form of `datasets.written`, for a person to complete.

    Those that nobody has written about are whole but for the document that they are near; the
    others want an answer, its facts and a quotation.
    """
    entries = [_proposal(each) for each in groups]
    head = "# Proposed by `twin monitoring questions`: complete what is empty, delete what is no\n"
    text: str = yaml.safe_dump(entries, allow_unicode=True, sort_keys=False, width=100)
    return head + "# good, and add the rest to the file that datasets.written names.\n" + text


def _proposal(group: QuestionGroup) -> dict[str, object]:
    if group.is_unwritten:
        return {"kind": "unanswerable", "question": group.question, "document": group.nearest}
    return {
        "kind": "fact",
        "question": group.question,
        "answer": "",
        "document": group.nearest,
        "quote": "",
        "facts": [],
    }


def _written(groups: Sequence[QuestionGroup]) -> list[QuestionGroup]:
    return [each for each in groups if not each.is_unwritten]


def _lines(groups: Sequence[QuestionGroup], author: str, days: int, now: datetime) -> Iterator[str]:
    yield f"# What readers of {author} ask"
    yield ""
    yield f"Of the last {days} days, {now:%Y-%m-%d}. Personal data is masked."
    for head, found in (
        ("Not written yet", [each for each in groups if each.is_unwritten]),
        ("Written, but not answered well", _written(groups)),
    ):
        yield from ("", f"## {head}", "")
        if not found:
            yield "Nothing that several readers have asked."
        for each in found:
            near = f"; nearest: {_one_line(each.nearest)}" if each.nearest else ""
            yield f"- **{_one_line(each.question)}** ({each.callers} readers, {each.questions} "\
                f"questions{near})"  # fmt: skip
            yield from (f"  - {_one_line(example)}" for example in each.examples)


def _one_line(text: str) -> str:
    """A caller's words as they stand, without what Markdown would read as its own."""
    return "".join(
        f"\\{sign}" if sign in "\\`*_[]<>#|" else sign for sign in " ".join(text.split())
    )
