"""What a twin is asked for when it writes drafts: the instructions within `twin.rag.prompt`'s form.

One section is asked for at a time, since a small model loses a longer text, and a large one writes
each from its own passages. What a caller sends (topic, notes, an instruction) is an instruction,
as a question is; an earlier text stands between marks of its own.
"""

import json

from twin.domain.draft import DraftKind, DraftTask, EarlierSection

DRAFT_PROMPT_VERSION = "1"
"""Recorded with each draft's trace; changes whenever the texts below do."""

THREAD_CHARACTERS = 280
"""Of one post of a thread with its number, as on X; Bluesky takes 300, Mastodon 500."""

WHOLE = {
    DraftKind.POST: "post",
    DraftKind.THREAD: "thread of posts",
    DraftKind.SECTION: "section of an article",
    DraftKind.NEWSLETTER: "issue of a newsletter",
    DraftKind.CODE: "piece of code",
}
PART = {
    DraftKind.POST: "one paragraph",
    DraftKind.THREAD: "one post",
    DraftKind.SECTION: "the paragraphs",
    DraftKind.NEWSLETTER: "the paragraphs",
    DraftKind.CODE: "a part",
}
#: Sections of a draft by its kind and length, and words of a section by its length.
SECTIONS = {
    DraftKind.POST: {"short": 2, "medium": 3, "long": 5},
    DraftKind.THREAD: {"short": 3, "medium": 5, "long": 8},
    DraftKind.SECTION: {"short": 2, "medium": 3, "long": 5},
    DraftKind.NEWSLETTER: {"short": 2, "medium": 4, "long": 6},
    DraftKind.CODE: {"short": 1, "medium": 2, "long": 4},
}
WORDS = {"short": 50, "medium": 90, "long": 140}


def request_in_words(task: DraftTask) -> str:
    """What is asked for, as a person would say it: the question that the draft answers."""
    said = f"Write a {task.length} {WHOLE[task.kind]} about this: {task.topic}"
    if task.language:
        said += f"\nWrite in this language: {task.language}"
    if task.instruction:
        said += f"\nChange the draft: {task.instruction}"
    return said


def outline_request(task: DraftTask, points: int) -> str:
    """Asks for the points of a draft as JSON by `outline_schema`."""
    said = (
        f"Plan a {WHOLE[task.kind]} about this: {task.topic}\n"
        f"Give {points} points as short headings, each about something else, in their order. "
        'Reply with a JSON object: "points", a list of texts.'
    )
    return _with_wishes(said, task)


def outline_schema(points: int) -> str:
    """The JSON schema of an outline with at most so many points."""
    point = {"type": "string", "minLength": 3, "maxLength": 120}
    listed = {"type": "array", "items": point, "minItems": 1, "maxItems": points}
    return json.dumps(
        {
            "type": "object",
            "properties": {"points": listed},
            "required": ["points"],
            "additionalProperties": False,
        }
    )


def section_request(task: DraftTask, outline: tuple[str, ...], number: int) -> str:
    """Asks for one section.

    Args:
        task: of the draft.
        outline: the headings of all sections.
        number: of this one, from 1.
    """
    heading = outline[number - 1]
    said = f"Write {PART[task.kind]} of a {WHOLE[task.kind]} about this: {task.topic}\n"
    said += f"Write only about this point: {heading}\n"
    if others := [point for point in outline if point != heading]:
        said += f"Other parts are about: {'; '.join(others)}\n"
    if task.kind is DraftKind.THREAD:
        said += f"At most {THREAD_CHARACTERS} characters, no number, no heading."
    elif task.kind is DraftKind.CODE:
        said += (
            "Write it as in the passages: one fenced code block that names its language, then one "
            "sentence on it, no heading."
        )
    else:
        said += f"About {WORDS[task.length]} words, no heading."
    return _with_wishes(said, task)


def revision_request(task: DraftTask, earlier: EarlierSection) -> str:
    """Asks for a section again, changed as the task's instruction says."""
    said = (
        f"This is {PART[task.kind]} of a {WHOLE[task.kind]} about this: {task.topic}\n"
        f"<draft>\n{_unmarked(earlier.text)}\n</draft>\n"
        f"Write it again with this change: {task.instruction}\n"
        "Give the whole new text and nothing else, no heading."
    )
    return _with_wishes(said, task)


def _with_wishes(said: str, task: DraftTask) -> str:
    if task.language:
        said += f"\nWrite in this language: {task.language}"
    if task.notes.strip():
        said += f"\nUse these notes:\n{task.notes.strip()}"
    return said


def _unmarked(text: str) -> str:
    return text.replace("<draft>", " ").replace("</draft>", " ")
