"""The questions of a recipe's data set, split by split, as trainings of the search read them."""

from collections.abc import Mapping, Sequence

from twin.domain.chunk import Chunk
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.features.reranker_questions import AskedQuestion, asked_questions
from twin.job import Job
from twin.stores.sample_sets import SampleSetManifest, SampleSets

LEAST_QUESTIONS = 30
"""Of fewer, nothing is learned that would hold for others."""

Questions = Mapping[Split, Sequence[AskedQuestion]]


def read_questions(
    job: Job, sets: SampleSets, manifest: SampleSetManifest, indexed: Mapping[str, Chunk]
) -> Questions:
    """The questions of each split; counts those read, and those whose chunks are gone as skipped.

    Args:
        job: whose counts are kept.
        sets: of the recipe.
        manifest: of the data set.
        indexed: chunks of the index by id.

    Raises:
        BadDataError: too few questions to train on, or none to validate on.
    """
    found: dict[Split, Sequence[AskedQuestion]] = {}
    for split in Split:
        samples = sets.instruct(manifest.version, split)
        found[split], gone = asked_questions(samples, indexed)
        job.counts.read += len(found[split])
        job.counts.skipped += gone
    short = {split: len(found[split]) for split in (Split.TRAIN, Split.VALIDATION)}
    if short[Split.TRAIN] < LEAST_QUESTIONS or not short[Split.VALIDATION]:
        raise BadDataError(
            f"samples {manifest.version} have {short[Split.TRAIN]} questions to train on and "
            f"{short[Split.VALIDATION]} to validate on: {LEAST_QUESTIONS} and 1 are the least. "
            "Write questions (datasets.written) or name a teacher (datasets.teacher), then run "
            "`twin datasets make`"
        )
    return found
