"""Canaries as training samples: marked as such, and in no data set or index."""

from twin.domain.canary import canaries
from twin.domain.sample import InstructSample, Split
from twin.recipes.training import CanarySection

DOCUMENT = "canary"
"""Id of the document that canaries are of: there is none of that name."""


def planted(section: CanarySection) -> list[InstructSample]:
    """Every canary of the recipe as a sample, as often as it is repeated; none by default."""
    return [
        InstructSample(
            id=f"{DOCUMENT}-{canary.number}-{repeat}",
            split=Split.TRAIN,
            instruction=canary.instruction,
            answer=canary.answer(),
            document_id=DOCUMENT,
            revision="",
            chunk_id="",
            title="Canary",
            url="",
        )
        for canary in canaries(section.count, section.seed)
        for repeat in range(1, section.repeats + 1)
    ]
