"""Which pairs people are asked about: those that a model made, and callers' candidates."""

from collections.abc import Iterator
from dataclasses import dataclass

from twin.domain.sample import PreferencePair, Split, draw_key
from twin.domain.verdict import Decision
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import FileStore
from twin.stores.pair_sets import PairSets
from twin.stores.sample_sets import SampleSets
from twin.stores.verdicts import Verdicts

FEEDBACK, MODEL = "feedback", "model"


@dataclass(frozen=True)
class AskedPair:
    """A pair with what else people see of it.

    ``doubt`` is what a gate says against it; ``url`` where the chosen text comes from.
    """

    pair: PreferencePair
    url: str = ""
    doubt: str = ""

    @property
    def kind(self) -> str:
        """Who is behind it: callers, or a model."""
        return FEEDBACK if self.pair.answer_id else MODEL


def drawn_pairs(
    files: FileStore,
    sets: SampleSets,
    pairs: PairSets,
    version: str,
    kind: str | None,
    text: str | None,
    count: int,
) -> list[AskedPair]:
    """So many pairs that fit, drawn: more of them later are these and others.

    Candidates come first, since nothing is trained on them before people have said so. What people
    have edited is not asked again.

    Args:
        files: with the candidates and what people have said.
        sets: of the recipe's samples.
        pairs: of the recipe's pairs.
        version: of the samples.
        kind: `FEEDBACK` or `MODEL`; None: both.
        text: what question, either text or document id holds, whatever its case.
        count: at most.
    """
    recipe = sets.manifest(version).recipe
    verdicts = Verdicts(files, recipe, on_pairs=True).read()
    edited = {(each.sample, each.answer) for each in verdicts if each.decision is Decision.EDIT}
    found = {
        each.pair.id: each
        for each in (*_of_model(sets, pairs, version), *_of_callers(files, recipe))
        if kind in {None, each.kind}
        and (each.pair.id, each.pair.chosen) not in edited
        and (text is None or text.casefold() in _searched(each.pair))
    }
    order = sorted(
        found.values(), key=lambda each: (each.kind != FEEDBACK, draw_key(each.pair.id, 0))
    )
    return order[:count]


def _of_model(sets: SampleSets, pairs: PairSets, version: str) -> Iterator[AskedPair]:
    made = [each for each in pairs.newest_pairs(version) if not each.answer_id]
    urls = {each.id: each.url for each in sets.instruct(version, Split.TRAIN)} if made else {}
    return (AskedPair(each, urls.get(each.sample_id, "")) for each in made)


def _of_callers(files: FileStore, recipe: str) -> Iterator[AskedPair]:
    for each in FeedbackPairs(files, recipe).read():
        yield AskedPair(each.pair, each.sources[0].url, each.fault)


def _searched(pair: PreferencePair) -> str:
    return "\n".join((pair.instruction, pair.chosen, pair.rejected, pair.document_id)).casefold()
