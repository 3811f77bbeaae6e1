"""THE prompt: what data sets, training, evaluation and serving all show the model.

Anything else would be train/serve skew: a model asked at serving time in a form that it was never
trained on. Passages are data, never instruction: they are numbered, delimited, and cannot forge a
delimiter of their own. That they forge no turn either is `twin.models.formats`' part, which knows
the model's special tokens.

A small model that quotes a passage goes on with what followed it in the prompt. So every passage
ends with a mark of its own, and a model that writes that mark has come to its end: `END_MARKS`.
"""

from collections.abc import Sequence

from twin.domain.answer import Passage
from twin.domain.chunk import Chunk
from twin.domain.conversation import Turn
from twin.models.language_model import Message
from twin.recipes.prompt import BUILT_IN_VERSION, PASSAGE_MARK, PromptSection

PROMPT_VERSION = BUILT_IN_VERSION
"""Of how passages are shown; changes whenever that or the built-in template does."""

BUILT_IN = PromptSection()
"""The prompt of a recipe that says nothing of it."""

END_MARKS = ("</passage",)
"""Texts at which an answer ends, wherever one is generated: with it a quotation is over."""


def build_messages(
    author_name: str,
    instruction: str,
    passages: Sequence[str],
    history: Sequence[Turn] = (),
    prompt: PromptSection = BUILT_IN,
) -> list[Message]:
    """The earlier turns, and the user's turn that asks for an answer in the author's voice.

    Args:
        author_name: whose voice.
        instruction: the question or task, as asked.
        passages: what was retrieved, best first, each as by `format_passage`; may be empty.
        history: turns before the question, oldest first, the user's and the twin's by turns.
        prompt: the words around question and passages.
    """
    earlier = [Message(role=turn.role, content=harmless(turn.content)) for turn in history]
    content = prompt.render(harmless(author_name), _quoted(passages), harmless(instruction))
    return [*earlier, Message(role="user", content=content)]


def _quoted(passages: Sequence[str]) -> str:
    """The passages, numbered and delimited; nothing where there are none."""
    return "\n".join(
        f"<passage {number}>\n{harmless(passage)}\n</passage>"
        for number, passage in enumerate(passages, start=1)
    )


def format_passage(passage: Passage | Chunk) -> str:
    """A passage as the prompt shows it: title and headings on one line, then the text."""
    path = " > ".join((passage.title, *passage.headings))
    return f"{path}\n{passage.text.strip()}"


def harmless(text: str) -> str:
    """Text without the delimiters of passages, which only the prompt itself may write."""
    return PASSAGE_MARK.sub(" ", text).strip()
