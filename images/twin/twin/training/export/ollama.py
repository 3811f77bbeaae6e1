"""A Modelfile by which Ollama asks a model as it was trained: same marks, same words, same end.

Ollama writes prompts by Go's text/template and knows nothing of the model's own template (Jinja).
So a conversation of markers is written by the model's template, and what stands between them is
what the Modelfile writes. The recipe's prompt stands around the last question, as in training.
"""

from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import Message
from twin.rag.prompt import END_MARKS, build_messages
from twin.recipes import Recipe

_FIRST, _SAID, _LAST = "MARKERFIRST", "MARKERSAID", "MARKERLAST"
_QUESTION = "MARKERQUESTION"

MAX_CONTEXT = 8_192
"""Tokens that Ollama is told to keep room for: it reserves the memory at once."""


@dataclass(frozen=True)
class Turns:
    """What a model's template writes around the turns of a conversation.

    Attributes:
        head: before the first question.
        answer: between a question and its answer.
        next: between an answer and the next question.
    """

    head: str
    answer: str
    next: str


def turns_of(chat: ChatFormat, *, begins: bool) -> Turns:
    """Read the marks of turns off a model's own template.

    Args:
        chat: of the model.
        begins: whether llama.cpp puts the token of the beginning before every prompt itself.

    Raises:
        BadDataError: the template writes a question otherwise where it is the last.
    """
    messages = [
        Message(role="user", content=_FIRST),
        Message(role="assistant", content=_SAID),
        Message(role="user", content=_LAST),
    ]
    text = chat.prompt_text(messages)
    head, after_first = text.split(_FIRST)
    answer, after_answer = after_first.split(_SAID)
    following, end = after_answer.split(_LAST)
    if end != answer:
        raise BadDataError(
            f"{chat.tokenizer.name_or_path}: its template ends the last question by {end!r} and "
            f"earlier ones by {answer!r}, which a Modelfile of Ollama can't: export without one"
        )
    first = chat.tokenizer.bos_token or ""
    return Turns(head.removeprefix(first) if begins else head, answer, following)


def modelfile(file: Path, chat: ChatFormat, recipe: Recipe, *, begins: bool, context: int) -> str:
    """The Modelfile of a GGUF file that lies beside it.

    Args:
        file: the GGUF file; its name alone is written.
        chat: of the model.
        recipe: its prompt, author and decoding.
        begins: as in `turns_of`.
        context: tokens that the model takes.

    Raises:
        BadDataError: as `turns_of`, or a text of prompt or template holds three quotation marks.
    """
    turns = turns_of(chat, begins=begins)
    before, after = _frame(recipe)
    if any('"""' in text for text in (turns.head, turns.answer, turns.next, before, after)):
        raise BadDataError(
            'prompt or chat template holds """, at which Ollama ends a text of a Modelfile: '
            "change it, or export without a Modelfile"
        )
    ends = sorted(str(chat.tokenizer.convert_ids_to_tokens(token)) for token in chat.end_ids)
    stops = "\n".join(f'PARAMETER stop "{text}"' for text in (*ends, *END_MARKS))
    serving = recipe.serving
    return f'''# ollama create {recipe.model_name} -f {file.stem}.Modelfile
FROM ./{file.name}

TEMPLATE """{go_template(turns, after)}"""

SYSTEM """{before}"""

{stops}
PARAMETER temperature {serving.temperature}
PARAMETER top_p {serving.top_p}
PARAMETER repeat_penalty {serving.repetition_penalty}
PARAMETER num_ctx {min(context, MAX_CONTEXT)}
'''


def go_template(turns: Turns, after: str = "") -> str:
    """The conversation in Go's text/template, as Ollama fills it in.

    ``.System`` goes directly before the last question, where the recipe's prompt stands in
    training, and ``after`` directly behind it.
    """
    head, answer, following, behind = map(_literal, (turns.head, turns.answer, turns.next, after))
    return (
        "{{- $begun := false }}"
        "{{- range $number, $turn := .Messages }}"
        "{{- $last := eq (len (slice $.Messages $number)) 1 }}"
        '{{- if eq $turn.Role "user" }}'
        f"{{{{- if not $begun }}}}{head}{{{{- $begun = true }}}}{{{{- end }}}}"
        "{{- if $last }}{{ $.System }}{{- end }}"
        "{{- $turn.Content }}"
        f"{{{{- if $last }}}}{behind}{{{{- end }}}}"
        f"{answer}"
        '{{- else if eq $turn.Role "assistant" }}'
        f"{{{{- $turn.Content }}}}{{{{- if not $last }}}}{following}{{{{- end }}}}"
        "{{- end }}{{- end }}"
    )


def _literal(text: str) -> str:
    """Text that Go's template writes as it is: actions before and behind it trim blanks."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{{{{- "{quoted}" }}}}' if text else ""


def _frame(recipe: Recipe) -> tuple[str, str]:
    """The recipe's prompt before and after a question for which no passage is found."""
    [message] = build_messages(recipe.author.name, _QUESTION, (), prompt=recipe.prompt)
    before, after = message["content"].split(_QUESTION)
    return before, after
