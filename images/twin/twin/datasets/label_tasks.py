"""Samples and pairs as tasks of Label Studio, and what people have said of such tasks.

A task's ``data`` has what the labelling page shows (``label_studio.xml``, ``label_pairs.xml``) and
whose it is: recipe, sample (or pair), and the digest of what is judged. An annotation's results go
by the names of that page.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, PreferencePair
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of, digest_of_pair
from twin.stores.label_studio import Task
from twin.stores.verdicts import Key

FROM_MEMORY = "None is shown: it is asked from memory."
_OURS = ("recipe", "sample", "seen")


@dataclass(frozen=True)
class Page:
    """On which people judge, and what they judge there.

    Attributes:
        noun: what they judge.
        file: the page in Label Studio's XML.
        text: field of a task that an edit replaces.
        suffix: of the commands of `twin datasets label` that are for it.
    """

    noun: str
    file: str
    text: str
    suffix: str = ""

    def config(self) -> str:
        """The page's XML."""
        return resources.files(__package__).joinpath(self.file).read_text("utf-8")

    def is_of(self, label_config: str) -> bool:
        """Whether a project's page is this one, perhaps with other words on it."""
        return 'name="verdict"' in label_config and f'value="${self.text}"' in label_config


SAMPLES = Page("samples", "label_studio.xml", "answer")
PAIRS = Page("pairs", "label_pairs.xml", "chosen", "-pairs")


def task_of(recipe: str, version: str, sample: InstructSample) -> Task:
    """The fields of a sample's task."""
    said = [f"{turn.role}: {turn.content}" for turn in sample.history]
    return {
        "recipe": recipe,
        "version": version,
        "sample": sample.id,
        "seen": digest_of(sample),
        "document": sample.document_id,
        "split": sample.split.value,
        "question": "\n\n".join([*said, sample.instruction]),
        "passages": "\n\n".join(sample.context) or FROM_MEMORY,
        "answer": sample.answer,
        # Not "source": under that name Label Studio shows the whole task.
        "origin": f"{sample.title} <{sample.url}>",
    }


def task_of_pair(
    recipe: str, version: str, pair: PreferencePair, url: str = "", doubt: str = ""
) -> Task:
    """The fields of a pair's task.

    Args:
        recipe: whose pairs they are.
        version: of the samples that it was made with.
        pair: a model's, or a candidate of callers' feedback.
        url: of the document that the chosen text comes from.
        doubt: what a gate says against it.
    """
    said = [f"{turn.role}: {turn.content}" for turn in pair.history]
    by_caller = f"feedback on answer {pair.answer_id}, " if pair.answer_id else ""
    return {
        "recipe": recipe,
        "version": version,
        "sample": pair.id,
        "seen": digest_of_pair(pair),
        "document": pair.document_id,
        "split": pair.split.value,
        "question": "\n\n".join([*said, pair.instruction]),
        "passages": "\n\n".join(pair.context) or FROM_MEMORY,
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "origin": f"{by_caller}document {pair.document_id} <{url}>",
        "doubt": f"A gate says: {doubt}" if doubt else "No gate speaks against it.",
    }


@dataclass
class Labelled:
    """What people say of the tasks of a project.

    Attributes:
        asked: sample and digest of every task.
        verdicts: of those that somebody has judged.
        passed_over: annotations without an opinion, by why.
    """

    asked: set[Key] = field(default_factory=set)
    verdicts: list[Verdict] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


def read_tasks(tasks: Any, recipe: str, where: str, page: Page = SAMPLES) -> Labelled:
    """The verdicts of exported tasks.

    Args:
        tasks: Label Studio's JSON export, parsed.
        recipe: whose samples they have to be.
        where: what the export is called in an error.
        page: on which they were judged.

    Raises:
        BadDataError: it is none, or that of another project; says which.
    """
    labelled = Labelled()
    for task in _checked(tasks, recipe, where, page):
        data = task["data"]
        key = (str(data["sample"]), str(data["seen"]))
        labelled.asked.add(key)
        opinions = _opinions(task, page, labelled.passed_over)
        if opinions:
            verdict = Verdict(
                sample=key[0],
                seen=key[1],
                document_id=str(data.get("document", "")),
                opinions=opinions,
            )
            labelled.verdicts.append(verdict)
    return labelled


def known_keys(tasks: Any, recipe: str, where: str, page: Page = SAMPLES) -> set[Key]:
    """Sample and digest of the tasks that a project has.

    Raises:
        BadDataError: the project is another's.
    """
    return {
        (str(task["data"]["sample"]), str(task["data"]["seen"]))
        for task in _checked(tasks, recipe, where, page)
    }


def _checked(tasks: Any, recipe: str, where: str, page: Page) -> Sequence[Task]:
    if not isinstance(tasks, list) or not all(
        isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks
    ):
        raise BadDataError(
            f"{where} is no export of Label Studio: export the project as JSON (not JSON_MIN)"
        )
    for task in tasks:
        data = task["data"]
        if not all(data.get(name) for name in _OURS):
            names = ", ".join(sorted(map(str, data))) or "none"
            raise BadDataError(
                f"{where} is no project of `twin datasets label export`: task {task.get('id')} has "
                f"the fields {names}, but not {', '.join(_OURS)}"
            )
        if data["recipe"] != recipe:
            raise BadDataError(
                f"{where} has samples of recipe {data['recipe']}, not {recipe}: give "
                f"--recipe {data['recipe']}, or the export of this recipe's project"
            )
        if page.text not in data:
            other = SAMPLES if page is PAIRS else PAIRS
            raise BadDataError(
                f"{where} has {other.noun}, not {page.noun}: give the project or export of "
                f"`twin datasets label export{page.suffix}`"
            )
    return tasks


def _opinions(
    task: Mapping[str, Any], page: Page, passed_over: Counter[str]
) -> tuple[Opinion, ...]:
    """One opinion of each person, the newest, in the order in which they were given."""
    annotations = sorted(task.get("annotations", []), key=lambda each: str(each.get("created_at")))
    by_person: dict[str, Opinion] = {}
    for annotation in annotations:
        if annotation.get("was_cancelled"):
            passed_over["skipped by its labeller"] += 1
            continue
        person = _person(annotation.get("completed_by"))
        shown = str(task["data"].get(page.text))
        opinion = _opinion(person, annotation.get("result", []), shown)
        if isinstance(opinion, str):
            passed_over[opinion] += 1
            continue
        by_person.pop(person, None)
        by_person[person] = opinion
    return tuple(by_person.values())


def _opinion(person: str, results: Iterable[Mapping[str, Any]], shown: str) -> Opinion | str:
    """What one annotation says, or why it says nothing."""
    filled = {str(each.get("from_name")): _text(each.get("value", {})) for each in results}
    if filled.get("verdict") not in {each.value for each in Decision}:
        return "without a verdict"
    decision, note = Decision(filled["verdict"]), filled.get("note", "")
    if decision is Decision.REJECT:
        return Opinion(person=person, decision=decision, reason=filled.get("reason", ""), note=note)
    if decision is Decision.KEEP:
        return Opinion(person=person, decision=decision, note=note)
    answer = filled.get("edited", "").strip()
    if not answer:
        return "an edit without an answer"
    if answer == shown.strip():
        return Opinion(person=person, decision=Decision.KEEP, note=note)
    return Opinion(person=person, decision=decision, answer=answer, note=note)


def _text(value: Mapping[str, Any]) -> str:
    texts = value.get("text") or value.get("choices") or []
    return texts if isinstance(texts, str) else "\n".join(map(str, texts))


def _person(completed_by: Any) -> str:
    """The user's number: an export has it alone, or with name and address, which are not kept."""
    return str(completed_by.get("id", "?") if isinstance(completed_by, dict) else completed_by)
