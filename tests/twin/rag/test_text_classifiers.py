"""Guardrails by a model: a tiny one that has learned to tell texts about the moon."""

import shutil
from dataclasses import replace
from string import ascii_lowercase

import pytest

from tests import tiny_encoder
from twin.domain.errors import BadDataError
from twin.models.text_classifier import KeptAlarm, TextClassifier, weights_digest
from twin.rag.guardrail_head import HeadClassifier, read_texts, train_head
from twin.rag.guardrails import Guardrails
from twin.rag.query import Query
from twin.rag.text_classifiers import load_classifiers
from twin.recipes.guardrails import ClassifierSection, GuardrailsSection


class Initials:
    """An embedder that sees how often each letter stands in a text."""

    id = "initials@1"
    dimension = 26
    max_tokens = 512

    def encode_questions(self, texts):
        return [[text.count(letter) / len(text) for letter in ascii_lowercase] for text in texts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_encoder.moon_classifier(tmp_path_factory.mktemp("classifier"))


def rails(folder, **knobs):
    knobs = {"labels": ("MOON",), **knobs}
    section = ClassifierSection(name="moon", model=str(folder), **knobs)
    return Guardrails(
        GuardrailsSection(classifiers=(section,)), load_classifiers((section,), Initials())
    )


def test_what_the_model_is_sure_of_is_refused_and_said_with_its_score(folder):
    examined = rails(folder).examine(Query(question="what is the moon"))
    assert examined.refused
    [hit] = examined.hits["question"]
    assert (hit.rail, hit.rule) == ("moon", "MOON")
    assert 0.5 < hit.score < 1
    assert not rails(folder).examine(Query(question="what is the pod")).refused


def test_a_long_text_is_read_window_by_window(folder):
    assert rails(folder).examine(Query(question="pod " * 40 + "moon " * 5)).refused


def test_the_recipe_says_from_where_on_in_which_places_and_what_is_done(folder):
    query = Query(question="what is the moon")
    marked = rails(folder, action="mark").examine(query)
    assert not marked.refused
    assert marked.hits
    assert not rails(folder, places=("passage",)).examine(query).hits
    assert rails(folder, threshold=0.0).examine(Query(question="what is the pod")).refused
    assert not rails(folder, threshold=1.0).examine(query).hits


@pytest.mark.parametrize(
    ("change", "message"),
    [("gone", "is no folder"), ("pickled", "no weights in safetensors"), ("empty", "classifier")],
)
def test_a_folder_that_holds_no_classifier_is_refused(folder, tmp_path, change, message):
    place = tmp_path / "model"
    if change != "gone":
        place.mkdir()
        suffix = "bin" if change == "pickled" else "safetensors"
        (place / f"model.{suffix}").write_bytes(b"x")
    with pytest.raises(BadDataError, match=message):
        rails(place)


def test_a_label_that_the_model_lacks_is_named(folder):
    with pytest.raises(BadDataError, match="no label 'SUN': it has HARMLESS, MOON"):
        rails(folder, labels=("SUN",))


def test_unset_labels_and_threshold_are_those_that_training_chose(folder, tmp_path):
    query, own = Query(question="what is the moon"), tmp_path / "own"
    with pytest.raises(BadDataError, match=r"moon was not trained to meet any .* HARMLESS, MOON"):
        rails(folder, labels=())
    shutil.copytree(folder, own)
    KeptAlarm(labels=("MOON",), threshold=0.6).save(own)
    [hit] = rails(own, labels=()).examine(query).hits["question"]
    assert hit.rule == "MOON"
    KeptAlarm(labels=("MOON",), threshold=1.0).save(own)
    assert not rails(own, labels=()).examine(query).hits
    assert rails(own, labels=(), threshold=0.6).examine(query).hits, "the recipe's comes first"
    other = Query(question="what is the pod")
    assert rails(own, labels=("HARMLESS",)).examine(other).hits, "0.5 for labels of no threshold"
    (own / "alarm.json").write_text('{"labels": [], "threshold": 2}')
    with pytest.raises(BadDataError, match=r"alarm\.json can't be read"):
        TextClassifier(own)


def test_the_digest_knows_weights_and_threshold_and_not_the_report(folder, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    before = weights_digest(own)
    assert before == weights_digest(folder)
    (own / "report.json").write_text("{}")
    assert weights_digest(own) == before
    KeptAlarm(labels=("MOON",), threshold=0.6).save(own)
    assert weights_digest(own) != before
    with pytest.raises(BadDataError, match="is no folder"):
        weights_digest(tmp_path / "gone")


def test_two_classifiers_of_one_name_are_refused(folder):
    section = ClassifierSection(name="moon", model=str(folder), labels=("MOON",))
    with pytest.raises(ValueError, match="a name of its own"):
        GuardrailsSection(classifiers=(section, section))


HARMLESS = tuple(f"{word} abc abc" for word in ("pod", "job", "key", "run", "log", "day")) * 3
ATTACKS = tuple(f"{word} xyz xyz" for word in ("pod", "job", "key", "run", "log", "day")) * 3


def test_a_head_learns_from_two_lists_and_is_kept_with_its_embedder(tmp_path):
    trained = train_head(ATTACKS, HARMLESS, Initials(), wrongly=0.0)
    assert trained.caught == 1.0
    assert trained.wrongly == 0.0
    trained.save(tmp_path / "head")
    section = ClassifierSection(name="head", model=str(tmp_path / "head"), labels=("INJECTION",))
    [rail] = load_classifiers([section], Initials())
    [hit] = rail.hits("new xyz xyz", "question")
    assert (hit.rule, hit.refuses) == ("INJECTION", True)
    assert hit.score > 0.5
    assert rail.hits("new abc abc", "passage") == []


def test_the_share_of_harmless_texts_that_it_meets_is_bounded():
    mixed = (*HARMLESS, *ATTACKS[:4])
    strict = train_head(ATTACKS, mixed, Initials(), wrongly=0.0)
    loose = train_head(ATTACKS, mixed, Initials(), wrongly=0.5)
    assert strict.wrongly == 0.0
    assert strict.caught < loose.caught == 1.0


def test_a_head_for_another_embedder_is_refused(tmp_path):
    trained = train_head(ATTACKS, HARMLESS, Initials(), wrongly=0.0)
    replace(trained, embedder="other@2").save(tmp_path)
    with pytest.raises(BadDataError, match="trained for the embedder other@2"):
        HeadClassifier(tmp_path, Initials())


def test_a_broken_head_and_too_few_texts_are_refused(tmp_path):
    (tmp_path / "head.safetensors").write_bytes(b"x")
    with pytest.raises(BadDataError, match="can't be read"):
        HeadClassifier(tmp_path, Initials())
    with pytest.raises(BadDataError, match="at least 10 of each"):
        train_head(ATTACKS[:9], HARMLESS, Initials(), wrongly=0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "can't be read"), ("attacks: [", "can't be read"), ("attacks: [a]", "'harmless'"),
     ("- a", "'attacks'"), ("attacks: [1]\nharmless: [a]", "'attacks'")],
)  # fmt: skip
def test_a_file_without_both_lists_is_refused(tmp_path, text, message):
    path = tmp_path / "texts.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadDataError, match=message):
        read_texts(path)


def test_both_lists_are_read(tmp_path):
    path = tmp_path / "texts.yaml"
    path.write_text("attacks: [a, b]\nharmless: [c]")
    assert read_texts(path) == {"attacks": ["a", "b"], "harmless": ["c"]}
