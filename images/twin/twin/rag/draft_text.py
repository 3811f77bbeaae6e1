"""The text of a draft: whole sentences, posts that fit, and sections laid out as Markdown."""

from collections.abc import Sequence

import regex

from twin.domain.draft import DraftKind
from twin.rag.context import open_fence
from twin.rag.prompt_drafts import THREAD_CHARACTERS
from twin.text.sentences import sentence_spans

_ENDS = regex.compile(r"[\p{Sentence_Terminal}…:\p{Pf}\p{Pe}\"'`|*]$")
"""How a sentence ends that a budget of tokens has not cut; a quotation or code may be its end."""


def whole_sentences(text: str) -> str:
    """A text that was cut, up to its last whole sentence; all of it if it has none.

    Of code that was cut the whole lines are kept, and its fence is ended.
    """
    lines = text.split("\n")
    if fence := open_fence(lines):
        whole = lines[:-1] if len(lines) > 1 and open_fence(lines[:-1]) else lines
        return "\n".join((*whole, fence))
    spans = sentence_spans(text)
    while spans and not _ENDS.search(text[slice(*spans[-1])]):
        spans.pop()
    return text[: spans[-1][1]] if spans else text


def fitting(text: str, characters: int) -> str:
    """As many whole sentences as fit, else as many words, followed by "…"."""
    text = " ".join(text.split())
    if len(text) <= characters:
        return text
    ends = [end for _, end in sentence_spans(text) if end <= characters]
    if ends:
        return text[: ends[-1]]
    cut = text[: characters - 1]
    return f"{cut.rpartition(' ')[0] or cut}…"


def post_characters(number: int, count: int) -> int:
    """What a post of a thread may hold beside its number."""
    return THREAD_CHARACTERS - len(_numbered(number, count))


def laid_out(
    kind: DraftKind, title: str, sections: Sequence[tuple[str, str]]
) -> tuple[str, list[int]]:
    """The draft as Markdown, and where each section's text begins in it.

    Args:
        kind: of the draft.
        title: of the whole.
        sections: heading and text of each.
    """
    heads = {
        DraftKind.SECTION: ("## ", "### "),
        DraftKind.NEWSLETTER: ("# ", "## "),
        DraftKind.CODE: ("# ", "## "),
    }
    above, below = heads.get(kind, ("", ""))
    whole = f"{above}{title}\n\n" if above else ""
    starts = []
    for number, (heading, text) in enumerate(sections, start=1):
        if kind is DraftKind.THREAD:
            whole += _numbered(number, len(sections))
        elif below:
            whole += f"{below}{heading}\n\n"
        starts.append(len(whole))
        whole += f"{text}\n\n"
    return whole.rstrip("\n"), starts


def _numbered(number: int, count: int) -> str:
    return f"{number}/{count} "
