"""Preference pairs: the author's passage against what the base model writes to the same prompt.

Writing the rejected texts is the slow part of this stage. They are kept as they come, so a killed
job goes on where it was, and those of an earlier version are used again where prompt, model and
settings are the same.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from twin.domain.document import NAMESPACE
from twin.domain.sample import InstructSample, PreferencePair, draw_key
from twin.models.language_model import LanguageModel, SamplingParams
from twin.rag.prompt import END_MARKS, build_messages
from twin.recipes import DatasetsSection

GROUP = 32
"""Prompts written to together, and saved together: a kill costs this many at most."""

Rejected = dict[str, str]
"""Sample id to the text that the base model wrote to it."""


def choose_samples(
    samples: Sequence[InstructSample], knobs: DatasetsSection
) -> list[InstructSample]:
    """The samples to make pairs of: spread over passages first, then a second of each."""
    order = sorted(samples, key=lambda sample: draw_key(sample.id, knobs.seed))
    seen: dict[str, int] = {}
    ranked = []
    for sample in order:
        turn = seen[sample.chunk_id] = seen.get(sample.chunk_id, 0) + 1
        ranked.append((turn, sample))
    ranked.sort(key=lambda entry: entry[0])
    return [sample for _, sample in ranked[: knobs.max_preference_pairs]]


def sampling(knobs: DatasetsSection) -> SamplingParams:
    """How the base model writes: as it would when served, so sampled, yet repeatable."""
    return SamplingParams(
        max_new_tokens=knobs.rejected_max_tokens,
        temperature=0.7,
        top_p=0.9,
        repetition_penalty=1.1,
        seed=knobs.seed,
        stop=END_MARKS,
    )


def write_rejected(
    samples: Sequence[InstructSample],
    model: LanguageModel,
    author_name: str,
    knobs: DatasetsSection,
    known: Rejected,
) -> Iterator[tuple[Rejected, int]]:
    """Write what is not known yet; yields all that is known, group by group, and how many came."""
    known = dict(known)
    # Of like length together: the longest prompt of a group is what each of them costs.
    missing = sorted(
        (sample for sample in samples if sample.id not in known),
        key=lambda sample: sum(map(len, sample.context)),
    )
    for group in _groups(missing):
        prompts = [build_messages(author_name, s.instruction, s.context, s.history) for s in group]
        texts = model.generate_batch(prompts, sampling(knobs))
        known.update({s.id: t.text.strip() for s, t in zip(group, texts, strict=True)})
        yield known, len(group)


def make_pairs(
    samples: Sequence[InstructSample],
    rejected: Rejected,
    rejected_by: str,
    on_failure: Callable[[str, str], None],
) -> list[PreferencePair]:
    """Pairs of the samples whose rejected text differs from the chosen; others are reported."""
    pairs = []
    for sample in samples:
        text = rejected.get(sample.id, "")
        if not text or text.split() == sample.answer.split():
            on_failure(sample.id, "the model wrote nothing" if not text else "both texts are alike")
            continue
        pairs.append(
            PreferencePair(
                id=str(uuid.uuid5(NAMESPACE, f"{sample.id}\n{text}")),
                split=sample.split,
                instruction=sample.instruction,
                context=sample.context,
                history=sample.history,
                chosen=sample.answer,
                rejected=text,
                rejected_by=rejected_by,
                document_id=sample.document_id,
                revision=sample.revision,
                chunk_id=sample.chunk_id,
            )
        )
    return pairs


def reusable(samples: Sequence[InstructSample], pairs: Sequence[PreferencePair]) -> Rejected:
    """Rejected texts of earlier pairs for the samples with the very same prompt."""
    written = {(pair.instruction, pair.context, pair.history): pair.rejected for pair in pairs}
    return {
        sample.id: written[key]
        for sample in samples
        if (key := (sample.instruction, sample.context, sample.history)) in written
    }


def _groups(samples: Sequence[InstructSample]) -> Iterator[list[InstructSample]]:
    left = iter(samples)
    while group := list(islice(left, GROUP)):
        yield group
