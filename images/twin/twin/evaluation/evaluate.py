"""The job `twin evaluation run`: measure, judge, report, and promote if all is well."""

from datetime import UTC, datetime

from twin.domain.errors import TryAgainError, TwinError
from twin.evaluation.approval_text import evidence
from twin.evaluation.checks import Verdict
from twin.evaluation.contest import (
    AGAINST,
    ASKED,
    ASKED_BY,
    EVALUATION,
    GATE,
    HOLD,
    PAGE,
    REPORT,
    RUN,
    Contest,
    find_contest,
)
from twin.evaluation.examination import Findings, examine
from twin.evaluation.material import Material, gather
from twin.evaluation.publication import publish_report
from twin.evaluation.report import (
    Decision,
    DocumentGroup,
    EvaluationReport,
    TitledDocument,
    has_report,
    read_report,
)
from twin.evaluation.report_markdown import terminal, verdict
from twin.job import Job
from twin.stores.audit import note_action
from twin.stores.files import open_files
from twin.stores.registry import CHAMPION, TRIAL, Registry
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import TrackingRun, tracking_run

#: Tags of a version that explain it, as far as they are there.
LINEAGE = ("base_model", "base_digest", "dataset_version", "recipe_digest", "code_version", TRIAL)


def evaluate(job: Job, *, again: bool = False) -> None:
    """Measure the recipe's candidate and promote it if the gate lets it pass.

    A candidate that is held or rejected is no failure of the job: the result says
    ``promoted: false`` and why. One that was trained with other values than the recipe's (`TRIAL`)
    is left for a person to promote.

    One that only waits for a person's word is told of once more, from its kept report.

    Raises:
        NothingToDo: this candidate has been measured against this champion already.
        BadDataError: no candidate, no test samples, or no index.
        TryAgainError: a store does not answer, or the champion changed meanwhile.
    """
    with Registry(job.settings) as registry:
        contest = find_contest(registry, job.recipe, run_id=job.run_id, again=again)
        report, uri = _kept(job, contest) or _judge(job, contest, registry)
        tags = {EVALUATION: contest.key}
        if report.decision is Decision.AWAITING_APPROVAL:
            tags = {ASKED: datetime.now(UTC).isoformat(), ASKED_BY: job.run_id, **tags}
        # The key last, so that a job killed before this is done again.
        for tag, value in tags.items():
            registry.tag(contest.candidate.name, contest.candidate.version, tag, value)
    _tell(job, contest, report, uri)


def _kept(job: Job, contest: Contest) -> tuple[EvaluationReport, str] | None:
    """The report, and its URI, of a candidate that was measured; None if it must be (again)."""
    files, candidate = open_files(job.settings), contest.candidate
    if not contest.measured or not has_report(files, candidate.name, candidate.version):
        return None
    report = read_report(files, candidate.name, candidate.version)
    # A later measurement that was killed may have left its own report.
    if report.decision is not Decision.AWAITING_APPROVAL:
        return None
    if report.lineage["champion"] != contest.against:
        return None
    job.result.uris["mlflow_run"] = report.mlflow_run
    job.result.ids["mlflow_run"] = report.mlflow_run.rsplit("/", 1)[-1]
    return report, candidate.tags[REPORT]


def _judge(job: Job, contest: Contest, registry: Registry) -> tuple[EvaluationReport, str]:
    """Measure, record the verdict, and promote if it says so; the report and its URI."""
    with tracking_run(
        job.settings,
        experiment=job.recipe.name,
        name="evaluation",
        version=contest.candidate.version,
        tags={"model": contest.candidate.name, "version": contest.candidate.version},
        key=contest.key,
    ) as run:
        job.result.uris["mlflow_run"] = run.url
        job.result.ids["mlflow_run"] = run.id
        report, uri = _measure(job, contest, registry, run)
    _record(registry, contest, report, uri)
    if report.decision is Decision.PROMOTED:
        _promote(registry, contest)
        what = f"{contest.candidate.name} version {contest.candidate.version}"
        detail = {"before": contest.against, "by": "the gate"}
        note_action(job.settings, "promoted", what, job.run_id, detail)
    return report, uri


def _measure(
    job: Job, contest: Contest, registry: Registry, run: TrackingRun
) -> tuple[EvaluationReport, str]:
    files = open_files(job.settings)
    section = job.recipe.evaluation
    run.log_params({"dataset_version": contest.dataset_version, "champion": contest.against})
    samples = SampleSets(files, job.recipe.name)
    version = contest.dataset_version
    run.log_dataset(job.recipe.name, version, samples.uri(version), "evaluation")
    run.log_params(section.model_dump(exclude={"gate"}))
    run.log_params({f"gate.{key}": value for key, value in section.gate.model_dump().items()})
    material = gather(contest, samples)
    findings = examine(job, contest, material, files)
    job.counts.read = len(findings.held_out.samples)
    report = _report(job, contest, material, findings, run)
    try:
        uri = publish_report(report, findings, files, run)
    except (TwinError, OSError) as error:
        _record_unreported(registry, contest, report.verdict, str(error))
        raise
    run.set_tags({"verdict": report.verdict, "decision": report.decision})
    job.counts.written = 1
    return report, uri


def _report(
    job: Job, contest: Contest, material: Material, findings: Findings, run: TrackingRun
) -> EvaluationReport:
    candidate, judgement = contest.candidate, findings.judgement
    decision = _decide(judgement.verdict, contest, job)
    lineage = {key: candidate.tags[key] for key in LINEAGE if key in candidate.tags}
    return EvaluationReport(
        created=datetime.now(UTC),
        model=candidate.name,
        version=candidate.version,
        verdict=judgement.verdict,
        decision=decision,
        promoted=decision is Decision.PROMOTED,
        reasons=judgement.reasons,
        samples=len(findings.held_out.samples),
        documents=len({sample.document_id for sample in findings.held_out.samples}),
        groups=_groups(findings),
        power=judgement.power,
        proof=material.proof,
        new_documents=material.new_documents,
        figures=findings.figures,
        retrieval=findings.retrieval,
        judge=findings.judged,
        judged_grounding=findings.judged_grounding,
        abilities=findings.abilities,
        style=findings.style,
        answered_by=findings.answered_by,
        apart=findings.apart,
        speed=dict(findings.speed),
        memorised=findings.memorised,
        checks=judgement.checks,
        side_by_side=findings.side_by_side,
        lineage={
            "weights": candidate.weights_uri,
            "weights_digest": candidate.weights_digest,
            "training_run": candidate.run_id,
            "champion": contest.against,
            **({"reference": contest.reference.version} if contest.reference else {}),
            **lineage,
            "evaluation_code": job.settings.code_version,
        },
        mlflow_run=run.url,
    )


def _decide(verdict: Verdict, contest: Contest, job: Job) -> Decision:
    """What becomes of the candidate: the verdict, and whose word is wanted besides."""
    if verdict is Verdict.REJECT:
        return Decision.REJECTED
    trial = TRIAL in contest.candidate.tags
    if job.recipe.evaluation.gate.require_approval and not trial:
        return Decision.AWAITING_APPROVAL
    if verdict is Verdict.HOLD:
        return Decision.HELD
    return Decision.TRIAL if trial else Decision.PROMOTED


def _groups(findings: Findings) -> tuple[DocumentGroup, ...]:
    """The document groups, by the titles of their documents."""
    held_out = findings.held_out
    titles: dict[str, dict[str, str]] = {}
    for sample, group in zip(held_out.samples, held_out.groups, strict=True):
        titles.setdefault(group, {})[sample.document_id] = sample.title
    return tuple(
        DocumentGroup(
            documents=tuple(
                TitledDocument(document=id_, title=title) for id_, title in found.items()
            ),
            samples=held_out.groups.count(group),
        )
        for group, found in sorted(titles.items())
    )


def _record(registry: Registry, contest: Contest, report: EvaluationReport, uri: str) -> None:
    """Write the verdict on the version, where the registry's UI and `promote` see it."""
    tags = {
        GATE: str(report.verdict),
        AGAINST: contest.against,
        REPORT: uri,
        RUN: report.mlflow_run,
        PAGE: report.page_url,
    }
    for key, value in tags.items():
        registry.tag(contest.candidate.name, contest.candidate.version, key, value)
    registry.describe(contest.candidate, verdict(report))


def _record_unreported(registry: Registry, contest: Contest, verdict: Verdict, reason: str) -> None:
    """Write on the version that its report can't be written: without one nothing is promoted."""
    candidate = contest.candidate
    said = str(verdict) if verdict is Verdict.REJECT else HOLD
    for key, value in {GATE: said, AGAINST: contest.against}.items():
        registry.tag(candidate.name, candidate.version, key, value)
    registry.describe(candidate, f"**Evaluated**: {said}\n- the report can't be written: {reason}")


def _promote(registry: Registry, contest: Contest) -> None:
    name = contest.candidate.name
    now = registry.by_alias(name, CHAMPION)
    if (now.version if now else "none") != contest.against:
        raise TryAgainError(
            f"the champion of {name} changed while its candidate was measured: "
            "it must be measured against the new one"
        )
    registry.promote(name, contest.candidate.version)


def _tell(job: Job, contest: Contest, report: EvaluationReport, uri: str) -> None:
    """What the job leaves for whoever started it."""
    job.console.print(terminal(report))
    job.result.message = f"{report.decision}: {report.reasons[0]}"
    job.result.ids |= {
        "model": report.model,
        "version": report.version,
        "champion": contest.against,
        "dataset_version": contest.dataset_version,
    }
    job.result.uris["report"] = uri
    job.result.detail |= {
        "promoted": report.promoted,
        "verdict": str(report.verdict),
        "decision": str(report.decision),
        "page": report.page_url,
        "reasons": list(report.reasons),
        "checks": [check.text for check in report.checks],
        "evidence": evidence(report),
        "figures": {key: round(value, 4) for key, value in report.flat().items()},
    }
