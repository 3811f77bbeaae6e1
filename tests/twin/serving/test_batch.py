"""Batches over a real endpoint, by the command, with a Ray of their own; and the file that a kill
leaves."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tests import servers
from tests.twin import twins
from tests.twin.answers import answer
from tests.twin.serving.conftest import KEY, served
from tests.twin.serving.scripted import TEXT, ScriptedBackend
from twin.domain.errors import BadDataError
from twin.serving.batch_file import AnswersFile
from twin.serving.batch_rows import Asker, BadRowError, asked_of


def questions(path: Path, *rows) -> Path:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def read(path: Path) -> dict[str, dict]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    found = {line["id"]: line for line in lines}
    assert len(found) == len(lines)
    return found


def batch(url: str, tmp_path: Path, *arguments, **options) -> subprocess.Popen:
    recipes = tmp_path / "recipes"
    twins.write_recipe(recipes)
    environment = os.environ | {
        "TWIN_ENDPOINT_URL": url, "TWIN_API_KEYS": KEY, "TWIN_RECIPES": str(recipes),
        "TWIN_HOME": str(tmp_path / "home"),
    }  # fmt: skip
    command = [sys.executable, "-m", "twin.cli", "serving", "batch", *map(str, arguments)]
    return subprocess.Popen(
        [*command, "--recipe", "tiny", "--result", str(tmp_path / "result.json")],
        env=environment, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def result(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "result.json").read_text())


@pytest.mark.slow
@pytest.mark.nightly
def test_a_batch_that_was_killed_goes_on_where_it_was(tmp_path):
    """Two starts of Ray, half a minute. It buys that nothing is lost or asked twice by kill -9."""
    rows = [{"id": f"row {number}", "question": f"Why {number}?"} for number in range(40)]
    rows[7] = "{no json"
    rows[8] = {"id": "blank", "question": " "}
    rows[9] = {"id": "row 10", "question": "Why 10?"}
    asked = questions(tmp_path / "q.jsonl", *rows)
    place = tmp_path / "a.jsonl"

    class Unhurried(ScriptedBackend):
        async def answer(self, target, query):
            import asyncio

            await asyncio.sleep(0.1)
            return await super().answer(target, query)

    backend = Unhurried()
    with served(backend) as url:
        first = batch(url, tmp_path, asked, place, "--at-once", "2", start_new_session=True)

        def has_five() -> bool:
            assert first.poll() is None, first.stderr.read()
            return place.exists() and place.read_text().count("\n") >= 5

        servers.wait_until(has_five, "five answers", 120)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        time.sleep(1)
        before, known = len(backend.asked), read_whole(place)
        assert 5 <= len(known) < 37
        second = batch(url, tmp_path, asked, place, "--at-once", "2")
        _, said = second.communicate(timeout=180)
    assert second.returncode == 0, said
    found = read(place)
    assert found.keys() == {f"row {number}" for number in range(40)} - {"row 7", "row 8", "row 9"}
    assert all(found[row] == line for row, line in known.items())
    assert found["row 3"]["answer"] == TEXT.strip()
    assert found["row 3"]["question"] == "Why 3?"
    again = [query.question for query in backend.asked[before:]]
    assert not {known[row]["question"] for row in known} & set(again)
    counts = result(tmp_path)["counts"]
    assert counts["read"] == 40
    assert counts["failed"] == 2
    assert counts["written"] == len(found) - len(known)
    assert counts["written"] + counts["skipped"] + counts["failed"] == 40
    failed = read(tmp_path / "a.jsonl.failed.jsonl")
    assert len(failed) == 2
    assert "must not be blank" in failed["blank"]["error"]


def read_whole(place: Path) -> dict[str, dict]:
    return {
        line["id"]: line for line in map(json.loads, place.read_bytes().splitlines()[:-1] or [])
    } | ({} if not place.read_bytes().endswith(b"\n") else {
        (last := json.loads(place.read_bytes().splitlines()[-1]))["id"]: last
    })  # fmt: skip


@pytest.mark.nightly
def test_parquet_in_and_out(tmp_path):
    """A start of Ray more; buys the other format."""
    table = pyarrow.table({"question": ["Why?", "How?", None], "k": [2, None, 1]})
    parquet.write_table(table, tmp_path / "q.parquet")
    backend = ScriptedBackend()
    with served(backend) as url:
        done = batch(url, tmp_path, tmp_path / "q.parquet", tmp_path / "a.parquet")
        _, said = done.communicate(timeout=180)
        assert done.returncode == 0, said
        again = batch(url, tmp_path, tmp_path / "q.parquet", tmp_path / "a.parquet")
        _, said = again.communicate(timeout=180)
    assert len(backend.asked) == 2
    assert sorted(query.passages or 0 for query in backend.asked) == [0, 2]
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert {row["question"] for row in rows} == {"Why?", "How?"}
    assert rows[0]["sources"][0]["title"] == "On whales"
    assert result(tmp_path)["counts"] == {"read": 3, "written": 0, "skipped": 2, "failed": 1}


# ------------------------------------------------------------------------------------------- rows


def test_a_row_is_what_the_endpoint_takes():
    made = asked_of({"question": "Why?", "k": 2, "id": 7, "filter": None, "note": "x"}, "twin-a")
    assert made.id == "7"
    assert made.body == {"question": "Why?", "k": 2, "model": "twin-a", "stream": False}
    bare = asked_of({"line": '{"question": "Why?", "k": 2}'}, "twin-a")
    assert bare.body == made.body
    assert bare.id == asked_of({"line": '{"k": 2, "question": "Why?"}'}, "twin-a").id
    assert bare.id != asked_of({"line": '{"k": 3, "question": "Why?"}'}, "twin-a").id


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"line": "{"}, "no JSON"),
        ({"line": "[1]"}, "no JSON object"),
        ({"k": 2}, "question"),
        ({"question": ""}, "question"),
        ({"question": "Why?", "k": 99}, "k"),
        ({"question": "Why?", "tools": [1]}, "tools is not supported"),
    ],
)
def test_a_row_that_asks_nothing_says_why(row, says):
    with pytest.raises(BadRowError, match=says):
        asked_of(row, "twin-a")


def asker(url, key=KEY, done=frozenset()) -> Asker:
    return Asker(url, key, "twin-tiny", done)


def test_what_the_endpoint_says_of_a_row_is_its_outcome(monkeypatch):
    monkeypatch.setattr("twin.serving.batch_rows.ATTEMPTS", 2)
    monkeypatch.setattr("twin.serving.batch_rows.LONGEST_PAUSE_SECONDS", 0.01)
    backend = ScriptedBackend()
    with served(backend) as url:
        ask = asker(url, done=frozenset({"c"})).outcomes
        (good,) = ask({"id": "a", "question": "Why?"})
        assert json.loads(good["answer"])["answer"] == TEXT.strip()
        (long,) = ask({"id": "b", "question": "x" * 5_000})
        assert "5,000 characters" in long["error"]
        assert ask({"id": "c", "question": "Why?"}) == [
            {"id": "c", "answer": "", "error": "", "away": ""}
        ]
        (busy,) = ask({"id": "d", "question": "busy"})
        assert busy["away"].startswith("TryAgainError: ")
        assert "too many requests" in busy["away"]
        (defect,) = ask({"id": "e", "question": "breaks"})
        assert "HTTP 500" in defect["error"]
        (refused,) = asker(url, key="wrong").outcomes({"id": "f", "question": "Why?"})
        assert refused["away"].startswith("BadConfigurationError: ")
    (away,) = asker(url).outcomes({"id": "g", "question": "Why?"})
    assert "does not answer" in away["away"]
    assert [query.question for query in backend.asked] == ["Why?", "busy", "busy", "breaks"]


# ------------------------------------------------------------------------------------------- file


def kept(place: Path, *rows: str) -> None:
    with AnswersFile(place).appending() as answers:
        for row in rows:
            answers.add(row, answer(row))


def test_a_line_that_was_cut_off_is_written_again(tmp_path):
    place = tmp_path / "a.jsonl"
    kept(place, "one", "two")
    whole = place.read_bytes()
    place.write_bytes(whole[:-20])
    assert AnswersFile(place).done == {"one"}
    kept(place, "two")
    assert read(place).keys() == {"one", "two"}


@pytest.mark.parametrize("content", ['{"a": 1}\n', "text\n", "[1]\n"])
def test_another_file_is_left_alone(tmp_path, content):
    place = tmp_path / "a.jsonl"
    place.write_text(content)
    with pytest.raises(BadDataError, match="line 1: no answer of a batch"):
        AnswersFile(place)
    assert place.read_text() == content
    other = tmp_path / "a.parquet"
    other.write_text(content)
    with pytest.raises(BadDataError, match="no answers of a batch"):
        AnswersFile(other)
    with pytest.raises(BadDataError, match="ends in"):
        AnswersFile(tmp_path / "a.csv")


def test_a_parquet_file_is_made_at_the_end_and_grows_later(tmp_path):
    place = tmp_path / "a.parquet"
    kept(place, "one", "two")
    assert not place.exists()
    answers = AnswersFile(place)
    assert answers.done == {"one", "two"}
    with answers.appending():
        answers.add("three", answer("three"))
    lines = tmp_path / "a.parquet.unfinished.jsonl"
    left = lines.read_bytes()
    answers.finish()
    assert not lines.exists()
    assert parquet.read_table(place)["id"].to_pylist() == ["one", "two", "three"]
    # A kill after the file was made and before its lines went.
    lines.write_bytes(left)
    answers = AnswersFile(place)
    with answers.appending():
        answers.add("four", answer("four"))
    answers.finish()
    assert parquet.read_table(place)["id"].to_pylist() == ["one", "two", "three", "four"]
    again = AnswersFile(place)
    with again.appending():
        pass
    again.finish()
    assert parquet.read_table(place).num_rows == 4
