"""Callers' feedback becomes candidate pairs: what was wrong, against what somebody finds better.

A correction is preferred to the answer that it corrects; of two answers to the same question the
one that was liked to the one that was not. Whoever may ask may say so, so nothing is trained on
such a pair before a person has reviewed it (`twin datasets label export-pairs`). Gates tell that
person what speaks against it; only documents that are held out are no matter of opinion.
"""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from twin.datasets.gates import Gate, Rejected
from twin.domain.conversation import Turn
from twin.domain.document import NAMESPACE
from twin.domain.feedback import KeptAnswer
from twin.domain.feedback_pair import Basis, FeedbackPair, FeedbackSource
from twin.domain.sample import InstructSample, PreferencePair, Split
from twin.domain.written import plain
from twin.rag.prompt import format_passage
from twin.text.injection import injections
from twin.text.likeness import is_same_but_for_ending, likeness, plain_words

UNSAID = "neither a correction nor a thumb"
NO_BETTER = "disliked, but no answer to the same question is liked"
NO_WORSE = "liked, but no answer to the same question is disliked"
NO_SOURCE = "no passage was shown: nothing says which document it would be forgotten with"
HELD_OUT = "of documents that are held out, or that no sample is made of"
REPEATED = "the same as another one"
EMPTY = "a text without a word"
ALIKE = "the same texts but for their ending"
INJECTION = "the chosen text talks to the model"


@dataclass
class Candidates:
    """Candidate pairs, and how many judged answers are in none, by reason."""

    pairs: list[FeedbackPair] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Suggested:
    """A judged answer and a text that is better."""

    worse: KeptAnswer
    chosen: str
    basis: Basis
    shown: KeptAnswer
    """Whose passages the pair's prompt shows: those that the better text was written from."""


def candidate_pairs(
    judged: Iterable[KeptAnswer],
    documents: Mapping[str, Split],
    clean: Callable[[str], str],
    gates: Sequence[Gate],
) -> Candidates:
    """The pairs that judged answers suggest: the same every time from the same answers.

    Args:
        judged: answers with their feedback.
        documents: the split of each document of the newest samples.
        clean: applied to every text: what callers write is no safer than a text from the web.
        gates: those of samples, whose answer is here the chosen text.
    """
    made = Candidates()
    taken: set[tuple[str, str, str]] = set()
    for suggested in _suggested(judged, made.left_out):
        pair = _pair(suggested, documents, clean)
        if isinstance(pair, str):
            made.left_out[pair] += 1
            continue
        said = (pair.pair.instruction, plain(pair.pair.chosen), plain(pair.pair.rejected))
        if said in taken:
            made.left_out[REPEATED] += 1
            continue
        taken.add(said)
        made.pairs.append(pair)
    faults = _faults(made.pairs, gates)
    made.pairs = [
        each.model_copy(update={"fault": faults.get(each.pair.id, "")}) for each in made.pairs
    ]
    return made


def _suggested(judged: Iterable[KeptAnswer], left_out: Counter[str]) -> list[_Suggested]:
    found: list[_Suggested] = []
    liked: dict[str, list[KeptAnswer]] = defaultdict(list)
    disliked: dict[str, list[KeptAnswer]] = defaultdict(list)
    for kept in sorted(judged, key=lambda each: (each.created, each.answer.id)):
        thumb = kept.feedback.thumb if kept.feedback else None
        correction = (kept.feedback.correction or "").strip() if kept.feedback else ""
        if correction:
            found.append(_Suggested(kept, correction, Basis.CORRECTION, kept))
        elif thumb is None:
            left_out[UNSAID] += 1
        else:
            (liked if thumb == "up" else disliked)[_asked(kept)].append(kept)
    for asked, worse in disliked.items():
        better = liked.get(asked)
        if not better:
            left_out[NO_BETTER] += len(worse)
            continue
        newest = better[-1]
        found += [_Suggested(each, newest.answer.answer, Basis.THUMBS, newest) for each in worse]
    left_out[NO_WORSE] += sum(len(own) for asked, own in liked.items() if asked not in disliked)
    left_out += Counter()  # drops reasons that nothing was left out for
    return found


def _asked(kept: KeptAnswer) -> str:
    """The question with the turns before it, whatever case and blanks."""
    return "\n".join(plain(each).casefold() for each in (*_said(kept), kept.answer.question))


def _said(kept: KeptAnswer) -> list[str]:
    return [turn.content for turn in kept.history]


def _pair(
    suggested: _Suggested, documents: Mapping[str, Split], clean: Callable[[str], str]
) -> FeedbackPair | str:
    """The candidate, or why there is none."""
    worse, shown = suggested.worse, suggested.shown
    sources = [
        FeedbackSource(
            document_id=each.document_id,
            revision=each.revision,
            chunk_id=each.chunk_id,
            url=each.url,
        )
        for each in shown.answer.sources
    ]
    if not sources:
        return NO_SOURCE
    of = tuple(sorted({*worse.documents, *shown.documents}))
    if any(documents.get(each) is not Split.TRAIN for each in of):
        return HELD_OUT
    chosen, rejected = clean(suggested.chosen), clean(worse.answer.answer)
    pair = PreferencePair(
        id=str(uuid.uuid5(NAMESPACE, f"feedback\n{worse.answer.id}\n{chosen}")),
        split=Split.TRAIN,
        instruction=clean(worse.answer.question),
        context=tuple(clean(format_passage(each)) for each in shown.answer.sources),
        chosen=chosen,
        rejected=rejected,
        rejected_by=f"{worse.answer.model} version {worse.answer.model_version}, as it was served",
        document_id=sources[0].document_id,
        revision=sources[0].revision,
        chunk_id=sources[0].chunk_id,
        history=tuple(Turn(role=turn.role, content=clean(turn.content)) for turn in worse.history),
        likeness=likeness(chosen, rejected),
        answer_id=worse.answer.id,
    )
    return FeedbackPair(
        pair=pair,
        basis=suggested.basis,
        chosen_answer_id=shown.answer.id if suggested.basis is Basis.THUMBS else "",
        model_version=worse.answer.model_version,
        created=worse.created,
        sources=tuple(sources),
        documents=of,
    )


def _faults(pairs: Sequence[FeedbackPair], gates: Sequence[Gate]) -> dict[str, str]:
    """Pair id to the first thing that speaks against it."""
    faults = {each.pair.id: why for each in pairs if (why := _fault(each.pair))}
    open_ones = [_sample(each.pair) for each in pairs if each.pair.id not in faults]
    for gate in gates:
        found = gate(open_ones)
        faults |= {each.sample.id: _told(each) for each in found}
        open_ones = [sample for sample in open_ones if sample.id not in faults]
    return faults


def _fault(pair: PreferencePair) -> str:
    """By the rules of the pairs that a model's texts make."""
    if not plain_words(pair.chosen) or not plain_words(pair.rejected):
        return EMPTY
    if is_same_but_for_ending(pair.chosen, pair.rejected):
        return ALIKE
    return INJECTION if injections(pair.chosen, quoted=True) else ""


def _told(rejected: Rejected) -> str:
    detail = f" ({rejected.detail})" if rejected.detail else ""
    return f"{rejected.reason.value}{detail}"


def _sample(pair: PreferencePair) -> InstructSample:
    """The chosen text as the answer of a sample, which is what gates look at."""
    return InstructSample(
        id=pair.id,
        split=pair.split,
        instruction=pair.instruction,
        context=pair.context,
        answer=pair.chosen,
        document_id=pair.document_id,
        revision=pair.revision,
        chunk_id=pair.chunk_id,
        title="",
        url="",
        history=pair.history,
    )
