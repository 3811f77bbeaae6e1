"""The job `twin evaluation decoding`: which settings of decoding a version should serve with."""

from rich.console import Group
from rich.table import Table

from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.evaluation.checks import signed
from twin.evaluation.decoding import (
    CHOICES,
    PRESENT,
    TIE,
    TOLD,
    Bench,
    Row,
    Study,
    questions_of,
    study,
)
from twin.evaluation.decoding_plot import draw_decoding
from twin.evaluation.figures_text import number, shown
from twin.evaluation.prompt_arms import PROMPTS
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.pages import page
from twin.stores.audit import note_action
from twin.stores.chosen_decoding import TAG, ChosenDecoding, decoding_of
from twin.stores.files import open_files
from twin.stores.registry import CANDIDATE, CHAMPION, ModelVersion, Registry
from twin.stores.sample_sets import SampleSets
from twin.stores.tracking import tracking_run

TEMPLATE = "decoding.html.jinja"
PAGE_FILE = "decoding.html"


def choose_decoding(
    job: Job, version: str | None, questions: int, *, prompts: bool = True, apply: bool = False
) -> None:
    """Compare settings, log table, plot and page to an MLflow run, and say what is suggested.

    Args:
        job: whose recipe names the model.
        version: its number; None means the champion, or where there is none the candidate.
        questions: of either split, at most.
        prompts: whether to try other prompts, too.
        apply: whether the version is served with what is suggested from its next rollout on.

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
    train = sets.instruct(dataset, Split.TRAIN) if prompts else []
    arms = len(CHOICES) + 1 + TOLD + (len(PROMPTS) if train else 0)
    with job.progress("writing", arms) as advance:
        bench = Bench(model, embedder, recipe, advance)
        found = study(bench, validation, test, recipe, train)
    run_url = _publish(job, chosen, found)
    if apply:
        _apply(job, chosen, found, run_url)
    job.counts.read = len(validation.samples) + len(test.samples)
    job.counts.written = 1
    job.console.print(terminal(found))


def terminal(found: Study) -> Group:
    """The table, and what comes of it."""
    table = Table(title="Settings and prompts, on validation questions", title_justify="left")
    heads = ("", "quality", "diversity", "broken", "tokens/s", "")
    for place, name in enumerate(heads):
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
        "" if row.servable else "another prompt" if row.kind == "prompt" else "not by this engine",
    ]


def conclusions(found: Study) -> list[str]:
    """What the study suggests, in sentences."""
    return [_choice(found), *_beyond(found)]


def _choice(found: Study) -> str:
    if found.best == PRESENT:
        return "nothing was better than what the recipe has now"
    gained = f"{found.best} gains {shown(found.gain, signed)} in quality on the test questions"
    if found.suggestion is None:
        return f"{gained}, which proves nothing: keep what the recipe has now"
    keys = ", ".join(f"{key}: {value:g}" for key, value in found.suggestion.items())
    return (
        f"{gained}; serve this version so with --apply, or every version: write into the recipe: "
        f"serving: {{{keys}}}"
    )


def _beyond(found: Study) -> list[str]:
    """What was better than the chosen one and can't be served."""
    best = next(row for row in found.validation if row.name == found.best)
    better = [
        row for row in found.validation
        if not row.servable and row.quality.value - best.quality.value > TIE
    ]  # fmt: skip
    why = {
        "decoding": "which the recipe's engine does not have",
        "prompt": "another prompt than the one that it was trained on: a reason to train with it",
    }
    return [
        f"{row.name} was better on the validation questions ({shown(row.quality, number)}), "
        f"{why[row.kind]}"
        for row in better
    ]


def _apply(job: Job, chosen: ModelVersion, found: Study, run_url: str) -> None:
    """Leave what is suggested on the version, where a rollout reads it; nothing unproved."""
    job.result.detail["applied"] = found.suggestion is not None
    if found.suggestion is None:
        job.console.print("nothing is applied: no gain is proved")
        return
    present = decoding_of(job.recipe.serving)
    tag = ChosenDecoding(settings=found.suggestion, instead_of=present, run=run_url)
    what = f"{chosen.name} version {chosen.version}"
    with Registry(job.settings) as registry:
        registry.tag(chosen.name, chosen.version, TAG, tag.model_dump_json())
    note_action(job.settings, "decoding chosen", what, job.run_id, {"settings": found.suggestion})
    job.console.print(
        f"{what} is served so from its next rollout on: run twin rollout start, or the DAG rollout"
    )


def _version(registry: Registry, name: str, version: str | None) -> ModelVersion:
    if version is not None:
        chosen = registry.version(name, version)
    else:
        chosen = registry.by_alias(name, CHAMPION) or registry.by_alias(name, CANDIDATE)
    if chosen is None:
        wanted = f"version {version}" if version else "version yet: run twin training package first"
        raise BadDataError(f"{name} has no {wanted}")
    return chosen


def _publish(job: Job, chosen: ModelVersion, found: Study) -> str:
    """Log table, plot and page; returns the run's URL."""
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
    return run.url
