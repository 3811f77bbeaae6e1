"""`twin rag search` on the command line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.twin.rag.test_retrieve import filled
from twin import cli
from twin.domain.answer import Passage
from twin.models.embedder import load_embedder
from twin.rag.retrieve import Found, Retriever
from twin.recipes import FeaturesSection
from twin.settings import Settings, get_settings
from twin.stores.embedded_index import EmbeddedIndex

RECIPE = """
name: toy
author: {id: ann, name: Ann}
sources: [{name: site, kind: folder, path: .}]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    embedder = load_embedder(FeaturesSection().embedder, Settings())
    filled(EmbeddedIndex(home / "index" / "toy", "toy"), embedder)
    (home / "toy.yaml").write_text(RECIPE)
    (home / "none.yaml").write_text(RECIPE.replace("toy", "none"))
    return home


@pytest.fixture
def search(home, monkeypatch):
    monkeypatch.setenv("TWIN_HOME", str(home))
    monkeypatch.setenv("TWIN_RECIPES", str(home))
    get_settings.cache_clear()
    yield lambda *arguments: CliRunner().invoke(cli.app, ["rag", "search", *arguments])
    get_settings.cache_clear()


def test_json_has_what_a_program_needs(search):
    result = search("What does 75 mean?", "--recipe", "toy", "--k", "2", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [item["rank"] for item in found] == [1, 2]
    assert {"rank", "score", "chunk_id", "document_id", "url", "title", "text"} <= set(found[0])
    assert found[0]["title"] == "Codes"


def test_text_has_what_a_person_needs(search):
    result = search("What does 75 mean?", "--recipe", "toy", "--k", "1")
    assert "Codes" in result.stdout
    assert "https://example.org/codes" in result.stdout
    assert "try again later" in result.stdout


def test_nothing_found_is_said(search):
    shown = search("?!", "--recipe", "toy").stdout
    assert "(the question has no word: not answered)" in shown
    assert "Nothing found." in shown
    assert json.loads(search("?!", "--recipe", "toy", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["why", "--recipe", "none"], 65, "twin features build --recipe none"),
        (["why", "--recipe", "nowhere"], 65, "none, toy"),
        ([" ", "--recipe", "toy"], 65, "the question is empty"),
        (["why", "--recipe", "toy", "--k", "0"], 2, "--k"),
    ],
)
def test_errors_are_one_plain_line(search, arguments, code, words):
    result = search(*arguments)
    assert result.exit_code == code
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_what_is_shown_of_stored_text_may_not_drive_the_terminal(search, monkeypatch):
    passage = Passage(
        rank=1,
        score=1.0,
        chunk_id="c",
        document_id="d",
        revision="r",
        url="https://example.org/\x9b2J",
        title="Bell\x07",
        text="red \x1b[31malert",
    )
    monkeypatch.setattr(Retriever, "find", lambda *arguments: Found((passage,)))
    shown = search("why", "--recipe", "toy").stdout
    assert "red �[31malert" in shown
    assert not set("\x07\x1b\x9b") & set(shown)


def test_calibrating_names_a_threshold_between_the_two_kinds(search, home, tmp_path):
    path = tmp_path / "questions.yaml"
    answered = ["What does exit status 75 mean?", "What must a candidate beat?"]
    unanswered = ["How do I bake sourdough bread?", "What is the capital of Australia?"]
    path.write_text(json.dumps({"answered": answered, "unanswered": unanswered}))
    command = ["rag", "calibrate", str(path), "--recipe", "toy"]
    result = CliRunner().invoke(cli.app, command)
    assert result.exit_code == 0
    threshold, refused, wrongly = result.stdout.splitlines()[-1].split()
    assert 0 < float(threshold) < 1
    assert (refused, wrongly) == ("100.0%", "0.0%")


def test_what_would_not_be_answered_is_said(search, home, tmp_path):
    text = f"{RECIPE}retrieval: {{min_score: 0.4}}\n"
    (home / "careful.yaml").write_text(text)
    result = search("How do I bake sourdough bread?", "--recipe", str(home / "careful.yaml"))
    assert "under retrieval.min_score: not answered" in result.stdout
    assert "under" not in search("exit status 75", "--recipe", str(home / "careful.yaml")).stdout
    (home / "careful.yaml").unlink()
