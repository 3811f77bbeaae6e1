"""The job `twin evaluation decoding`: which settings of decoding a version should serve with."""

from rich.console import Group
from rich.table import Table

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.evaluation.decoding import (
    CHOICES,
    PRESENT,
    TOLD,
    Bench,
    Row,
    Study,
    questions_of,
    study,
)
from twin.evaluation.decoding_plot import draw_decoding
from twin.evaluation.report_markdown import number, shown, signed
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.pages import page
from twin.stores.files import open_files
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import tracking_run

TEMPLATE = "decoding.html.jinja"
PAGE_FILE = "decoding.html"


def choose_decoding(job: Job, version: str | None, questions: int) -> None:
    """Compare settings, log table, plot and page to an MLflow run, and say what is suggested.

    Args:
        job: whose recipe names the model.
        version: its number; None means the champion, or where there is none the candidate.
        questions: of either split, at most.

    Raises:
        BadDataError: there is no such version, or its data set is gone.
        TryAgainError: a store does not answer.
    """
    recipe = job.recipe
    with Registry(job.settings) as registry:
        chosen = _version(registry, recipe.model_name, version)
    sets = SampleSets(open_files(job.settings), recipe.name)
    dataset = chosen.tags.get("dataset_version", "")
    if not sets.is_published(dataset):
        raise BadDataError(f"data set {dataset} of version {chosen.version} is gone")
    validation, test = (
        questions_of(sets.instruct(dataset, split), split, recipe, questions)
        for split in (Split.VALIDATION, Split.TEST)
    )
    embedder = load_embedder(recipe.features.embedder, job.settings)
    model = load_language_model(whole_weights(chosen, job.settings), job.settings)
    limit = recipe.evaluation.gate.max_broken_share
    with job.progress("writing", len(CHOICES) + 1 + TOLD) as advance:
        bench = Bench(model, embedder, recipe, advance)
        found = study(bench, validation, test, recipe.serving, limit)
    _publish(job, chosen, found)
    job.counts.read = len(validation.samples) + len(test.samples)
    job.counts.written = 1
    job.console.print(terminal(found))


def terminal(found: Study) -> Group:
    """The table, and what comes of it."""
    table = Table(title="Settings, on validation questions", title_justify="left")
    for place, name in enumerate(("settings", "quality", "diversity", "broken", "tokens/s")):
        table.add_column(name, justify="left" if place == 0 else "right")
    for row in found.validation:
        table.add_row(*cells(row))
    return Group(table, *(f"- {line}" for line in conclusions(found)))


def cells(row: Row) -> list[str]:
    """A row of the table."""
    return [
        row.name,
        shown(row.quality, number),
        shown(row.diversity, number),
        f"{row.broken:.1%}",
        number(row.tokens_per_second),
    ]


def conclusions(found: Study) -> list[str]:
    """What the study suggests, in sentences."""
    if found.best == PRESENT:
        return ["nothing was better than what the recipe has now"]
    gained = f"{found.best} gains {shown(found.gain, signed)} in quality on the test questions"
    if found.suggestion is None:
        return [f"{gained}, which proves nothing: keep what the recipe has now"]
    keys = ", ".join(f"{key}: {value:g}" for key, value in found.suggestion.items())
    return [f"{gained}; write into the recipe: serving: {{{keys}}}"]


def _version(registry: Registry, name: str, version: str | None) -> ModelVersion:
    if version is not None:
        chosen = registry.version(name, version)
    else:
        chosen = registry.by_alias(name, CHAMPION) or registry.by_alias(name, CANDIDATE)
    if chosen is None:
        wanted = f"version {version}" if version else "version yet: run twin training package first"
        raise BadDataError(f"{name} has no {wanted}")
    return chosen


def _publish(job: Job, chosen: ModelVersion, found: Study) -> None:
    plot = draw_decoding(found.validation)
    html = page.render_page(
        "twin.evaluation",
        TEMPLATE,
        version=f"{chosen.name} version {chosen.version}",
        conclusions=conclusions(found),
        validation=[cells(row) for row in found.validation],
        test=[cells(row) for row in found.test],
        plot=page.embedded_image(plot),
    )
    with tracking_run(
        job.settings,
        experiment=job.recipe.name,
        name="decoding",
        version=chosen.version,
        tags={"model": chosen.name, "version": chosen.version},
    ) as run:
        run.log_text(html, PAGE_FILE)
        run.log_text(found.model_dump_json(indent=2), "decoding.json")
        run.log_metrics({"gain": found.gain.value})
    job.result.message = conclusions(found)[0]
    job.result.uris["mlflow_run"] = run.url
    job.result.uris["page"] = f"{run.url}/artifacts/{PAGE_FILE}"
    job.result.ids |= {"model": chosen.name, "version": chosen.version}
    job.result.detail |= {"best": found.best, "suggestion": found.suggestion}
