"""What training cost of what a model could do before: general tasks, done by base and candidate.

Fine-tuning on one author's texts may take from a model what everybody knows (catastrophic
forgetting). Both models do the same tasks, question by question, so that the difference has an
interval over the questions that they answer differently. Questions are the units here: they come
from no documents of the author's.

What a model makes of the tasks is kept in the file store, under a hash of all that decides it, so
the base is asked once for all candidates.

Source: Y. Luo et al., "An Empirical Study of Catastrophic Forgetting in Large Language Models
During Continual Fine-tuning", 2023, arXiv:2308.08747.
"""

import hashlib
import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from twin.domain.errors import BadDataError
from twin.evaluation.contestants import CANDIDATE
from twin.evaluation.gate import BASE
from twin.evaluation.harness import PACKAGE, TaskScores, do_tasks, load_tasks, reach_harness
from twin.evaluation.own_tasks import tasks_digest
from twin.evaluation.resampling import Estimate, difference, estimate, share_of
from twin.job import Job
from twin.models.engines.transformers_model import TransformersModel
from twin.models.language_model import load_language_model, release_memory
from twin.recipes.abilities import AbilitiesSection
from twin.settings import Settings
from twin.stores.files import FileStore

CONTESTANTS = (BASE, CANDIDATE)
FOLDER = "evaluation/abilities"
FORMAT = 1
"""Of what is kept: raise it when the same weights would get other scores."""

_KEPT = TypeAdapter(tuple[TaskScores, ...])

Weights = tuple[str, Callable[[], Path]]
"""Digest of a model's weights, and a way to get them."""

log = structlog.get_logger("twin")


class Ability(BaseModel):
    """What base and candidate make of one task, or of all together.

    Attributes:
        task: its name.
        metric: what its scores are, by lm-eval's name.
        questions: how many both were asked.
        base: mean score of the base.
        candidate: mean score of the candidate.
        gain: the candidate's less the base's, paired; the interval is over questions.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    task: str
    metric: str
    questions: int
    base: Estimate
    candidate: Estimate
    gain: Estimate


class AbilitiesReport(BaseModel):
    """The abilities' part of a report; ``whole`` is over the questions of all tasks."""

    model_config = ConfigDict(frozen=True)

    tasks: tuple[Ability, ...]
    whole: Ability

    def flat(self) -> dict[str, float]:
        """The figures by dotted name, as MLflow charts them: ``candidate.ability_general``."""
        made = {"gain_over_base.abilities": self.whole.gain.value}
        for each in self.tasks:
            made[f"base.ability_{each.task}"] = each.base.value
            made[f"candidate.ability_{each.task}"] = each.candidate.value
        return made


def measure_abilities(
    job: Job, contestants: Mapping[str, Weights], files: FileStore
) -> AbilitiesReport | None:
    """Let base and candidate do the recipe's tasks; None where it names none.

    One model at a time is in memory.

    Args:
        job: whose recipe names the tasks.
        contestants: role to weights, of base and candidate at least.
        files: where scores are kept.

    Raises:
        BadConfigurationError: lm-eval is not installed.
        BadDataError: a task is not there, can't be read, or can't be done.
    """
    section = job.recipe.evaluation.abilities
    if not section.tasks:
        return None
    if section.folder is not None and not section.folder.is_dir():
        raise BadDataError(f"evaluation.abilities.folder: {section.folder} is no folder")
    reach_harness(job.settings)
    scores: dict[str, tuple[TaskScores, ...]] = {}
    with job.progress("general abilities", len(CONTESTANTS)) as advance:
        for role in (CANDIDATE, BASE):
            digest, weights = contestants[role]
            path = f"{FOLDER}/{_key(digest, section)}.json"
            kept = _kept(files, path)
            if kept is not None and questions_of(kept) == questions_of(scores.get(CANDIDATE, kept)):
                scores[role] = kept
            else:  # or a task of the hub has other questions by now
                scores[role] = _made(weights, section, job.settings, files, path)
            advance(1)
    return compare(scores[BASE], scores[CANDIDATE])


def questions_of(scores: Sequence[TaskScores]) -> list[tuple[str, str, tuple[str, ...]]]:
    """What was asked: each task with its metric and its questions."""
    return [(each.task, each.metric, each.items) for each in scores]


def compare(base: Sequence[TaskScores], candidate: Sequence[TaskScores]) -> AbilitiesReport:
    """The report on two models that have done the same tasks.

    Raises:
        BadDataError: they were asked different questions.
    """
    if questions_of(base) != questions_of(candidate):
        raise BadDataError(
            "evaluation.abilities: base and candidate were not asked the same questions: the data "
            "of a task have changed meanwhile; run twin evaluation run --again"
        )
    tasks = tuple(
        _ability(one.task, one.metric, one.scores, other.scores)
        for one, other in zip(base, candidate, strict=True)
    )
    metrics = dict.fromkeys(each.metric for each in base)
    before, after = (
        [score for task in role for score in task.scores] for role in (base, candidate)
    )
    return AbilitiesReport(
        tasks=tasks, whole=_ability("all tasks", ", ".join(metrics), before, after)
    )


def _ability(task: str, metric: str, base: Sequence[float], candidate: Sequence[float]) -> Ability:
    each_alone = [str(place) for place in range(len(base))]
    before, after = share_of(base), share_of(candidate)
    return Ability(
        task=task,
        metric=metric,
        questions=len(base),
        base=estimate(before, each_alone),
        candidate=estimate(after, each_alone),
        gain=estimate(difference(after, before), each_alone),
    )


def _made(
    weights: Callable[[], Path],
    section: AbilitiesSection,
    settings: Settings,
    files: FileStore,
    path: str,
) -> tuple[TaskScores, ...]:
    with tempfile.TemporaryDirectory() as scratch:
        tasks = load_tasks(section, Path(scratch))
        model = load_language_model(weights(), settings)
        if not isinstance(model, TransformersModel):  # lm-eval drives a model of transformers
            raise BadDataError(f"general abilities of {model.id} can't be measured by its engine")
        made = do_tasks(model, tasks, section)
        del model
        release_memory()
    files.write_bytes(path, _KEPT.dump_json(made))
    return made


def _kept(files: FileStore, path: str) -> tuple[TaskScores, ...] | None:
    """Scores of before; what cannot be read is as good as none."""
    if not files.exists(path):
        return None
    try:
        return _KEPT.validate_json(files.read_text(path))
    except ValidationError:
        log.warning("unreadable scores made again", path=path)
        return None


def _key(weights_digest: str, section: AbilitiesSection) -> str:
    """SHA-256 of everything that decides the scores."""
    parts = (
        str(FORMAT),
        importlib.metadata.version(PACKAGE),
        weights_digest,
        section.model_dump_json(exclude={"folder"}),
        tasks_digest(section),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
