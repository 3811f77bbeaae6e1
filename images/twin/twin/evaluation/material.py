"""What an evaluation measures on, and what is known before any model runs."""

from collections.abc import Mapping
from dataclasses import dataclass

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.evaluation.contamination import Proof, Trained, TrainingSet, trained_on, uncontaminated
from twin.evaluation.contest import Contest
from twin.evaluation.held_out import HeldOut, document_groups, hold_out
from twin.recipes import Recipe
from twin.stores.sample_sets import SampleSets


@dataclass(frozen=True)
class Material:
    """What is measured on.

    Attributes:
        train: training samples of the candidate, by which the author's style is learned.
        test: all samples of the test split.
        clean: those that no contestant was trained on.
        groups: each test document's group.
        new_documents: how many the candidate was trained on and the champion was not.
        doubts: why the evidence is not whole, as far as is known.
        proof: that nobody was trained on the clean ones.
    """

    train: tuple[InstructSample, ...]
    test: tuple[InstructSample, ...]
    clean: tuple[InstructSample, ...]
    groups: Mapping[str, str]
    new_documents: int
    doubts: tuple[str, ...]
    proof: Proof


def gather(contest: Contest, sets: SampleSets) -> Material:
    """The test samples of the candidate's data set, without those that anybody was trained on.

    Raises:
        BadDataError: the candidate's data set is gone or damaged.
    """
    test = sets.instruct(contest.dataset_version, Split.TEST)
    groups = document_groups(test)
    trained, searched, doubts = _trained(contest, sets)
    clean, left_out = uncontaminated(test, groups, trained)
    if test and not clean:
        doubts.append(
            "every test sample is known to a model that is compared, so the figures prove nothing: "
            "crawl new documents, then run twin datasets make and train again"
        )
    new = trained["candidate"].documents
    if "champion" in trained:
        new -= trained["champion"].documents
    return Material(
        train=tuple(each for each in trained["candidate"].samples if each.split is Split.TRAIN),
        test=tuple(test),
        clean=tuple(clean or test),
        groups=groups,
        new_documents=len(new),
        doubts=tuple(doubts),
        proof=Proof(sets=tuple(searched), documents=len(groups), left_out=left_out),
    )


def held_out_of(material: Material, recipe: Recipe) -> HeldOut:
    """The questions that an evaluation asks.

    Raises:
        BadDataError: there are none.
    """
    return hold_out(
        material.clean,
        material.groups,
        recipe.author.name,
        max_samples=recipe.evaluation.max_samples,
        seed=recipe.evaluation.seed,
        prompt=recipe.prompt,
    )


def _trained(
    contest: Contest, sets: SampleSets
) -> tuple[dict[str, Trained], list[TrainingSet], list[str]]:
    """By role what it was trained on, the sets as the report lists them, and what is wanting."""
    versions = {
        "candidate": contest.candidate,
        "champion": contest.champion,
        "reference": contest.reference,
    }
    trained: dict[str, Trained] = {}
    searched, doubts = [], []
    for role, version in versions.items():
        if version is None:
            continue
        dataset = version.tags.get("dataset_version", "unknown")
        listed = TrainingSet(role=role, version=version.version, dataset_version=dataset)
        try:
            trained[role] = trained_on(sets, version)
        except BadDataError as error:
            if version is contest.candidate:
                raise
            doubts.append(f"nobody can tell what the {role} was trained on: {error}")
            searched.append(listed.model_copy(update={"missing": str(error)}))
        else:
            documents = len(trained[role].seen)
            searched.append(listed.model_copy(update={"documents": documents}))
    return trained, searched, doubts
