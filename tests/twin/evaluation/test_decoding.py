"""The study of decoding: chosen on one set of questions, told on another, suggested if proved."""

import pytest

from tests.html_page import Page
from twin.domain.errors import BadDataError
from twin.domain.sample import Split
from twin.evaluation.decoding import (
    CHOICES,
    PRESENT,
    Bench,
    Decoding,
    Row,
    Study,
    questions_of,
    study,
)
from twin.evaluation.resampling import Estimate
from twin.evaluation.run_decoding import choose_decoding, conclusions
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.stores.mlflow_connection import mlflow_client


def row(name, quality, **settings):
    figure = Estimate(value=quality, low=quality - 0.1, high=quality + 0.1)
    return Row(
        name=name,
        settings=settings,
        quality=figure,
        diversity=figure,
        broken=0.0,
        tokens_per_second=10.0,
    )


def found(best, low):
    rows = (row("greedy", 0.6, temperature=0.0), row(PRESENT, 0.5, temperature=0.3))
    gain = Estimate(value=0.1, low=low, high=0.3)
    return Study(validation=rows, best=best, test=rows, gain=gain)


def test_only_a_proved_gain_is_suggested():
    assert found("greedy", 0.05).suggestion == {"temperature": 0.0}
    assert conclusions(found("greedy", 0.05))[0].endswith(
        "write into the recipe: serving: {temperature: 0}"
    )
    assert found("greedy", -0.05).suggestion is None
    assert "proves nothing: keep what the recipe has now" in conclusions(found("greedy", -0.05))[0]
    assert found(PRESENT, 0.05).suggestion is None
    assert conclusions(found(PRESENT, 0.0)) == ["nothing was better than what the recipe has now"]


def test_every_choice_is_something_that_serving_can_be_set_to(world):
    serving = world.recipe.serving
    for decoding in CHOICES.values():
        changed = type(serving).model_validate(serving.model_dump() | decoding.as_recipe)
        assert changed.temperature == decoding.temperature
        assert decoding.params(9, 1.1).min_p == changed.min_p


def test_a_setting_that_breaks_answers_is_not_chosen(world):
    """A model of hardly any training ends in loops: at a limit of nothing, greedy ones go."""
    model = load_language_model(world.weights["trained"], world.settings)
    embedder = load_embedder(world.recipe.features.embedder, world.settings)
    questions = {
        split: questions_of(
            [each for each in world.samples if each.split is split], split, world.recipe, 4
        )
        for split in (Split.VALIDATION, Split.TEST)
    }
    done = []
    bench = Bench(model, embedder, world.recipe, done.append)
    told = study(
        bench, questions[Split.VALIDATION], questions[Split.TEST], world.recipe.serving, 0.0
    )
    assert {each.name for each in told.validation} == {PRESENT, *CHOICES}
    qualities = [each.quality.value for each in told.validation]
    assert qualities == sorted(qualities, reverse=True)
    best = next(each for each in told.validation if each.name == told.best)
    assert best.broken == 0 or best.name == PRESENT
    assert [each.name for each in told.test] == list(dict.fromkeys((told.best, PRESENT)))
    assert told.gain.groups == 4
    assert len(done) == len(told.validation) + len(told.test)
    assert all(each.tokens_per_second > 0 for each in told.validation)
    again = bench.write("x", Decoding(temperature=0.7, top_k=40), questions[Split.TEST])
    same = bench.write("x", Decoding(temperature=0.7, top_k=40), questions[Split.TEST])
    assert again.row.quality == same.row.quality


def test_the_job_leaves_table_plot_and_page_in_a_run(world):
    with pytest.raises(BadDataError, match="has no version yet: run twin training package"):
        choose_decoding(world.job(), None, 2)
    world.package("trained")
    job = world.job()
    choose_decoding(job, None, 2)
    run_id = job.result.uris["mlflow_run"].rsplit("/", 1)[1]
    client = mlflow_client(world.settings)
    assert {item.path for item in client.list_artifacts(run_id)} >= {
        "decoding.html",
        "decoding.json",
    }
    path = client.download_artifacts(run_id, "decoding.html")
    page = Page(open(path, encoding="utf-8").read())  # noqa: PTH123, SIM115
    assert job.result.message in page.words
    assert "nucleus 0.9, hot" in page.words
    assert len(page.values("img", "src")) == 1
    assert job.result.detail["best"] in {PRESENT, *CHOICES}
