"""What of a chunk can be an answer: prose of the right length, word for word."""

import re
from dataclasses import dataclass

from twin.domain.chunk import Chunk
from twin.recipes import DatasetsSection
from twin.text.words import count_words

MIN_PROSE_SHARE = 0.6
"""Share of a passage's words that must stand in sentences, not in code, lists or tables."""

_FENCE = re.compile(r"^(```|~~~).*?(^\1|\Z)", re.MULTILINE | re.DOTALL)
#: A heading of either style: marked by number signs, or by a line below it.
#: That the line above holds a word is looked at ahead: to search for it within the line takes the
#: square of a paragraph's length.
_HEADING = re.compile(
    r"^ {0,3}#{1,6}\s.*$|^(?=[^\n|]*[^\s|])[^\n|]+\n(?:=+|-{2,})[ \t]*$", re.MULTILINE
)
_NOT_PROSE = re.compile(r"^(\s*([-*+]|\d+[.)])\s|\s*\||#{1,6}\s| {4}|\t|>\s)")


@dataclass(frozen=True)
class Passage:
    """A chunk together with the part of its text that serves as an answer.

    ``place`` is its number among all chunks in order, where these are in `twin.datasets.prepared`.
    """

    chunk: Chunk
    answer: str
    place: int = -1


def passage_of(chunk: Chunk, limits: DatasetsSection) -> Passage | str:
    """The answer that a chunk holds, or the reason why it holds none.

    A chunk longer than the limit gives its first whole paragraphs; of one that joins small sections
    the longest is taken, since an answer has no headings in it.
    """
    if _prose_share(chunk.text) < MIN_PROSE_SHARE:
        return "code, list or table"
    answer = _first_paragraphs(_under_one_heading(chunk.text), limits.max_answer_words)
    if answer is None:
        return "paragraph longer than max_answer_words"
    if count_words(answer) < limits.min_answer_words:
        return "shorter than min_answer_words"
    if answer.endswith(":"):
        return "leads to something that is cut off"
    return Passage(chunk, answer)


def _prose_share(text: str) -> float:
    words = count_words(text)
    prose = [line for line in _FENCE.sub("", text).splitlines() if not _NOT_PROSE.match(line)]
    return count_words("\n".join(prose)) / words if words else 0.0


def _under_one_heading(text: str) -> str:
    """The longest part of the text without a heading in it."""
    hidden = _FENCE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)  # a comment is none
    ends = [0, *(place for match in _HEADING.finditer(hidden) for place in match.span()), len(text)]
    parts = [text[start:end].strip() for start, end in zip(ends[::2], ends[1::2], strict=True)]
    return max(parts, key=count_words)


def _first_paragraphs(text: str, most_words: int) -> str | None:
    if count_words(text) <= most_words:
        return text
    end = None
    for match in re.finditer(r"\n\s*\n", text):
        if count_words(text[: match.start()]) > most_words:
            break
        end = match.start()
    if end is None or text[:end].count("```") % 2:
        return None
    return text[:end].rstrip()
