"""What the model of the first stage writes to training samples, as candidates to be rejected.

Writing is the slow part of making pairs. Samples are written to in groups that are the same in each
attempt, and each group is kept when it is done: a killed job goes on where it was, and ends with
the same texts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, TypeAdapter

from twin.domain.sample import InstructSample, Maker, draw_key
from twin.models.formats.chat_format import ChatFormat
from twin.models.language_model import LanguageModel, SamplingParams
from twin.rag.prompt import BUILT_IN, END_MARKS, build_messages
from twin.recipes import PairsSection
from twin.recipes.prompt import PromptSection
from twin.training.tokens import prompt_tokens

GROUP = 16
"""Samples written to together, and kept together: a kill costs this many at most."""


class Candidate(BaseModel):
    """A text that the model wrote; ``is_cut`` if the budget of tokens ended it."""

    model_config = ConfigDict(frozen=True)

    text: str
    is_cut: bool


Candidates = Mapping[str, tuple[Candidate, ...]]
"""Sample id to what the model wrote to it, in the order of its writing."""

KEPT: TypeAdapter[dict[str, tuple[Candidate, ...]]] = TypeAdapter(dict[str, tuple[Candidate, ...]])
"""The form of the file in which they are kept."""


def sampling(knobs: PairsSection, seed: int) -> SamplingParams:
    """How the model writes: as it would when served, so sampled, yet repeatable."""
    return SamplingParams(
        max_new_tokens=knobs.max_tokens,
        temperature=knobs.temperature,
        top_p=0.9,
        repetition_penalty=1.1,
        seed=seed,
        stop=END_MARKS,
    )


def draw_order(samples: Sequence[InstructSample], seed: int) -> list[InstructSample]:
    """Samples in the order in which they are taken: one of each passage first, then a second."""
    seen: dict[str, int] = {}
    ranked = []
    for sample in sorted(samples, key=lambda sample: draw_key(sample.id, seed)):
        passage = sample.chunk_id or sample.id  # nothing answers it: it stands for itself
        turn = seen[passage] = seen.get(passage, 0) + 1
        ranked.append((turn, sample))
    ranked.sort(key=lambda entry: entry[0])
    return [sample for _, sample in ranked]


def choose_samples(
    samples: Sequence[InstructSample],
    chat: ChatFormat,
    author: str,
    knobs: PairsSection,
    max_length: int,
    passed_over: Callable[[str], None],
    prompt: PromptSection = BUILT_IN,
) -> list[InstructSample]:
    """The first samples that fit, at most ``max_pairs`` of them.

    Args:
        samples: in the order of `draw_order`.
        chat: counts tokens.
        author: whose name stands in the prompts.
        knobs: of the recipe.
        max_length: tokens of prompt and answer that preference training takes.
        passed_over: told why a sample before the last one chosen is not.
        prompt: the words around question and passages.
    """
    chosen: list[InstructSample] = []
    for sample in samples:
        if len(chosen) == knobs.max_pairs:
            break
        if sample.maker is Maker.TEACHER and not sample.is_verbatim:
            passed_over("its answer is a teacher's, not the author's")
        elif len(chat.unended_answer_ids(sample.answer)) > knobs.max_tokens:
            passed_over("answer longer than training.dpo.pairs.max_tokens")
        elif len(prompt_tokens(chat, author, sample, prompt)) + knobs.max_tokens + 1 > max_length:
            passed_over("prompt too long for training.dpo.max_length")
        else:
            chosen.append(sample)
    return chosen


def write_candidates(
    samples: Sequence[InstructSample],
    model: LanguageModel,
    author: str,
    knobs: PairsSection,
    seed: int,
    known: Candidates,
    prompt: PromptSection = BUILT_IN,
) -> Iterator[tuple[Candidates, int]]:
    """Write what is not known yet; yields all that is known, group by group, and how many came."""
    params = sampling(knobs, seed)
    written = dict(known)
    for group in _groups(samples):
        if all(sample.id in written for sample in group):
            continue
        prompts = [
            build_messages(author, each.instruction, each.context, each.history, prompt)
            for each in group
            for _ in range(knobs.candidates)
        ]
        made = [
            Candidate(text=each.text.strip(), is_cut=each.finish_reason == "length")
            for each in model.generate_batch(prompts, params)
        ]
        for number, sample in enumerate(group):
            start = number * knobs.candidates
            written[sample.id] = tuple(made[start : start + knobs.candidates])
        yield written, len(group)


def _groups(samples: Sequence[InstructSample]) -> Iterator[Sequence[InstructSample]]:
    """Of like length together: the longest prompt of a group is what each of them costs."""
    order = sorted(samples, key=lambda sample: (sum(map(len, sample.context)), sample.id))
    for start in range(0, len(order), GROUP):
        yield order[start : start + GROUP]
