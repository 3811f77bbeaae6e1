"""`twin datasets show`, `diff` and `export` as a person types them."""

import json

import pytest
from typer.testing import CliRunner

from tests.twin.datasets.sets import FIRST, SECOND, pair, publish, publish_pairs, recipe_file
from twin.datasets.commands import app


@pytest.fixture
def published(settings, tmp_path, monkeypatch):
    monkeypatch.setattr("twin.datasets.read_version.get_settings", lambda: settings)
    publish(settings, "v1", FIRST, [pair("b")])
    publish(settings, "v2", SECOND)
    return str(recipe_file(tmp_path))


def run(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_show_has_question_passages_answer_and_origin(published):
    code, out, _ = run("show", "v1", "--recipe", published, "--kind", "why")
    assert code == 0
    assert "## What of b?" in out
    assert "train · written, why · b" in out
    assert "user: One?" in out
    assert "passage 1:\n    Pods\n    A pod." in out
    assert "answer:\n    Answer b." in out
    assert "rejected (by m):\n    Bad b." in out
    assert "must contain: b" in out
    assert "from: Pods <https://a.example/b>" in out
    assert "What of a?" not in out


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ((), "abce"),
        (("--split", "test"), "e"),
        (("--count", "2"), "ab"),
        (("--skip", "1", "--count", "2"), "bc"),
        (("--text", "ANSWER C"), "c"),
        (("--text", "d-test"), "e"),
        (("--kind", "passage"), "ace"),
        (("--kind", "written", "--split", "train"), "b"),
    ],
)
def test_show_takes_what_is_asked_for(published, arguments, shown):
    code, out, _ = run("show", "v1", "--recipe", published, *arguments)
    assert code == 0
    assert [line[-2] for line in out.splitlines() if line.startswith("## ")] == list(shown)


def test_nothing_to_show_ends_with_65(published):
    code, _, error = run("show", "--recipe", published, "--text", "nowhere")
    assert code == 65
    assert "has no such sample" in error


def test_diff(published):
    code, out, _ = run("diff", "v1", "latest", "--recipe", published, "--json")
    assert code == 0
    assert json.loads(out)["samples"]["rewritten"] == 1
    assert "# From v1 to v2" in run("diff", "v1", "v2", "--recipe", published)[1]


def test_audit_reads_the_samples_of_a_version_and_its_newest_pairs(
    published, monkeypatch, settings
):
    monkeypatch.setattr("twin.datasets.run_audit.get_settings", lambda: settings)
    _, out, _ = run("audit", "v1", "--recipe", published)
    assert "# Audit of 5 rows (1 test, 4 train; 1 pairs)" in out
    publish_pairs(settings, "v1", "p2", [pair("a"), pair("b")])
    assert "4 train" not in run("audit", "v1", "--recipe", published)[1]
    # A set without a pair is no reason to refuse the samples.
    publish_pairs(settings, "v1", "p3", [])
    assert (
        "# Audit of 4 rows (1 test, 3 train; 0 pairs)"
        in run("audit", "v1", "--recipe", published)[1]
    )


def test_export(published, tmp_path):
    target = tmp_path / "out"
    code, out, _ = run(
        "export", str(target), "--recipe", published, "--version", "v1", "--form", "sharegpt"
    )
    assert code == 0
    assert f"{target}/instruct/train.jsonl: 3 rows" in out
    assert json.loads((target / "instruct/test.jsonl").read_text())["id"] == "e"
    code, _, error = run("export", str(target), "--recipe", published)
    assert code == 65
    assert "exists already" in error


@pytest.mark.parametrize(
    "arguments", [("show", "v9"), ("diff", "v1", "v9"), ("diff", "v9", "v1")], ids=" ".join
)
def test_an_unknown_version_is_refused_with_those_that_there_are(published, arguments):
    code, _, error = run(*arguments, "--recipe", published)
    assert code == 65
    assert "has no samples v9: there are v1, v2" in error
