"""`twin monitoring costs`: the figures from the stores."""

from datetime import UTC, datetime

from twin.domain.errors import BadDataError
from twin.monitoring.costs import Costs, by_step, mean_tokens, stored_by_folder
from twin.monitoring.run import experiment_of
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.stores.run_times import RunTimes
from twin.stores.sample_sets import SampleSets
from twin.stores.seen_answers import SeenAnswers
from twin.stores.warehouse import open_warehouse

SAMPLED = 600


def costs_of(settings: Settings, recipe: Recipe, month: str, now: datetime) -> Costs:
    """What a recipe's twin costs in a month.

    Args:
        settings: where the stores are.
        recipe: of the twin.
        month: as 2026-05, in UTC.
        now: a run that has not ended counts until then.

    Raises:
        BadDataError: not a month.
        TryAgainError: a store is away.
    """
    begin, end = month_of(month)
    files = open_files(settings)
    with RunTimes(settings) as times:
        names = (recipe.name, experiment_of(recipe.name))
        runs = [run for name in names for run in times.between(name, begin, end, now)]
    with open_warehouse(settings) as warehouse:
        answers = SeenAnswers(warehouse)
        sample = answers.sampled(recipe.model_name, begin, end, SAMPLED)
        count = answers.count(recipe.model_name, begin, end)
    manifest = SampleSets(files, recipe.name).find_latest()
    teacher = manifest.teacher if manifest else None
    rule = recipe.monitoring.rules.training
    return Costs(
        month=month,
        steps=by_step(runs),
        price=rule.budget.price if rule else 0.0,
        answers=count,
        tokens=mean_tokens(sample),
        teacher=(teacher.tokens, teacher.money) if teacher else (0, None),
        stored=stored_by_folder(files.listing(), recipe.name, recipe.model_name),
    )


def month_of(month: str) -> tuple[datetime, datetime]:
    """Beginning and end of a month.

    Raises:
        BadDataError: not written as 2026-05.
    """
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise BadDataError(f"{month!r} is no month: write it as 2026-05") from None
    years, months = divmod(begin.month, 12)
    return begin, begin.replace(year=begin.year + years, month=months + 1)
