"""The proof that no model was trained on what it is measured by.

Documents keep their split from one data set to the next, so a test document should never have been
trained on. Here that is looked up, and not believed: in the data sets, by their versions, that the
candidate, the champion and the reference champion were trained on (training and validation part,
for the latter chose when to stop). A test sample is left out if its document or its passage is
there, if its answer is mostly copied there, or if that holds of a document of its group.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from twin.domain.errors import BadDataError
from twin.domain.sample import WITHHELD, InstructSample, Split
from twin.domain.written import QuestionKind
from twin.stores.registry import ModelVersion
from twin.stores.sample_sets import SampleSets
from twin.text.shingles import Shingle, is_copy, shingles

#: Answers of these kinds are the refusal, which is the same everywhere.
_REFUSALS = {WITHHELD, QuestionKind.UNANSWERABLE.value}


@dataclass(frozen=True)
class Trained:
    """What a model was trained on.

    ``documents`` are those it learned from, ``seen`` those and the ones it was validated on;
    ``samples`` are of both.
    """

    dataset_version: str
    documents: frozenset[str]
    seen: frozenset[str]
    samples: tuple[InstructSample, ...]

    @cached_property
    def chunks(self) -> frozenset[str]:
        """Ids of the passages that its samples were made from."""
        ids = (id_ for each in self.samples for id_ in (each.chunk_id, *each.chunk_ids))
        return frozenset(filter(None, ids))


class TrainingSet(BaseModel):
    """A data set that was searched for test documents; ``missing`` says why it could not be."""

    model_config = ConfigDict(frozen=True)

    role: str
    version: str
    dataset_version: str
    documents: int = 0
    missing: str = ""


class Proof(BaseModel):
    """Which data sets were searched, and what was left out of the test for it."""

    model_config = ConfigDict(frozen=True)

    sets: tuple[TrainingSet, ...]
    documents: int = Field(description="of the test split")
    left_out: dict[str, int] = Field(description="reason to test samples that are not used")

    @property
    def text(self) -> str:
        """The proof in a sentence."""
        searched = ", ".join(
            f"{each.role} {each.version} ({each.dataset_version}: {each.documents} documents)"
            for each in self.sets
            if not each.missing
        )
        missing = [f"{each.role} {each.version}: {each.missing}" for each in self.sets]
        gaps = [text for text, each in zip(missing, self.sets, strict=True) if each.missing]
        if not self.left_out:
            said = f"none of the {self.documents} test documents is in the training set of"
        else:
            count = sum(self.left_out.values())
            said = (
                f"{count} test samples are left out ({_listed(self.left_out)}); none of the others "
                "is in the training set of"
            )
        return "; ".join([f"{said} {searched}", *gaps])


def trained_on(sets: SampleSets, version: ModelVersion) -> Trained:
    """What a registered version was trained on, by its tag ``dataset_version``.

    Raises:
        BadDataError: it has no such tag, or that data set is gone.
    """
    dataset = version.tags.get("dataset_version", "")
    if not dataset:
        raise BadDataError(
            f"version {version.version} of {version.name} has no tag dataset_version"
        )
    if not sets.is_published(dataset):
        raise BadDataError(
            f"its data set {dataset} is gone from {sets.uri(dataset)}: restore it from a backup"
        )
    splits = sets.manifest(dataset).documents
    samples = [*sets.instruct(dataset, Split.TRAIN), *sets.instruct(dataset, Split.VALIDATION)]
    return Trained(
        dataset_version=dataset,
        documents=frozenset(id_ for id_, split in splits.items() if split is Split.TRAIN),
        seen=frozenset(id_ for id_, split in splits.items() if split is not Split.TEST)
        | {sample.document_id for sample in samples},
        samples=tuple(samples),
    )


def uncontaminated(
    test: Sequence[InstructSample], groups: Mapping[str, str], trained: Mapping[str, Trained]
) -> tuple[list[InstructSample], dict[str, int]]:
    """The test samples that no model was trained on, and how many are left out for which reason.

    Args:
        test: the samples of the test split.
        groups: each test document's group.
        trained: role of a model to what it was trained on.
    """
    reasons = {sample.id: _reason(sample, trained) for sample in test}
    copied = _copied(test, trained)
    for sample in test:
        if not reasons[sample.id] and sample.id in copied:
            reasons[sample.id] = "copied in a training set"
    hit = {
        groups[sample.document_id] for sample in test if reasons[sample.id].startswith("document")
    } | _copied_groups(test, groups, copied)
    for sample in test:
        if not reasons[sample.id] and groups[sample.document_id] in hit:
            reasons[sample.id] = "of the group of such a document"
    left_out: dict[str, int] = {}
    for reason in filter(None, reasons.values()):
        left_out[reason] = left_out.get(reason, 0) + 1
    return [sample for sample in test if not reasons[sample.id]], left_out


def _reason(sample: InstructSample, trained: Mapping[str, Trained]) -> str:
    chunks = {sample.chunk_id, *sample.chunk_ids}
    for role, one in trained.items():
        if sample.document_id in one.seen:
            return f"document in the {role}'s training set"
        if chunks & one.chunks:
            return f"passage in the {role}'s training set"
    return ""


def _copied(test: Sequence[InstructSample], trained: Mapping[str, Trained]) -> set[str]:
    """Ids of the test samples whose answers are mostly copied in training answers.

    Only shingles of test answers are kept, so that a large training set takes no memory.
    """
    own = {sample.id: shingles(sample.answer) for sample in test if sample.kind not in _REFUSALS}
    wanted = set[Shingle]().union(*own.values())
    answers = {each.answer for one in trained.values() for each in one.samples}
    seen = set[Shingle]().union(*(shingles(answer) & wanted for answer in answers))
    return {id_ for id_, found in own.items() if is_copy(found, seen)}


def _copied_groups(
    test: Sequence[InstructSample], groups: Mapping[str, str], copied: set[str]
) -> set[str]:
    """Groups most of whose samples are copied: a new edition of a document trained on."""
    sizes: dict[str, list[bool]] = {}
    for sample in test:
        sizes.setdefault(groups[sample.document_id], []).append(sample.id in copied)
    return {group for group, found in sizes.items() if sum(found) > len(found) / 2}


def _listed(left_out: Mapping[str, int]) -> str:
    return "; ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
