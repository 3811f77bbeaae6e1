"""How a model's family writes a conversation, read from its own tokenizer and chat template.

Data sets, training, evaluation and serving make tokens here and nowhere else, so the prompt that
is trained on is the prompt that is served. Whatever somebody wrote (questions, passages, history,
system text, answers) is neutralised on the way: it never becomes a special token.
"""

import functools
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from twin.domain.errors import BadDataError
from twin.models.formats.base_templates import HEADINGS, base_template
from twin.models.formats.families import without
from twin.models.language_model import Message

#: What a template may write between texts without it being one token: [INST], <|user|>, <<SYS>>.
_TEMPLATE_MARK = re.compile(r"<\|[^<>|\s]+\|>|</?[\w-]+>|<</?[A-Z]+>>|\[/?[A-Z_]{2,}\]")
#: Tags of HTML, which some vocabularies have as well, bear no such names.
_NAMED_LIKE_CONTROL = re.compile(r"<\|[^<>|\s]+\|>|</?\w+_\w*>|<unused\d+>")

#: Some templates write today's date, which would make each day's prompt another one.
_FIXED_DATE = "{%- macro strftime_now(format) -%}26 Jul 2024{%- endmacro -%}\n"

#: Templates of models that think before they answer are told not to.
_SWITCHES = {"enable_thinking": False, "thinking": False}

_QUESTION: Message = {"role": "user", "content": "?"}
_SAID = "Yes"


class _Answered(NamedTuple):
    """What a template writes around an answer.

    ``head`` is the prompt, ``lead`` stands between it and the answer, ``gap`` between the answer
    and ``end``.
    """

    head: str
    lead: str
    gap: str
    end: str


class ChatFormat:
    """Conversations as the token ids of one tokenizer.

    Args:
        tokenizer: a fast tokenizer of transformers. If it has no chat template, or one that
            writes today's date, it is given one that stays the same, and is saved with it.
        end_ids: further tokens that end a turn, from the model's generation configuration.

    Raises:
        BadDataError: the tokenizer has no chat template and belongs to no base model, the template
            raises, or it ends an answer with no token.
    """

    def __init__(self, tokenizer: Any, end_ids: Iterable[int] = ()) -> None:
        self.tokenizer = tokenizer
        configured = frozenset(end_ids)
        tokenizer.chat_template = _template(tokenizer, configured)
        self._marks = _marks(tokenizer)
        self._has_system = self._takes_system()
        self._answered = self._probe_answer()
        self.end_of_answer = self._answered.end
        self.end_id: int = tokenizer.convert_tokens_to_ids(self.end_of_answer)
        self.end_ids = configured | {self.end_id, *self._other_ends()}
        self._refuse_clashes()

    @classmethod
    def load(cls, folder: Path) -> "ChatFormat":
        """The format of the model in a local folder; reads its tokenizer, not its weights.

        Raises:
            BadDataError: as the constructor, or the folder holds no tokenizer, or not the model's.
        """
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise BadDataError(
                f"{folder} holds no complete model: no tokenizer: {reason}"
            ) from None
        _refuse_unknown_tokens(tokenizer, folder)
        return cls(tokenizer, configured_end_ids(folder))

    @classmethod
    def shared(cls, folder: Path) -> "ChatFormat":
        """As `load`: the same object while anybody has it, for those who change nothing of it.

        A vocabulary of 262,144 tokens (Gemma 3) takes 250 MiB and three seconds each time.

        Raises:
            BadDataError: as `load`.
        """
        key = _state_of(folder)
        with _SHARING:
            chat = _SHARED.get(key)
            if chat is None:
                chat = _SHARED[key] = cls.load(folder)
            return chat

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The whole prompt, up to where the model's answer begins.

        Raises:
            BadDataError: the template refuses the conversation.
        """
        written = [
            Message(role=turn["role"], content=self.neutral(turn["content"])) for turn in messages
        ]
        return self._encode(self._render(self._with_system(written), answering=True))

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """The prompt as text, of messages that hold no mark; `prompt_ids` for whatever else.

        Raises:
            BadDataError: the template refuses the conversation.
        """
        return self._render(self._with_system(messages), answering=True)

    def answer_ids(self, answer: str) -> list[int]:
        """An answer and its end, as the model has to write it after `prompt_ids`."""
        return [*self._continued(answer, self._answered.gap), self.end_id]

    def unended_answer_ids(self, answer: str) -> list[int]:
        """An answer that was cut off: `answer_ids` without the end."""
        return self._continued(answer, "")

    def count_tokens(self, text: str) -> int:
        """Number of tokens that a text takes in a prompt."""
        return len(self._encode(self.neutral(text)))

    def neutral(self, text: str) -> str:
        """Text in which no special token and no mark of a turn is left; each becomes a space."""
        text = without(self._marks, text)
        return self._without_disguised_tokens(text) if self._disguised_ids else text

    def _without_disguised_tokens(self, text: str) -> str:
        """Text whose normal form, which the tokenizer reads, has no special token either."""
        while True:
            encoding = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
            cleaned = text
            for token, (start, end) in zip(encoding.ids[::-1], encoding.offsets[::-1], strict=True):
                if token in self._disguised_ids:
                    cleaned = f"{cleaned[:start]} {cleaned[end:]}"
            if cleaned == text:
                return text
            text = cleaned

    @functools.cached_property
    def _controls(self) -> list[Any]:
        return _control_tokens(self.tokenizer)

    @functools.cached_property
    def _disguised_ids(self) -> frozenset[int]:
        """Special tokens that the tokenizer looks for in normalised text; of most there is none."""
        names = (token.content for token in self._controls if token.normalized)
        ids = frozenset(self.tokenizer.convert_tokens_to_ids(name) for name in names)
        return ids - {self.tokenizer.unk_token_id}

    @functools.cached_property
    def _head_ids(self) -> list[int]:
        return self._encode(self._answered.head)

    def _continued(self, answer: str, gap: str) -> list[int]:
        """Tokens of an answer where it stands: some tokenizers treat the start of a text apart."""
        text = self._answered.lead + self.neutral(answer).strip() + gap
        whole = self._encode(self._answered.head + text)
        size = len(self._head_ids)
        # A token across the border of prompt and answer is none that a model is ever asked for.
        return whole[size:] if whole[:size] == self._head_ids else self._encode(text)

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _render(self, messages: Sequence[Message], *, answering: bool = False) -> str:
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages), tokenize=False, add_generation_prompt=answering, **_SWITCHES
            )
        except Exception as error:  # a template is somebody's program and may raise anything
            raise BadDataError(
                f"{self.tokenizer.name_or_path}: the chat template refuses the conversation: "
                f"{' '.join(str(error).split())[:200]}"
            ) from None
        return text

    def _takes_system(self) -> bool:
        text = "Be brief."
        try:
            return text in self._render([Message(role="system", content=text), _QUESTION])
        except BadDataError:
            return False

    def _with_system(self, messages: Sequence[Message]) -> list[Message]:
        """System text at the head of the next user turn, where the template has no such role."""
        if self._has_system:
            return list(messages)
        turns: list[Message] = []
        system = ""
        for turn in messages:
            if turn["role"] == "system":
                system += turn["content"].strip() + "\n\n"
            elif turn["role"] == "user":
                turns.append(Message(role="user", content=system + turn["content"]))
                system = ""
            else:
                turns.append(turn)
        return [*turns, Message(role="user", content=system)] if system else turns

    def _probe_answer(self) -> _Answered:
        head = self._render([_QUESTION], answering=True)
        whole = self._render([_QUESTION, Message(role="assistant", content=_SAID)])
        before, said, tail = whole.rpartition(_SAID)
        name = self.tokenizer.name_or_path
        if not said:
            raise BadDataError(f"{name}: the chat template leaves out what the assistant says")
        end = self._first_control_token(tail)
        if end is None:
            what = repr(tail.strip()) if tail.strip() else "nothing"
            raise BadDataError(
                f"{name}: the chat template ends an answer with {what}, which is no special token "
                "of its tokenizer: the model could not say that it is done"
            )
        lead = before.removeprefix(head) if before.startswith(head) else ""
        return _Answered(head, lead, tail[: tail.index(end)], end)

    def _first_control_token(self, text: str) -> str | None:
        positions = [
            (at, -len(token.content), token.content)
            for token in self._controls
            if (at := text.find(token.content)) >= 0
        ]
        return min(positions)[2] if positions else None

    def _other_ends(self) -> Iterator[int]:
        """The end of a document, and the end of the user's turn if the template writes one."""
        if self.tokenizer.eos_token_id is not None:
            yield self.tokenizer.eos_token_id
        asked = self._render([_QUESTION])
        if asked != self._answered.head:
            tail = asked.rpartition(_QUESTION["content"])[2]
            if (end := self._first_control_token(tail)) is not None:
                yield self.tokenizer.convert_tokens_to_ids(end)

    def _refuse_clashes(self) -> None:
        name, end = self.tokenizer.name_or_path, self.end_of_answer
        if self.end_id == self.tokenizer.unk_token_id and end != self.tokenizer.eos_token:
            raise BadDataError(
                f"{name}: an answer ends with {end}, which also stands for unknown characters: "
                "give the tokenizer an end of its own"
            )


#: Formats by the files that they are read from, while somebody has them.
_SHARED: "WeakValueDictionary[tuple[tuple[str, int, int], ...], ChatFormat]" = WeakValueDictionary()
_SHARING = threading.Lock()


def _state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, size and time of change of all files of a folder but its weights."""
    states = (
        (str(path.resolve()), path.stat())
        for path in sorted(folder.glob("*"))
        if path.is_file() and path.suffix != ".safetensors"
    )
    return tuple((path, state.st_size, state.st_mtime_ns) for path, state in states)


def configured_end_ids(folder: Path) -> frozenset[int]:
    """Tokens at which a model is configured to end an answer; none if nothing says so.

    Raises:
        BadDataError: a configuration is not JSON.
    """
    generation = folder / "generation_config.json"
    configuration = generation if generation.is_file() else folder / "config.json"
    ends = _read(configuration).get("eos_token_id")
    ids = ends if isinstance(ends, list) else [ends]
    return frozenset(i for i in ids if isinstance(i, int))


def _refuse_unknown_tokens(tokenizer: Any, folder: Path) -> None:
    """Each token needs a row of the model's embedding: one without would end the process."""
    configuration = _read(folder / "config.json")
    known = configuration.get("text_config", configuration).get("vocab_size")
    if known is not None and len(tokenizer) > known:
        raise BadDataError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens and the model {known}: "
            "they do not belong together, or the model's embedding was not resized"
        )


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise BadDataError(f"{path}: not a JSON object: {error}") from None
    if not isinstance(content, dict):
        raise BadDataError(f"{path}: not a JSON object")
    return content


def _template(tokenizer: Any, end_ids: frozenset[int]) -> str:
    if not tokenizer.chat_template:
        return base_template(tokenizer, end_ids)
    try:
        template: str = tokenizer.get_chat_template()
    except ValueError as error:
        raise BadDataError(f"{tokenizer.name_or_path}: {error}") from None
    dated = "strftime_now" in template and not template.startswith(_FIXED_DATE)
    return _FIXED_DATE + template if dated else template


def _control_tokens(tokenizer: Any) -> list[Any]:
    """Special tokens, and added ones that the template writes (Qwen's <think> is not special) or
    that are named like such (Gemma's <start_of_image> is not either)."""
    return [
        token
        for token in tokenizer.added_tokens_decoder.values()
        if token.content.strip()
        and (
            token.special
            or token.content in tokenizer.chat_template
            or _NAMED_LIKE_CONTROL.fullmatch(token.content)
        )
    ]


def _marks(tokenizer: Any) -> re.Pattern[str]:
    """What texts may not write: control tokens, and marks of turns that are several tokens."""
    template = tokenizer.chat_template
    marks = {token.content for token in _control_tokens(tokenizer)}
    marks |= set(_TEMPLATE_MARK.findall(template))
    marks |= {heading for heading in HEADINGS if heading in template}
    # Thousands of reserved tokens differ in a number only (<unused7>): one pattern for all of them.
    patterns = {re.sub("[0-9]+", "[0-9]+", re.escape(mark)) for mark in marks}
    longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
    return re.compile("|".join(longest_first), re.IGNORECASE)
