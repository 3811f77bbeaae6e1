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
    chosen,
    questions_of,
    study,
)
from twin.evaluation.prompt_arms import PROMPTS
from twin.evaluation.resampling import Estimate
from twin.evaluation.run_decoding import choose_decoding, conclusions
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.recipes import ServingSection
from twin.stores.chosen_decoding import KEYS, TAG, ChosenDecoding, decoding_of
from twin.stores.mlflow_connection import mlflow_client
from twin.stores.serve_config import recipe_of, served_version


def row(name, quality, broken=0.0, speed=10.0, kind="decoding", servable=True, **settings):
    figure = Estimate(value=quality, low=quality - 0.1, high=quality + 0.1)
    return Row(
        name=name,
        kind=kind,
        servable=servable,
        settings=settings,
        quality=figure,
        diversity=figure,
        broken=broken,
        tokens_per_second=speed,
    )


def found(best, low, *more):
    rows = (
        row("greedy", 0.6, temperature=0.0),
        row("nucleus 0.9", 0.6, temperature=0.7),
        row(PRESENT, 0.5, temperature=0.3),
        *more,
    )
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


def test_what_is_better_and_can_not_be_served_is_said():
    beams = row("4 beams", 0.7, servable=False)
    prompt = row("thinking aloud", 0.65, kind="prompt", servable=False)
    equal = row("bare prompt", 0.604, kind="prompt", servable=False)
    _, *beyond = conclusions(found("greedy", 0.05, beams, prompt, equal))
    assert [line.split(" was better")[0] for line in beyond] == ["4 beams", "thinking aloud"]
    assert beyond[0].endswith("which the recipe's engine does not have")
    assert beyond[1].endswith("a reason to train with it")


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([row("a", 0.5), row("b", 0.51)], "b"),
        ([row("a", 0.5), row("b", 0.51, broken=0.26)], "a"),
        ([row("a", 0.5), row("b", 0.51, broken=0.25)], "b"),
        ([row(PRESENT, 0.5, broken=1.0), row("b", 0.4)], PRESENT),
        ([row("a", 0.5), row("b", 0.9, servable=False)], "a"),
        # Equally good: the faster one, unless it is hardly faster.
        ([row("a", 0.5, speed=20), row("b", 0.504)], "a"),
        ([row("a", 0.5, speed=20), row("b", 0.506)], "b"),
        ([row("a", 0.5, speed=11), row("b", 0.504)], "b"),
    ],
)
def test_quality_comes_first_and_then_speed(rows, name):
    assert chosen(rows, 0.25).name == name
    assert chosen(rows[::-1], 0.25).name == name


def test_every_choice_is_something_that_serving_can_be_set_to():
    serving = ServingSection(engine="llama.cpp")
    assert [name for name, each in CHOICES.items() if not each.is_servable(serving)] == ["4 beams"]
    serving = serving.model_copy(update={"engine": "transformers"})
    for decoding in CHOICES.values():
        assert decoding.is_servable(serving)
        changed = type(serving).model_validate(serving.model_dump() | decoding.as_recipe)
        assert changed.temperature == decoding.temperature
        params = decoding.params(9, 1.1)
        for key in KEYS:
            assert getattr(params, key) == getattr(changed, key) == decoding.as_recipe[key]
        assert (params.max_new_tokens, params.repetition_penalty) == (9, 1.1)


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
    gate = world.recipe.evaluation.gate.model_copy(update={"max_broken_share": 0.0})
    evaluation = world.recipe.evaluation.model_copy(update={"gate": gate, "max_new_tokens": 12})
    serving = ServingSection(engine="llama.cpp")
    recipe = world.recipe.model_copy(update={"evaluation": evaluation, "serving": serving})
    bench = Bench(model, embedder, recipe, done.append)
    train = [each for each in world.samples if each.split is Split.TRAIN]
    told = study(bench, questions[Split.VALIDATION], questions[Split.TEST], recipe, train)
    assert {each.name for each in told.validation} == {PRESENT, *CHOICES, *PROMPTS}
    kinds = {each.name: (each.kind, each.servable) for each in told.validation}
    assert {kinds[name] for name in PROMPTS} == {("prompt", False)}
    assert kinds["4 beams"] == ("decoding", False)
    assert kinds["greedy"] == ("decoding", True)
    assert told.best not in {*PROMPTS, "4 beams"}
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
    assert "thinking aloud" in page.words
    assert len(page.values("img", "src")) == 1
    assert job.result.detail["best"] in {PRESENT, *CHOICES}


def test_what_is_proved_is_served_from_the_next_rollout_on(world, monkeypatch):
    """The study itself takes a minute; what comes of it does not depend on how it was found."""
    studies = [found("nucleus 0.9", -0.05), found("nucleus 0.9", 0.05)]
    monkeypatch.setattr("twin.evaluation.run_decoding.study", lambda *_: studies.pop(0))
    world.package("trained")
    job = world.job()
    choose_decoding(job, "1", 2, apply=True)
    assert TAG not in world.version("1").tags, "nothing unproved is applied"
    assert job.result.detail["applied"] is False
    job = world.job()
    choose_decoding(job, "1", 2, apply=True)
    assert job.result.detail["applied"] is True
    version = world.version("1")
    applied = ChosenDecoding.model_validate_json(version.tags[TAG])
    assert applied.settings == {"temperature": 0.7}
    assert applied.instead_of == decoding_of(world.recipe.serving)
    assert applied.run == job.result.uris["mlflow_run"]
    assert world.recipe.serving.temperature == 0
    served = recipe_of(served_version(version, world.recipe))
    assert served.serving.temperature == 0.7
    assert served.serving.top_p == world.recipe.serving.top_p
