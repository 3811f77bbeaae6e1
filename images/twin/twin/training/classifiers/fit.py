"""The job `twin training classifier fit`: encoders learn labels, and the best one is offered.

Of each classifier of the recipe every encoder is trained on the training split, stopped and chosen
by validation, and told of on the test split, beside what needs no encoder. What was trained from
the same texts, encoder and values is not trained again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from twin.domain.errors import BadDataError, NothingToDo
from twin.domain.sample import Split
from twin.job import Job
from twin.models.text_classifier import KeptAlarm, TextClassifier
from twin.recipes import TextClassifierSection
from twin.stores.classifiers import Classifiers
from twin.stores.files import FileStore, file_digest, folder_digest, open_files
from twin.stores.tracking import TrackingRun, tracking_run
from twin.training.classifiers.baselines import MAJORITY, WORDS, Classify, majority, words
from twin.training.classifiers.card import draw_confusion, render_card
from twin.training.classifiers.corpus import Splits, corpus_digest, read_corpus, split_corpus
from twin.training.classifiers.encoder import (
    classifier_trainer,
    encoder_folder,
    label_weights,
    load_encoder,
    longest_of,
    rows_of,
)
from twin.training.classifiers.measures import Judged, Scores, choose_threshold, scores_of
from twin.training.classifiers.report import CONFUSION, REPORT, ClassifierReport
from twin.training.classifiers.shares import difference_of
from twin.training.loop import Workshop, train
from twin.training.scratch import scratch_folder

TRAINER = "1"
"""Version of this code, part of a classifier's: raise it when the same inputs give another one."""

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class Task:
    """A classifier that is to be trained.

    Attributes:
        section: of the recipe.
        splits: its texts.
        labels: all of them, sorted.
        corpus: digest of the texts.
    """

    section: TextClassifierSection
    splits: Splits
    labels: tuple[str, ...]
    corpus: str

    @classmethod
    def of(cls, section: TextClassifierSection, seed: int) -> "Task":
        """The task of a section.

        Raises:
            BadDataError: as `read_corpus` and `split_corpus`; or an alarm is no label.
        """
        splits = split_corpus(read_corpus(section.corpus), section, seed)
        labels = tuple(sorted({each.label for each in splits[Split.TRAIN]}))
        if unknown := [each for each in section.alarms if each not in labels]:
            raise BadDataError(
                f"training.classifiers: {section.name} is to meet {unknown[0]!r}, which is no "
                f"label of {section.corpus}: it has {', '.join(labels)}"
            )
        if section.alarms and set(section.alarms) == set(labels):
            raise BadDataError(
                f"training.classifiers: all labels of {section.name} are alarms, so that there is "
                "nothing to tell them from"
            )
        return cls(section, splits, labels, corpus_digest(splits))


def fit_classifiers(job: Job, name: str | None = None, out: Path | None = None) -> None:
    """Train what is not trained, choose of each classifier the best, and offer it.

    Args:
        job: with recipe and settings.
        name: of the only classifier that is trained; None: all of the recipe.
        out: folder that the best one of ``name`` is written to as well.

    Raises:
        NothingToDo: all of them are there, and nothing was to be written.
        BadDataError: the recipe has none (of that name), a corpus or an encoder can't be used, or
            a training diverges.
        BadConfigurationError: ``out`` is there and is no classifier's folder.
        TryAgainError: a store did not answer, SIGTERM has come, or another job trains it.
    """
    files = open_files(job.settings)
    kept = Classifiers(files, job.recipe.name)
    trained = 0
    for section in chosen_sections(job, name):
        task = Task.of(section, job.recipe.training.seed)
        job.counts.read += sum(map(len, task.splits.values()))
        reports = []
        for encoder in section.encoders:
            report, is_new = _ensured(job, files, kept, task, encoder)
            reports.append(report)
            trained += is_new
        best = max(reports, key=lambda each: each.validation.macro_f1)
        _offer(job, kept, best, [each.version for each in reports])
        if out is not None:
            kept.write_to(section.name, best.version, out)
    if not trained and out is None:
        raise NothingToDo("every classifier of the recipe is trained already")


def chosen_sections(job: Job, name: str | None) -> Sequence[TextClassifierSection]:
    """The recipe's classifiers, or the one of a name.

    Raises:
        BadDataError: there is none.
    """
    sections = job.recipe.training.classifiers
    chosen = [each for each in sections if name in (None, each.name)]
    if not chosen:
        known = ", ".join(each.name for each in sections) or "none"
        raise BadDataError(
            f"recipe {job.recipe.name} has no classifier {name or 'at all'}: training.classifiers "
            f"has {known}"
        )
    return chosen


def _offer(job: Job, kept: Classifiers, best: ClassifierReport, compared: Sequence[str]) -> None:
    kept.offer(best.name, best.version, compared)
    job.result.ids[f"classifier {best.name}"] = best.version
    job.result.uris[f"classifier {best.name}"] = kept.uri(best.name, best.version)
    job.result.detail[best.name] = {
        "encoder": best.encoder,
        "weights_sha256": best.weights_sha256,
        "macro_f1": best.test.macro_f1,
        "baselines": {name: each.macro_f1 for name, each in best.baselines.items()},
    }


def _ensured(
    job: Job, files: FileStore, kept: Classifiers, task: Task, encoder: str
) -> tuple[ClassifierReport, bool]:
    """The report of an encoder that has learned the task, and whether it did so now."""
    folder = encoder_folder(encoder, job.settings)
    digest = folder_digest(folder)
    version = _version(job, task, digest)
    if kept.is_there(task.section.name, version):
        text = kept.read_text(task.section.name, version, REPORT)
        return ClassifierReport.model_validate_json(text), False
    name = f"classifier-{job.recipe.name}-{task.section.name}"
    with (
        scratch_folder(job.settings, name) as scratch,
        tracking_run(
            job.settings,
            experiment=job.recipe.name,
            name=f"classifier {task.section.name}",
            version=version,
            tags={"stage": "classifier", "run_id": job.run_id},
            key=version,
        ) as run,
    ):
        job.result.uris["mlflow_run"], job.result.ids["mlflow_run"] = run.url, run.id
        run.log_params({**_parameters(task), "encoder": encoder, "encoder_digest": digest[:12]})
        run.log_dataset(task.section.name, task.corpus, str(task.section.corpus), "training")
        place = kept.folder(task.section.name, version)
        workshop = Workshop(files, scratch, f"{place}-checkpoints")
        made, steps = _train(job, task, folder, workshop, run)
        report = _measured(job, task, made, Path(encoder).name, version, steps, digest)
        _write(report, made, run)
        run.flush()  # before it is published: after that, nobody would send them
        workshop.publish(made, place)
    job.counts.written += 1
    return report, True


def _train(
    job: Job, task: Task, encoder: Path, workshop: Workshop, run: TrackingRun
) -> tuple[Path, int]:
    """Train; returns the classifier's folder, and the steps that were taken."""
    section, recipe = task.section, job.recipe.training
    model, tokenizer = load_encoder(encoder, task.labels, job.settings, recipe.seed)
    most = longest_of(model, tokenizer, section.max_length)
    learned, held = (
        rows_of(task.splits[split], task.labels, tokenizer, most)
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    weights = None
    if section.class_weights:
        weights = label_weights(task.splits[Split.TRAIN], task.labels)
    trainer = classifier_trainer(
        (model, tokenizer), section, recipe, workshop.scratch / "trainer", (learned, held), weights
    )
    what = f"classifier {section.name} ({encoder.name})"
    train(trainer, job, run, workshop, what, kept=section.checkpoints_kept)
    folder = workshop.scratch / "classifier"
    trainer.model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, int(trainer.state.global_step)


def _measured(
    job: Job, task: Task, folder: Path, encoder: str, version: str, steps: int, digest: str
) -> ClassifierReport:
    """The report: by the very class that guardrails and gates judge with."""
    classifier = TextClassifier(folder)

    def judge(texts: Sequence[str]) -> Judged:
        return [classifier.probabilities(text) for text in texts]

    judges: dict[str, Classify] = {
        "": judge,
        MAJORITY: majority(task.splits, task.labels),
        WORDS: words(task.splits, job.recipe.training.seed),
    }
    scored = {name: _scored(task, each) for name, each in judges.items()}
    (validation, _), (test, hits) = scored[""]
    others = scored[WORDS][1][1]
    return ClassifierReport(
        name=task.section.name,
        version=version,
        encoder=encoder,
        encoder_digest=digest,
        corpus=task.section.corpus.name,
        corpus_digest=task.corpus,
        code_version=job.settings.code_version,
        labels=task.labels,
        alarms=task.section.alarms,
        texts={split.value: len(texts) for split, texts in task.splits.items()},
        steps=steps,
        weights_sha256=file_digest(folder / "model.safetensors"),
        validation=validation,
        test=test,
        baselines={name: scored[name][1][0] for name in (MAJORITY, WORDS)},
        gain=difference_of(hits, others, [each.group for each in task.splits[Split.TEST]]),
    )


Scored = tuple[Scores, list[bool]]


def _scored(task: Task, classify: Classify) -> tuple[Scored, Scored]:
    """Scores and right answers on validation and on test; the threshold is by validation."""
    section = task.section
    held = {split: task.splits[split] for split in (Split.VALIDATION, Split.TEST)}
    judged = {split: classify([each.text for each in texts]) for split, texts in held.items()}
    threshold = None
    if section.alarms:
        threshold = choose_threshold(
            held[Split.VALIDATION], judged[Split.VALIDATION], section.alarms, section.wrongly
        )

    def on(split: Split) -> Scored:
        texts = held[split]
        said = [max(each, key=each.__getitem__) for each in judged[split]]
        right = [a == text.label for a, text in zip(said, texts, strict=True)]
        return scores_of(texts, judged[split], task.labels, section.alarms, threshold), right

    return on(Split.VALIDATION), on(Split.TEST)


def _write(report: ClassifierReport, folder: Path, run: TrackingRun) -> None:
    """Card, report, plot and alarm into the folder; what people read into MLflow too."""
    if report.test.alarm is not None:
        KeptAlarm(labels=report.alarms, threshold=report.test.alarm.threshold).save(folder)
    (folder / REPORT).write_text(report.model_dump_json(indent=2), encoding="utf-8")
    (folder / "README.md").write_text(render_card(report), encoding="utf-8")
    (folder / CONFUSION).write_bytes(draw_confusion(report))
    for name in (REPORT, "README.md", CONFUSION):
        run.log_artifact(folder / name)
    run.log_metrics(report.metrics())


def _version(job: Job, task: Task, encoder: str) -> str:
    """SHA-256 (first 12 hex digits) of everything that shapes a classifier."""
    unimportant = {"encoders", "corpus", "logging_steps", "checkpoints_kept"}
    parts = (
        TRAINER,
        encoder,
        task.corpus,
        task.section.model_dump_json(exclude=unimportant),
        str(job.recipe.training.seed),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _parameters(task: Task) -> dict[str, object]:
    values = task.section.model_dump(mode="json", exclude={"encoders", "corpus"})
    return {"corpus": task.section.corpus.name, "corpus_digest": task.corpus, **values}
