"""Samples for a person to read: what is asked, what is shown, what the answer is, and whence."""

from collections.abc import Iterable, Iterator

from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.stores.sample_sets import SampleSets


def chosen_samples(
    sets: SampleSets,
    version: str,
    *,
    splits: Iterable[Split] = tuple(Split),
    kind: str | None = None,
    text: str | None = None,
) -> Iterator[InstructSample]:
    """Samples of a version, in the order of its files.

    Args:
        sets: of the recipe.
        version: of the samples.
        splits: whose samples.
        kind: a maker (passage, written) or a kind of written question (fact, why, ...).
        text: what instruction, answer, title or document id holds, whatever its case.
    """
    for split in splits:
        for sample in sets.instruct(version, split):
            fits = kind is None or kind in {sample.maker.value, sample.kind}
            searched = (sample.instruction, sample.answer, sample.title, sample.document_id)
            if fits and (text is None or text.casefold() in "\n".join(searched).casefold()):
                yield sample


def render_sample(sample: InstructSample, pairs: Iterable[PreferencePair] = ()) -> str:
    """One sample in Markdown, with the pairs that were made of it."""
    kind = f"{sample.maker.value}, {sample.kind}" if sample.kind else sample.maker.value
    lines = [f"## {sample.instruction}", "", f"{sample.split.value} · {kind} · {sample.id}", ""]
    lines += [f"{turn.role}: {turn.content}" for turn in sample.history]
    for number, passage in enumerate(sample.context, start=1):
        lines += [f"passage {number}:", *(f"    {line}" for line in passage.splitlines()), ""]
    if not sample.context:
        lines += ["no passage is shown: from memory", ""]
    lines += ["answer:", *(f"    {line}" for line in sample.answer.splitlines()), ""]
    for pair in pairs:
        head = f"rejected (by {pair.rejected_by}):"
        lines += [head, *(f"    {line}" for line in pair.rejected.splitlines()), ""]
    if sample.facts:
        lines += [f"must contain: {'; '.join(sample.facts)}"]
    chunks = ", ".join(sample.chunk_ids) or "none: nothing answers it"
    lines += [
        f"from: {sample.title} <{sample.url}>",
        f"document {sample.document_id}, revision {sample.revision[:12]}, chunks {chunks}",
    ]
    return "\n".join(lines)
