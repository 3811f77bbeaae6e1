"""`twin datasets label`: samples or pairs to people in Label Studio, and their verdicts back."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin.datasets.agreement import agreements, render_agreements
from twin.datasets.label_pairs import drawn_pairs
from twin.datasets.label_tasks import (
    PAIRS,
    SAMPLES,
    Labelled,
    Page,
    known_keys,
    read_tasks,
    task_of,
    task_of_pair,
)
from twin.datasets.personal_data import Redactor
from twin.datasets.read_version import open_version
from twin.datasets.show import chosen_samples
from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import InstructSample, Split, draw_key
from twin.domain.verdict import Decision, Verdict
from twin.recipes import Recipe, load_recipe
from twin.settings import get_settings
from twin.stores.files import open_files
from twin.stores.label_studio import MAX_TITLE, LabelStudio, Project, Task
from twin.stores.verdicts import Verdicts

NOBODY = "nobody has given a verdict yet"


@dataclass(frozen=True)
class Wanted:
    """Which samples or pairs people are to judge: drawn from those that fit.

    Of pairs ``kind`` is feedback (callers' candidates) or model (what a training was made of); all
    are of the training split.
    """

    splits: tuple[Split, ...]
    kind: str | None
    text: str | None
    count: int


def export_tasks(
    recipe: str, version: str, wanted: Wanted, title: str | None, people: int
) -> Iterator[str]:
    """Add tasks of samples that the project lacks; it is created if need be. Yields what is done.

    Raises:
        BadConfigurationError: the server is not configured, or refuses access.
        BadDataError: there is no such sample, or the project is another's.
        TryAgainError: the server is away.
    """
    sets, _, name = open_version(recipe, version)
    recipe = sets.manifest(name).recipe
    fitting = chosen_samples(sets, name, splits=wanted.splits, kind=wanted.kind, text=wanted.text)
    samples = _drawn(_not_edited(fitting, recipe), wanted.count)
    if not samples:
        raise BadDataError(f"version {name} has no such sample: leave out --kind or --text")
    tasks = [task_of(recipe, name, sample) for sample in samples]
    yield from _export(SAMPLES, recipe, name, tasks, title, people)


def export_pair_tasks(
    recipe: str, version: str, wanted: Wanted, title: str | None, people: int
) -> Iterator[str]:
    """The same with pairs: the newest that a model made of the version, and callers' candidates.

    Raises:
        BadConfigurationError: the server is not configured, or refuses access.
        BadDataError: there is no such pair, or the project is another's.
        TryAgainError: the server is away.
    """
    sets, pairs, name = open_version(recipe, version)
    recipe = sets.manifest(name).recipe
    shown = drawn_pairs(
        open_files(get_settings()), sets, pairs, name, wanted.kind, wanted.text, wanted.count
    )
    if not shown:
        raise BadDataError(
            f"version {name} has no such pair: make some by `twin training pairs` or `twin "
            "datasets feedback`, or leave out --kind or --text"
        )
    tasks = [task_of_pair(recipe, name, each.pair, each.url, each.doubt) for each in shown]
    yield from _export(PAIRS, recipe, name, tasks, title, people)


def _export(
    page: Page, recipe: str, version: str, tasks: Sequence[Task], title: str | None, people: int
) -> Iterator[str]:
    with LabelStudio(get_settings()) as server:
        project, created = _project(server, page, title or default_title(recipe, page), people)
        yield f"{'created' if created else 'found'} project {server.link(project)}"
        known = known_keys(server.tasks(project), recipe, _called(project), page)
        new = [task for task in tasks if (task["sample"], task["seen"]) not in known]
        server.add_tasks(project, new)
    yield f"{len(new)} tasks added, {len(tasks) - len(new)} were there, of version {version}"


def import_verdicts(
    recipe_name: str, file: Path | None, title: str | None, *, on_pairs: bool = False
) -> Iterator[str]:
    """Take the verdicts of a recipe's project, or of an export of it. Yields what they are.

    Raises:
        BadConfigurationError: the server is not configured, or refuses access.
        BadDataError: there is no such project or file, or it is another's.
        NothingToDo: they are what is known already.
        TryAgainError: the server is away.
    """
    settings = get_settings()
    recipe = load_recipe(recipe_name, settings.recipes)
    page = PAIRS if on_pairs else SAMPLES
    labelled = _from_file(file, recipe, page) if file else _from_server(recipe, title, page)
    yield from _summary(labelled, page)
    given = labelled.verdicts
    if on_pairs:  # samples' are cleaned when they are made
        redactor = Redactor(recipe.datasets.personal_data, recipe.author.name)
        given = [_redacted(each, redactor) for each in given]
    verdicts = Verdicts(open_files(settings), recipe.name, on_pairs=on_pairs)
    if not verdicts.update(labelled.asked, given):
        raise NothingToDo("these verdicts are known already" if given else NOBODY)
    heeding = "training pairs" if on_pairs else "datasets make"
    yield f"`twin {heeding} --recipe {recipe.name}` heeds them"


def _redacted(verdict: Verdict, redactor: Redactor) -> Verdict:
    """What people have written goes into training as it is, so it is no safer than other texts."""
    opinions = tuple(
        each.model_copy(update={"answer": redactor.text(each.answer)}) for each in verdict.opinions
    )
    return verdict.model_copy(update={"opinions": opinions})


def default_title(recipe: str, page: Page = SAMPLES) -> str:
    """The title of a recipe's project."""
    return f"LLM Twin{'' if page is SAMPLES else f' {page.noun}'}: {recipe}"[:MAX_TITLE]


def _not_edited(samples: Iterator[InstructSample], recipe: str) -> Iterator[InstructSample]:
    """The samples whose answer is not what people have asked for already."""
    verdicts = Verdicts(open_files(get_settings()), recipe).read()
    edited = {(each.sample, each.answer) for each in verdicts if each.decision is Decision.EDIT}
    return (sample for sample in samples if (sample.id, sample.answer) not in edited)


def _drawn(samples: Iterator[InstructSample], count: int) -> list[InstructSample]:
    """So many of them, drawn: more of them later are these and others."""
    return sorted(samples, key=lambda sample: draw_key(sample.id, 0))[:count]


def _project(server: LabelStudio, page: Page, title: str, people: int) -> tuple[Project, bool]:
    """The project of this title, and whether it was made just now."""
    found = server.find_project(title)
    if found is None:
        description = f"{page.noun.capitalize()} of a twin; made by `twin datasets label export`."
        return server.create_project(title, description, page.config(), people), True
    if not page.is_of(found.label_config):
        raise BadDataError(
            f"{_called(found)} has another labelling page: give another title by --project"
        )
    return found, False


def _from_file(file: Path, recipe: Recipe, page: Page) -> Labelled:
    try:
        tasks: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"{file} can't be read: {error}") from None
    except json.JSONDecodeError as error:
        raise BadDataError(f"{file} is not JSON: {error}") from None
    return read_tasks(tasks, recipe.name, str(file), page)


def _from_server(recipe: Recipe, title: str | None, page: Page) -> Labelled:
    with LabelStudio(get_settings()) as server:
        wanted = title or default_title(recipe.name, page)
        project = server.find_project(wanted)
        if project is None:
            raise BadDataError(
                f"Label Studio at {server.address} has no project {wanted!r} that this user sees: "
                f"make it by `twin datasets label export{page.suffix} --recipe {recipe.name}`"
            )
        return read_tasks(server.tasks(project), recipe.name, _called(project), page)


def _called(project: Project) -> str:
    return f"project {project.id} ({project.title})"


def _summary(labelled: Labelled, page: Page) -> Iterator[str]:
    said = Counter(each.decision for each in labelled.verdicts)
    names = {decision: decision.value for decision in Decision} | {None: "that people disagree on"}
    counts = _listed([(name, said[each]) for each, name in names.items() if said[each]])
    yield f"{len(labelled.asked)} tasks, {len(labelled.verdicts)} with a verdict{counts}"
    if labelled.passed_over:
        yield f"annotations passed over{_listed(labelled.passed_over.most_common())}"
    if labelled.verdicts:
        yield from render_agreements(agreements(labelled.verdicts), page.noun.removesuffix("s"))


def _listed(counts: Sequence[tuple[str, int]]) -> str:
    return f": {', '.join(f'{count} {name}' for name, count in counts)}" if counts else ""
