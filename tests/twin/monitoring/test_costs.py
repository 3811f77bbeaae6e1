"""What a twin costs."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.twin import twins
from tests.twin.answers import answer as given
from tests.twin.monitoring.seen import answer
from twin.domain.errors import BadDataError
from twin.domain.feedback import KeptAnswer
from twin.monitoring.costs import Costs, StepCost, by_step, mean_tokens, stored_by_folder
from twin.monitoring.show_costs import costs_of, month_of
from twin.stores.answer_records import AnswerRecords
from twin.stores.files import open_files
from twin.stores.run_times import RunTime
from twin.stores.stored_file import StoredFile
from twin.stores.tracking import tracking_run
from twin.stores.warehouse import open_warehouse


def test_runs_are_added_up_by_their_step():
    runs = [
        RunTime(step="sft", hours=2, gpus=4),
        RunTime(step="sft", hours=1, gpus=1),
        RunTime(step="look", hours=0.5),
    ]
    assert by_step(runs) == {"sft": StepCost(2, 3.0, 9.0), "look": StepCost(1, 0.5, 0.0)}


def test_money_is_gpu_hours_by_their_price_and_the_teachers_own_stands_apart():
    steps = {"sft": StepCost(1, 2, 8), "dpo": StepCost(1, 1, 1)}
    costs = Costs("2026-05", steps, price=3.0, answers=100, teacher=(5, 1.5))
    assert (costs.gpu_hours, costs.money) == (9, 27.0)
    lines = list(costs.lines())
    assert lines[1].split() == ["sft", "1", "2.00", "8.00", "24.00"]
    assert lines[3].split() == ["all", "2", "3.00", "9.00", "27.00"]
    assert "an answer's share of the month: 0.2700" in lines
    assert any("5 tokens for the newest samples, 1.50 by its prices" in line for line in lines)
    assert not any("share" in line for line in Costs("2026-05", {}).lines())


def test_storage_is_that_of_the_recipe_alone():
    def file(name, size):
        return StoredFile(name, name, size, "v")

    files = [
        file("datasets/tiny/v1/a", 3),
        file("datasets/tiny/latest.json", 2),
        file("datasets/tiny-two/v1/a", 50),
        file("models/twin-tiny/1/w", 7),
        file("monitoring/tiny.json", 1),
        file("monitoring/questions/tiny/q", 4),
        file("tiny", 90),
    ]
    assert stored_by_folder(files, "tiny", "twin-tiny") == {
        "datasets": 5, "models": 7, "monitoring": 5,
    }  # fmt: skip


def test_tokens_are_means():
    few = [answer("a", prompt_tokens=10), answer("b", prompt_tokens=20, completion_tokens=5)]
    assert mean_tokens(few) == (15, 4)
    assert mean_tokens([]) == (0, 0)


def test_a_month_ends_where_the_next_begins():
    assert month_of("2026-12") == (
        datetime(2026, 12, 1, tzinfo=UTC),
        datetime(2027, 1, 1, tzinfo=UTC),
    )
    assert month_of("2026-02")[1] == datetime(2026, 3, 1, tzinfo=UTC)
    for wrong in ("2026", "2026-13", "May"):
        with pytest.raises(BadDataError, match="write it as 2026-05"):
            month_of(wrong)


@pytest.mark.nightly
def test_the_figures_come_from_the_stores(stores_settings, mlflow_url, tmp_path):
    """`make test` adds up what is made up; this one reads it from a real MLflow and warehouse."""
    recipe = twins.write_recipe(tmp_path / "recipes")
    name = f"cost{tmp_path.name[-6:]}".replace("_", "")
    recipe = recipe.model_copy(update={"name": name})
    settings = stores_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url, "gpus": 2})
    with tracking_run(settings, experiment=name, name="sft", version="v1"):
        pass
    now = datetime.now(UTC)
    with open_warehouse(settings) as warehouse:
        made = given("a").model_copy(update={"model": f"twin-{name}"})
        kept = KeptAnswer(answer=made, created=now, expires=now + timedelta(days=1))
        AnswerRecords(warehouse).add([("c", kept)])
    open_files(settings).write_text(f"datasets/{name}/x", "12345")
    found = costs_of(settings, recipe, f"{now:%Y-%m}", now + timedelta(hours=1))
    assert found.steps["sft"].runs == 1
    assert found.steps["sft"].gpu_hours == pytest.approx(2 * found.steps["sft"].hours)
    assert (found.answers, found.tokens) == (1, (7.0, 3.0))
    assert found.stored == {"datasets": 5}
