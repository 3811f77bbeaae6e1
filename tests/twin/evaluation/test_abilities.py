"""General abilities: tasks of lm-eval from local files, and what the gate makes of forgetting."""

import json
import shutil
from pathlib import Path

import pytest

from tests import tiny_model
from tests.html_page import Page
from twin.domain.errors import BadConfigurationError, BadDataError
from twin.evaluation import abilities
from twin.evaluation.abilities import AbilitiesReport, compare, measure_abilities
from twin.evaluation.contest import _contest
from twin.evaluation.evaluate import evaluate
from twin.evaluation.forgetting import forgetting_checks
from twin.evaluation.gate import Verdict
from twin.evaluation.harness import TaskScores, do_tasks, load_tasks, reach_harness
from twin.models.language_model import load_language_model
from twin.recipes import GateSection
from twin.recipes.abilities import AbilitiesSection
from twin.recipes.evaluation import EvaluationSection
from twin.stores.files import FileStore, folder_digest
from twin.stores.registry import ModelVersion

QUESTIONS = [
    {"question": "What runs in a pod?", "choices": ["every job", "a horse"], "answer": 0},
    {"question": "What is a revision?", "choices": ["a bird", "the hash of a text"], "answer": 1},
    {"question": "What does the model learn?", "choices": ["the voice", "the sea"], "answer": 0},
]
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}
test_split: test
output_type: {kind}
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: {target}
{more}
"""


@pytest.fixture(scope="session")
def lm_eval(root):
    """lm-eval, as `make abilities` installs it."""
    from twin.settings import Settings

    reach_harness(Settings(abilities_packages=root / ".venvs" / "abilities"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(tmp_path):
    """Tasks of one's own: one of choices, and one that is written freely."""
    place = tmp_path / "tasks"
    place.mkdir()
    choices = 'doc_to_choice: "{{choices}}"\nmetric_list: [{metric: acc}, {metric: acc_norm}]'
    free = (
        "generation_kwargs: {until: ['\\n'], max_gen_toks: 4, do_sample: false}\n"
        "metric_list: [{metric: exact_match}]"
    )
    for name, kind, target, more in (
        ("choose", "multiple_choice", "answer", choices),
        ("write", "generate_until", '"{{choices[answer]}}"', free),
    ):
        (place / f"{name}.yaml").write_text(
            TASK.format(name=name, kind=kind, target=target, more=more)
        )
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    return place


def section(folder, *tasks, **more):
    return AbilitiesSection(tasks=tasks, folder=folder, **more)


def scores(*right, task="choose", metric="acc"):
    return TaskScores(
        task=task,
        metric=metric,
        items=tuple(f"q{place}" for place in range(len(right))),
        scores=right,
    )


def report(before, after):
    return compare((scores(*before),), (scores(*after),))


def test_a_model_does_choices_and_free_answers_from_local_files(
    lm_eval, folder, tiny, settings, tmp_path
):
    model = load_language_model(tiny, settings, "tiny")
    asked = section(folder, "choose", "write")
    tasks = load_tasks(asked, tmp_path / "scratch")
    made = do_tasks(model, tasks, asked)
    assert [(each.task, each.metric, len(each.items)) for each in made] == [
        ("choose", "acc", 3),
        ("write", "exact_match", 3),
    ]
    assert len(set(made[0].items)) == 3
    assert made[0].items == made[1].items, "the same questions have the same digests"
    # By the model's own likelihoods of each choice, the likelier one is its answer.
    expected = []
    for each in QUESTIONS:
        prompt = model.tokenizer.encode(f"Question: {each['question']}\nAnswer:")
        ends = [
            model.tokenizer.encode(f"Question: {each['question']}\nAnswer: {choice}")[len(prompt) :]
            for choice in each["choices"]
        ]
        found = [nats for nats, _ in model.token_likelihoods([prompt] * 2, ends)]
        expected.append(float(found.index(max(found)) == each["answer"]))
    assert list(made[0].scores) == expected
    assert made[1].scores == (0.0, 0.0, 0.0)
    few = asked.model_copy(update={"limit": 2})
    assert do_tasks(model, tasks, few)[0].items == made[0].items[:2]


def test_likelihoods_are_those_of_lm_eval_itself(lm_eval, folder, tiny, settings):
    """Its own adapter, which scores all words everywhere, finds the same sums."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from twin.evaluation.harness import _adapter

    model = load_language_model(tiny, settings, "tiny")
    model.model.float()
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0)
        for pair in (("Why pods?", " Every job runs in a pod."), ("", "A pod"), ("Hi ", "there"))
    ]
    own = HFLM(pretrained=model.model, tokenizer=model.tokenizer, backend="causal")
    theirs = own.loglikelihood(requests, disable_tqdm=True)
    ours = _adapter(model).loglikelihood(requests)
    assert [nats for nats, _ in ours] == pytest.approx([nats for nats, _ in theirs], abs=1e-3)
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]


@pytest.mark.parametrize(
    ("tasks", "files", "said"),
    [
        (("nowhere",), {}, "no task nowhere: .* has choose, write, and lm-eval brings no such one"),
        (("choose",), {"choose.jsonl": "{"}, "choose can't be read: "),
        (("choose",), {"choose.jsonl": None}, "choose can't be read: "),
    ],
)
def test_tasks_that_are_no_tasks_are_named(
    lm_eval, folder, tmp_path, monkeypatch, tasks, files, said
):
    # lm-eval's own tasks are many thousands, and not what is tested here.
    import lm_eval.tasks.manager

    monkeypatch.setattr(lm_eval.tasks.manager, "__file__", str(tmp_path / "none" / "manager.py"))
    for name, text in files.items():
        (folder / name).unlink()
        if text is not None:
            (folder / name).write_text(text)
    with pytest.raises(BadDataError, match=said):
        load_tasks(section(folder, *tasks), tmp_path / "scratch")


def test_a_metric_that_is_no_score_of_a_question_is_refused(
    lm_eval, folder, tiny, settings, tmp_path
):
    text = (folder / "choose.yaml").read_text()
    (folder / "choose.yaml").write_text(text.replace("{metric: acc}, {metric: acc_norm}",
                                                     "{metric: f1}"))  # fmt: skip
    asked = section(folder, "choose")
    model = load_language_model(tiny, settings, "tiny")
    with pytest.raises(BadDataError, match="first metric of choose, f1, is no score from 0 to 1"):
        do_tasks(model, load_tasks(asked, tmp_path), asked)


def test_without_lm_eval_it_says_what_to_do(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("twin.evaluation.harness.PACKAGE", "no_such_harness")
    bare = settings.model_copy(update={"abilities_packages": tmp_path})
    with pytest.raises(BadConfigurationError, match="run `make abilities`, set TWIN_ABILITIES"):
        reach_harness(bare)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"folder": "x"}, "folder without tasks"),
        ({"tasks": ["a", "a"]}, "named twice"),
        ({"tasks": ["a"], "few_shot": -1}, "greater than or equal to 0"),
        ({"tasks": ["a"], "limit": 0}, "greater than 0"),
    ],
)
def test_a_section_that_can_not_be_meant_is_refused(fields, said):
    with pytest.raises(ValueError, match=said):
        AbilitiesSection.model_validate(fields)


def test_the_gain_is_paired_over_questions():
    found = report((1, 1, 0, 0, 1, 0), (1, 0, 1, 0, 1, 1))
    assert (found.whole.base.value, found.whole.candidate.value) == (0.5, pytest.approx(2 / 3))
    assert found.whole.gain.value == pytest.approx(1 / 6)
    assert found.whole.gain.groups == found.whole.questions == 6
    # Of the six differences the mean is 1/6 and the standard error that of a mean.
    differences = [0, -1, 1, 0, 0, 1]
    spread = sum((each - 1 / 6) ** 2 for each in differences) / 5
    assert found.whole.gain.error == pytest.approx((spread / 6) ** 0.5)
    assert found.tasks[0].task == "choose"
    two = compare(
        (scores(1, 1), scores(0, task="write", metric="exact_match")),
        (scores(1, 0), scores(1, task="write", metric="exact_match")),
    )
    assert [each.gain.value for each in two.tasks] == [-0.5, 1.0]
    assert two.whole.gain.value == 0.0
    assert (two.whole.questions, two.whole.metric) == (3, "acc, exact_match")
    assert two.flat() == {
        "gain_over_base.abilities": 0.0,
        "base.ability_choose": 1.0,
        "candidate.ability_choose": 0.5,
        "base.ability_write": 0.0,
        "candidate.ability_write": 1.0,
    }
    with pytest.raises(BadDataError, match="not asked the same questions"):
        compare((scores(1, 1),), (scores(1),))
    with pytest.raises(BadDataError, match="not asked the same questions"):
        compare((scores(1),), (scores(1, metric="exact_match"),))


def checked(low, value, high, limit=0.1):
    found = report((1, 1, 0, 0), (1, 0, 1, 0))
    gain = found.whole.gain.model_copy(update={"value": value, "low": low, "high": high})
    whole = found.whole.model_copy(update={"gain": gain})
    (check,) = forgetting_checks(
        AbilitiesReport(tasks=found.tasks, whole=whole), GateSection(max_forgetting=limit)
    )
    return check


@pytest.mark.parametrize(
    ("low", "value", "high", "passed", "otherwise"),
    [
        (-0.1, 0.0, 0.1, True, Verdict.HOLD),
        (-0.11, 0.0, 0.1, False, Verdict.HOLD),
        (-0.3, -0.2, -0.1, False, Verdict.HOLD),
        (-0.3, -0.2, -0.11, False, Verdict.REJECT),
    ],
)
def test_what_may_be_forgotten_has_a_limit(low, value, high, passed, otherwise):
    check = checked(low, value, high)
    assert (check.passed, check.otherwise) == (passed, otherwise)
    assert (check.measured, check.low, check.high, check.threshold) == (value, low, high, -0.1)
    assert (
        "of 4 general questions the candidate answers 50.0% rightly, the base 50.0%" in check.text
    )
    assert check.text.endswith("at least -0.100: passed" if passed else "at least -0.100: FAILED")


def test_no_limit_and_no_tasks_are_no_check():
    found = report((1, 0), (0, 0))
    assert forgetting_checks(found, GateSection(max_forgetting=1)) == ()
    assert forgetting_checks(None, GateSection()) == ()


def test_the_tasks_are_part_of_the_contest(unmeasured, folder, tmp_path):
    world = unmeasured

    def key(asked):
        evaluation = world.recipe.evaluation.model_copy(update={"abilities": asked})
        recipe = world.recipe.model_copy(update={"evaluation": evaluation})
        version = ModelVersion(recipe.model_name, "1", "u", "d", "r", {"dataset_version": "d1"})
        return _contest(version, None, None, recipe).key

    without, before = key(AbilitiesSection()), key(section(folder, "choose"))
    assert len({without, before, key(section(folder, "write"))}) == 3
    elsewhere = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, elsewhere)
    assert key(section(elsewhere, "choose")) == before, "where it lies changes nothing"
    (folder / "choose.jsonl").write_text(json.dumps(QUESTIONS[0]))
    assert key(section(folder, "choose")) != before


def with_tasks(job, folder, *tasks, limit=1.0):
    gate = job.recipe.evaluation.gate.model_copy(update={"max_forgetting": limit})
    evaluation = EvaluationSection.model_validate(
        {**job.recipe.evaluation.model_dump(), "abilities": section(folder, *tasks), "gate": gate}
    )
    job.recipe = job.recipe.model_copy(update={"evaluation": evaluation})
    return job


def test_scores_are_kept_by_weights_and_tasks(lm_eval, world, folder, monkeypatch):
    job = with_tasks(world.job(), folder, "choose")
    job.settings = job.settings.model_copy(update={"abilities_packages": Path("nowhere")})
    files = FileStore(str(folder.parent / "files"))
    loaded = []

    def weights(which):
        def get():
            loaded.append(which)
            return world.weights[which]

        return folder_digest(world.weights[which]), get

    both = {"base": weights("base"), "candidate": weights("trained")}
    found = measure_abilities(job, both, files)
    assert found.whole.questions == 3
    assert sorted(loaded) == ["base", "trained"]
    assert measure_abilities(job, both, files) == found
    assert len(loaded) == 2
    (folder / "choose.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS[:2])))
    assert measure_abilities(job, both, files).whole.questions == 2
    assert len(loaded) == 4
    for path in (folder.parent / "files" / abilities.FOLDER).iterdir():
        path.write_text("{")
    assert measure_abilities(job, both, files).whole.questions == 2
    assert len(loaded) == 6, "what can't be read is made again"
    assert measure_abilities(with_tasks(world.job(), None), both, files) is None
    with pytest.raises(BadDataError, match="gone is no folder"):
        measure_abilities(with_tasks(world.job(), folder / "gone", "choose"), both, files)


def test_an_evaluation_asks_and_judges_by_it(lm_eval, world, folder):
    """A damaged model is measured beside its base, and the report has both."""
    world.package("trained")
    job = with_tasks(world.job(), folder, "choose", limit=0.0)
    evaluate(job)
    made = world.report("1")
    assert made.abilities.whole.questions == 3
    (check,) = (each for each in made.checks if each.name == "general abilities against base")
    assert check.measured == made.abilities.whole.gain.value
    assert check.text in job.result.detail["checks"]
    assert "gain_over_base.abilities" in job.result.detail["figures"]
    folder_of = Path(world.settings.files_root) / "reports" / world.recipe.model_name / "1"
    assert "## General abilities" in (folder_of / "report.md").read_text()
    words = Page((folder_of / "report.html").read_text()).words
    assert "Abilities" in words
