"""Putting a report where machines and people find it: the file store and the MLflow run."""

import tempfile
from pathlib import Path

from twin.evaluation.answer_sheet import sheet_of
from twin.evaluation.examination import Findings
from twin.evaluation.gate import BASE
from twin.evaluation.plots import draw_plots
from twin.evaluation.question_scores import answered_questions
from twin.evaluation.report import (
    MARKDOWN_FILE,
    PAGE_FILE,
    EvaluationReport,
    report_folder,
)
from twin.evaluation.report_markdown import markdown
from twin.evaluation.report_page import render_report
from twin.evaluation.style_plot import draw_style
from twin.stores.files import FileStore
from twin.stores.kept_reports import REPORT_FILE, RUN_FOLDER, SHEET_FILE
from twin.stores.tracking import TrackingRun


def publish_report(
    report: EvaluationReport, findings: Findings, files: FileStore, run: TrackingRun
) -> str:
    """Render the report with its plots, log it to the run and publish it; returns its URI.

    A report that the version had before is replaced.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        scored = {role: findings.transcripts[role].scored for role in ("candidate", BASE)}
        plots = draw_plots(folder, report.figures, report.checks, scored)
        plots = (*plots, *draw_style(folder, report.style))
        whole = report.model_copy(update={"plots": plots})
        (folder / REPORT_FILE).write_text(whole.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (folder / MARKDOWN_FILE).write_text(markdown(whole), encoding="utf-8")
        images = {name: (folder / name).read_bytes() for name in plots}
        (folder / PAGE_FILE).write_text(render_report(whole, images), encoding="utf-8")
        sheet = sheet_of(report.lineage["dataset_version"], findings.held_out, findings.transcripts)
        (folder / SHEET_FILE).write_text(sheet.model_dump_json() + "\n", encoding="utf-8")
        run.log_metrics(whole.flat())
        for path in sorted(folder.iterdir()):
            run.log_artifact(path, RUN_FOLDER)
        run.log_questions(
            f"{report.model} {report.lineage['dataset_version']}",
            list(answered_questions(findings)),
        )
        uri = files.publish_folder(
            folder, report_folder(report.model, report.version), replace=True
        )
    return f"{uri}/{MARKDOWN_FILE}"
