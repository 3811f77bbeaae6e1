"""Sample sets in the forms that other trainers read, a JSON Lines file for each split.

Fields are those of the forms' own documentation: OpenAI's fine-tuning files, ShareGPT's
conversations and Alpaca's instructions as LLaMA-Factory and Axolotl take them, TRL's conversational
prompt and completion, the same in plain strings, and plain text for continued pretraining.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from twin.datasets.general import GeneralSample, Mix, mixed_in
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Maker, PreferencePair, Split, draw_key
from twin.models.language_model import Message
from twin.rag.prompt import BUILT_IN, build_messages
from twin.recipes.prompt import PromptSection
from twin.stores.pair_sets import PREFERENCES, PairSets
from twin.stores.sample_sets import INSTRUCT, SampleSets

Fields = dict[str, Any]


class Form(StrEnum):
    """Whose form the files have."""

    OPENAI = "openai"
    SHAREGPT = "sharegpt"
    ALPACA = "alpaca"
    TRL = "trl"
    COMPLETION = "completion"
    """Prompt and completion as plain strings, for trainers without a chat template."""
    TEXT = "text"
    """The author's passages alone, each once: for continued pretraining. No pairs."""


class Asking(NamedTuple):
    """What prompts are written with: whose name, and which words around question and passages."""

    author: str
    prompt: PromptSection


_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}


def export(
    sets: SampleSets,
    pairs: PairSets,
    version: str,
    form: Form,
    folder: Path,
    mix: Mix | None = None,
    prompt: PromptSection = BUILT_IN,
) -> dict[str, int]:
    """Write a version's samples, and its newest pairs, to a folder; returns each file's rows.

    The folder is complete or not there. A split without samples has no file. What is mixed in is
    dealt among the training rows.

    Raises:
        BadDataError: there is no such version, the folder exists already, or the set that is to be
            mixed in has too few rows.
    """
    manifest = sets.manifest(version)
    asking = Asking(manifest.author_name, prompt)
    if mix is not None and form is Form.TEXT:
        raise BadDataError("text is the author's passages alone: leave out --mix")
    if folder.exists():
        raise BadDataError(f"{folder} exists already: name a folder that does not")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "made"
        written: dict[str, int] = {}
        for name, rows in (
            *_sample_files(sets, version, form, asking, mix),
            *_pair_files(pairs, version, form, asking),
        ):
            target = made / name
            target.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
            target.write_text("".join(lines), encoding="utf-8")
            written[name] = len(lines)
        if not written:
            raise BadDataError(f"version {version} has nothing for the form {form.value}")
        made.rename(folder)
    return written


def _sample_files(
    sets: SampleSets, version: str, form: Form, asking: Asking, mix: Mix | None
) -> Iterator[tuple[str, list[Fields]]]:
    for split in Split:
        samples = sets.instruct(version, split)
        if mix is not None and split is Split.TRAIN:
            samples = _with_general(sets, version, samples, mix)
        if form is Form.TEXT:
            rows = _texts(samples)
        else:
            rows = [_INSTRUCT[form](asking, sample) for sample in samples]
        if rows:
            yield f"{INSTRUCT}/{split.value}.jsonl", rows


def _pair_files(
    pairs: PairSets, version: str, form: Form, asking: Asking
) -> Iterator[tuple[str, list[Fields]]]:
    made = [] if form is Form.TEXT else pairs.newest_pairs(version)
    for split in Split:
        rows = [_PAIRS[form](asking, pair) for pair in made if pair.split is split]
        if rows:
            yield f"{PREFERENCES}/{split.value}.jsonl", rows


def _with_general(
    sets: SampleSets, version: str, own: list[InstructSample], mix: Mix
) -> list[InstructSample]:
    measured = [
        sample
        for split in (Split.VALIDATION, Split.TEST)
        for sample in sets.instruct(version, split)
    ]
    found = mixed_in(mix, own, measured)
    if len(found.samples) < found.wanted:
        why = ", ".join(f"{count} {reason}" for reason, count in found.passed_over.items())
        raise BadDataError(
            f"{mix.path} has {len(found.samples)} rows to mix in, not the {found.wanted} that "
            f"--mix-share {mix.share:g} asks for (passed over: {why or 'none'}): lower it"
        )
    return sorted([*own, *found.samples], key=lambda sample: draw_key(sample.id, 0))


def _texts(samples: Sequence[InstructSample]) -> list[Fields]:
    sources: dict[str, str] = {}
    for sample in samples:
        if sample.maker is Maker.PASSAGE:
            sources.setdefault(sample.answer, sample.url)
    return [{"text": text, "source": url} for text, url in sources.items()]


def _messages(asking: Asking, sample: InstructSample | PreferencePair) -> list[Message]:
    if isinstance(sample, GeneralSample):
        return [Message(role="user", content=sample.instruction)]
    return build_messages(
        asking.author, sample.instruction, sample.context, sample.history, asking.prompt
    )


def _said(text: str) -> Message:
    return Message(role="assistant", content=text)


def _openai(asking: Asking, sample: InstructSample) -> Fields:
    """OpenAI refuses any other field, so no id stands beside the messages."""
    return {"messages": [*_messages(asking, sample), _said(sample.answer)]}


def _openai_pair(asking: Asking, pair: PreferencePair) -> Fields:
    return {
        "input": {"messages": _messages(asking, pair)},
        "preferred_output": [_said(pair.chosen)],
        "non_preferred_output": [_said(pair.rejected)],
    }


def _turn(message: Message) -> Fields:
    return {"from": _SPEAKERS[message["role"]], "value": message["content"]}


def _sharegpt(asking: Asking, sample: InstructSample) -> Fields:
    turns = [*_messages(asking, sample), _said(sample.answer)]
    return {"id": sample.id, "conversations": [_turn(turn) for turn in turns]}


def _sharegpt_pair(asking: Asking, pair: PreferencePair) -> Fields:
    return {
        "id": pair.id,
        "conversations": [_turn(turn) for turn in _messages(asking, pair)],
        "chosen": _turn(_said(pair.chosen)),
        "rejected": _turn(_said(pair.rejected)),
    }


def _alpaca_prompt(asking: Asking, sample: InstructSample | PreferencePair) -> Fields:
    *earlier, asked = _messages(asking, sample)
    said = [message["content"] for message in earlier]
    return {
        "id": sample.id,
        "instruction": asked["content"],
        "input": "",
        "history": [list(turns) for turns in zip(said[::2], said[1::2], strict=True)],
    }


def _alpaca(asking: Asking, sample: InstructSample) -> Fields:
    return {**_alpaca_prompt(asking, sample), "output": sample.answer}


def _alpaca_pair(asking: Asking, pair: PreferencePair) -> Fields:
    return {**_alpaca_prompt(asking, pair), "chosen": pair.chosen, "rejected": pair.rejected}


def _trl(asking: Asking, sample: InstructSample) -> Fields:
    return {
        "id": sample.id,
        "prompt": _messages(asking, sample),
        "completion": [_said(sample.answer)],
    }


def _trl_pair(asking: Asking, pair: PreferencePair) -> Fields:
    return {
        "id": pair.id,
        "prompt": _messages(asking, pair),
        "chosen": [_said(pair.chosen)],
        "rejected": [_said(pair.rejected)],
    }


def _plain(asking: Asking, sample: InstructSample | PreferencePair) -> str:
    """The turns as one text; of a single one nobody has to say whose it is."""
    turns = _messages(asking, sample)
    if len(turns) == 1:
        return turns[0]["content"]
    said = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in turns]
    return "\n\n".join([*said, "Assistant:"])


def _completion(asking: Asking, sample: InstructSample) -> Fields:
    return {"id": sample.id, "prompt": _plain(asking, sample), "completion": sample.answer}


def _completion_pair(asking: Asking, pair: PreferencePair) -> Fields:
    return {
        "id": pair.id,
        "prompt": _plain(asking, pair),
        "chosen": pair.chosen,
        "rejected": pair.rejected,
    }


_INSTRUCT: dict[Form, Callable[[Asking, InstructSample], Fields]] = {
    Form.OPENAI: _openai,
    Form.SHAREGPT: _sharegpt,
    Form.ALPACA: _alpaca,
    Form.TRL: _trl,
    Form.COMPLETION: _completion,
}
_PAIRS: dict[Form, Callable[[Asking, PreferencePair], Fields]] = {
    Form.OPENAI: _openai_pair,
    Form.SHAREGPT: _sharegpt_pair,
    Form.ALPACA: _alpaca_pair,
    Form.TRL: _trl_pair,
    Form.COMPLETION: _completion_pair,
}
