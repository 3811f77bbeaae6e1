"""Guardrails on attacks that nothing was fitted to: rules, a linear head, a fine-tuned encoder.

Everything is fitted to the half of the attacks that rules are made on; thresholds are chosen on a
part of it (validation). The reported half and what was written in other words (`kept`) are only
reported on, with 95 % intervals by family of attack. `make bench-guardrails` prints the table and
leaves it in build/bench-guardrails.
"""

import json

import pytest
import yaml

from tests import servers
from tests.conftest import ROOT
from tests.twin import corpora
from tests.twin.rag.test_guardrails import gets_in
from tests.twin.text.attacks import DEVELOPMENT, REPORT, attacks, half_of, harmless, training_texts
from twin.domain.result import JobResult
from twin.domain.sample import Split
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.models.text_classifier import TextClassifier
from twin.rag.guardrail_head import HeadClassifier, train_head
from twin.rag.guardrails import Guardrails
from twin.rag.text_classifiers import ClassifierRail
from twin.recipes import TextClassifierSection
from twin.recipes.guardrails import ClassifierSection, GuardrailsSection
from twin.settings import Settings
from twin.training.classifiers.fit import Task, fit_classifiers
from twin.training.classifiers.measures import choose_threshold
from twin.training.classifiers.shares import share_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(6_000)]

OUTPUT = ROOT / "build" / "bench-guardrails"
EMBEDDER = "all-minilm-l6-v2"
ATTACK, HARMLESS = "INJECTION", "HARMLESS"
WRONGLY = 0.005
#: Shares of harmless validation texts that thresholds may meet; each is reported on.
SHARES = (WRONGLY, 0.02, 0.05)


def questions():
    return [each["question"] for each in yaml.safe_load(
        (ROOT / "include" / "handbook-questions.yaml").read_text("utf-8")
    )]  # fmt: skip


def family(attack):
    return attack.packed or f"{attack.kind}, {attack.harm}"


def corpus_rows():
    """The development half is free to be split by text; the reported half is the test."""
    for each in attacks():
        if not each.packed:
            split = {} if each.half == DEVELOPMENT else {"split": "test"}
            yield {"text": each.text, "label": ATTACK, **split}
    asked = [(text, half_of(text)) for text in questions()]
    for text, half in [*((each.text, each.half) for each in harmless()), *asked]:
        split = {} if half == DEVELOPMENT else {"split": "test"}
        yield {"text": text, "label": HARMLESS, **split}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guardrails")
    rows = {row["text"]: row for row in corpus_rows()}
    (folder / "orders.jsonl").write_text("\n".join(map(json.dumps, rows.values())))
    with servers.mlflow_server(folder) as url:
        settings = Settings(home=folder / "home", mlflow_tracking_uri=url, threads=1)
        recipe = corpora.write_recipe(folder / "recipes", folder)
        section = TextClassifierSection(
            name="orders", corpus=folder / "orders.jsonl", encoders=(EMBEDDER,), alarms=(ATTACK,),
            wrongly=WRONGLY, max_length=128, epochs=6, save_steps=15,
            validation_share=1 / 3,  # a threshold wants many harmless texts
        )  # fmt: skip
        training = recipe.training.model_copy(update={"classifiers": (section,)})
        made = recipe.model_copy(update={"training": training})
        yield Job(made, settings, "bench", JobResult(job="fit", recipe="ann", run_id="bench"))


def rails(model, threshold=0.5):
    section = ClassifierSection(name="orders", model=".", labels=(ATTACK,), threshold=threshold)
    return Guardrails(GuardrailsSection(classifiers=(section,)), [ClassifierRail(section, model)])


def by_share(job, model):
    """The encoder's rails by thresholds that validation chooses for each share."""
    task = Task.of(job.recipe.training.classifiers[0], job.recipe.training.seed)
    held = task.splits[Split.VALIDATION]
    judged = [model.probabilities(each.text) for each in held]
    return {
        f"rules and encoder ({share:.1%} of validation)": rails(
            model, choose_threshold(held, judged, (ATTACK,), share)
        )
        for share in SHARES
    }


def measured(guard):
    """Share let through of both groups of attacks, and refused of harmless texts and questions."""
    plain = [each for each in attacks() if each.half == REPORT and each.where != "feedback"]
    groups = {
        "through, reported half": [each for each in plain if not each.is_kept],
        "through, not encoded": [each for each in plain if not each.is_kept and not each.packed],
        "through, in other words": [each for each in plain if each.is_kept],
    }
    found = {
        name: share_of(
            [gets_in(guard, each.text, each.where) for each in those], list(map(family, those))
        )
        for name, those in groups.items()
    }
    honest = {
        "refused, harmless": [
            (each.text, each.where)
            for each in harmless()
            if each.half == REPORT and each.where != "feedback"
        ],
        "refused, questions": [
            (text, "question") for text in questions() if half_of(text) == REPORT
        ],
    }
    for name, texts in honest.items():
        hits = [not gets_in(guard, text, where) for text, where in texts]
        found[name] = share_of(hits, [text for text, _ in texts])
    return found


def test_what_gets_through_and_what_harmless_is_refused(job, tmp_path):
    embedder = load_embedder(EMBEDDER, job.settings)
    fit_classifiers(job, name="orders", out=tmp_path / "encoder")
    texts = training_texts(questions())
    train_head(texts["attacks"], texts["harmless"], embedder, WRONGLY).save(tmp_path / "head")
    tables = {
        "rules": measured(Guardrails()),
        "rules and head": measured(rails(HeadClassifier(tmp_path / "head", embedder))),
    }
    encoders = by_share(job, TextClassifier(tmp_path / "encoder"))
    tables.update({name: measured(guard) for name, guard in encoders.items()})
    lines = [
        f"{name}: {kind}: {share}" for name, row in tables.items() for kind, share in row.items()
    ]
    lines += ["", (tmp_path / "encoder" / "README.md").read_text()]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "table.txt").write_text("\n".join(lines))
    print("\n".join(lines))
    alone = tables.pop("rules")["through, reported half"].value
    for name, row in tables.items():
        assert row["through, reported half"].value <= alone, name
        assert row["refused, questions"].value <= 0.1, name
