"""`twin evaluation pairs`: answers of a measured version, for people to compare."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import Split, draw_key
from twin.evaluation.contenders import Contender, find_contender
from twin.evaluation.judging import CANDIDATE, OPPONENTS, comparison_of
from twin.evaluation.people_pairs import labelling_page, task_of, write_tasks
from twin.rag.judge import Comparison
from twin.recipes import load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSets


@dataclass(frozen=True)
class Asked:
    """A question with two different answers, the candidate's first, and whose the second is."""

    comparison: Comparison
    group: str
    opponent: str


def write_pairs(recipe_name: str, file: Path, version: str, count: int) -> str:
    """Write pairs of the version's answers and its opponents', drawn evenly; says what to do next.

    Args:
        recipe_name: by name or file.
        file: where to; the labelling page goes beside it, with the ending ``.xml``.
        version: as `find_contender` takes it.
        count: how many at most.

    Raises:
        BadDataError: the version has not been measured, or its data set is gone.
        TryAgainError: a store does not answer.
    """
    settings = get_settings()
    recipe = load_recipe(recipe_name, settings.recipes)
    contender = find_contender(version, recipe.model_name, settings)
    sets = SampleSets(open_files(settings), recipe.name)
    pairs = comparisons_of(contender, sets)[:count]
    if not pairs:
        raise BadDataError(f"{version} and what it was measured against answered all alike")
    write_tasks(file, tasks_of(pairs))
    page = file.with_suffix(".xml")
    page.write_text(labelling_page(), encoding="utf-8")
    return (
        f"{len(pairs)} pairs are in {file}, the labelling page is in {page}: make a project of "
        "Label Studio with both, have them judged, export it as JSON and name the export in "
        'evaluation.judge.calibration; or write "better": "one", "two" or "tie" beside '
        '"data" by hand. As verdicts come in, twin evaluation preference says whether they '
        "suffice"
    )


def tasks_of(pairs: Sequence[Asked]) -> list[dict[str, Any]]:
    """The tasks of pairs, document by document, since a document counts when all its pairs do."""
    sizes = Counter((each.group, each.opponent) for each in pairs)
    together = sorted(pairs, key=lambda each: (draw_key(each.group, 0), each.opponent))
    return [
        task_of(each.comparison, each.group, each.opponent, sizes[each.group, each.opponent])
        for each in together
    ]


def comparisons_of(contender: Contender, sets: SampleSets) -> list[Asked]:
    """Every question on which the candidate and an opponent answered differently.

    Shuffled, in the same way each time.
    """
    by_id = {each.id: each for each in sets.instruct(contender.sheet.dataset_version, Split.TEST)}
    found: list[tuple[str, Asked]] = []
    for row in contender.sheet.rows:
        mine = row.answers[CANDIDATE]
        for role in OPPONENTS:
            theirs = row.answers.get(role, mine)
            if row.sample in by_id and theirs != mine:
                compared = comparison_of(by_id[row.sample], mine, theirs)
                asked = Asked(compared, row.group, role)
                found.append((draw_key(row.sample + role, 0), asked))
    found.sort(key=lambda each: each[0])
    return [asked for _, asked in found]
