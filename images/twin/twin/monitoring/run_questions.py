"""`twin monitoring questions`: what readers ask and are not answered well."""

import typing
from datetime import UTC, datetime, timedelta

from twin.domain.errors import NothingToDo
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.monitoring.canaries import questions_of
from twin.monitoring.failing_questions import groups
from twin.monitoring.questions_report import as_markdown, as_page, as_proposals
from twin.stores.files import open_files
from twin.stores.question_reports import QUESTIONS, remove_report, write_report
from twin.stores.seen_answers import SeenAnswers
from twin.stores.warehouse import open_warehouse
from twin.text.personal_data import PersonalDataDetector, PersonalDataKind, redacted

#: All of it, whatever a recipe keeps in samples and traces: the page is to be passed on.
KINDS = typing.get_args(PersonalDataKind)

PAGE = "questions.html"


def report_questions(job: Job) -> None:
    """Group the failed questions of the recipe's twin, and write the report.

    The report of the last time goes first: where there is nothing to say now, nothing stands.

    Raises:
        NothingToDo: too few answers have failed to say anything.
        TryAgainError: the warehouse or the file store is away.
    """
    recipe, now = job.recipe, datetime.now(UTC)
    section = recipe.monitoring.questions
    files = open_files(job.settings)
    remove_report(files, recipe.name, QUESTIONS)
    own = {each.question for each in questions_of(job.settings, recipe)}
    own.add(recipe.serving.probe_question)
    with open_warehouse(job.settings) as warehouse:
        answers = SeenAnswers(warehouse)
        answers.prepare()
        since = now - timedelta(days=section.days)
        failed = answers.failed(recipe.model_name, since, section.most)
    failed = [each for each in failed if each.question not in own]
    job.counts.read = len(failed)
    if len(failed) < section.least_questions:
        raise NothingToDo(
            f"{len(failed)} answers of {section.days} days have failed, "
            f"{section.least_questions} are needed for a group"
        )
    detector = PersonalDataDetector(recipe.datasets.personal_data.names, recipe.author.name)
    embedder = load_embedder(recipe.features.embedder, job.settings)
    found = groups(
        failed,
        embedder.encode_questions([each.question for each in failed]),
        lambda text: redacted(text, detector, KINDS)[0],
        section,
    )
    who, days = recipe.author.name, section.days
    job.result.uris |= write_report(
        files,
        recipe.name,
        {
            PAGE: as_page(found, who, days, now),
            "questions.md": as_markdown(found, who, days, now),
            "proposed.yaml": as_proposals(found),
        },
    )
    grouped = sum(each.questions for each in found)
    job.counts.written, job.counts.skipped = len(found), len(failed) - grouped
    job.result.detail["not written yet"] = sum(each.is_unwritten for each in found)
    job.console.print(
        f"{len(found)} groups hold {grouped} of {len(failed)} failed questions: "
        f"{job.result.uris[PAGE]}",
        soft_wrap=True,
    )
