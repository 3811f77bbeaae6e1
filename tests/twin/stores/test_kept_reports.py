"""What a report quotes of a document is cut out of each of its files; the figures stay."""

import json

import pytest

from twin.domain.errors import BadDataError
from twin.stores.files import FileStore, open_files
from twin.stores.kept_reports import FORGOTTEN, Asked, KeptReports, begin, end, measured, redact

REPORT = {
    "mlflow_run": "http://host/#/experiments/1/runs/2",
    "figures": [{"name": "rouge_l", "value": "NaN"}],
    "groups": [
        {"documents": [{"document": "a", "title": "Of a"}, {"document": "b", "title": "Of b"}]}
    ],
    "side_by_side": [{"document": "a", "author": "A wrote."}, {"document": "b", "author": "B."}],
}
SHEET = {"rows": [{"sample": f"{of}-{n}", "document": of} for of in ("a", "b") for n in (1, 2)]}
PAGE = f"<p>{begin('a')}A wrote.\n{end('a')}</p>{begin('b')}B.{end('b')}{begin('a')}again{end('a')}"


@pytest.fixture
def files(settings, tmp_path):
    store = open_files(settings)
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(REPORT))
    (folder / "answers.json").write_text(json.dumps(SHEET))
    for name in ("report.md", "report.html"):
        (folder / name).write_text(PAGE)
    (folder / "gains.png").write_bytes(b"\x89PNG a")
    for version in ("1", "2"):
        store.publish_folder(folder, f"reports/twin-x/{version}")
    store.write_json("reports/twin-x/2/report.json", {"side_by_side": [], "figures": []})
    for name in ("report.md", "report.html", "answers.json"):
        store.remove(f"reports/twin-x/2/{name}")
    return store


def test_the_document_goes_and_all_else_stays(files):
    reports = KeptReports(files)
    (redacted,) = reports.quoting({"a", "z"})
    assert redacted.folder == "reports/twin-x/1"
    assert redacted.run == REPORT["mlflow_run"]
    assert redacted.samples == ("a-1", "a-2")
    assert files.read_json("reports/twin-x/1/report.json") == REPORT, "nothing is written yet"
    reports.replace(redacted)
    kept = files.read_json("reports/twin-x/1/report.json")
    assert kept["figures"] == REPORT["figures"]
    assert kept["groups"] == [{"documents": [{"document": "b", "title": "Of b"}]}]
    assert [each["document"] for each in kept["side_by_side"]] == ["b"]
    sheet = files.read_json("reports/twin-x/1/answers.json")
    assert [row["sample"] for row in sheet["rows"]] == ["b-1", "b-2"]
    for name in ("report.md", "report.html"):
        text = files.read_text(f"reports/twin-x/1/{name}")
        assert text == f"<p>{FORGOTTEN}</p>{begin('b')}B.{end('b')}{FORGOTTEN}"
    assert files.read_bytes("reports/twin-x/1/gains.png") == b"\x89PNG a"
    assert files.is_published("reports/twin-x/1")
    assert list(reports.quoting({"a"})) == []
    assert len(list(reports.quoting({"b"}))) == 1


def test_an_id_is_a_text_and_no_pattern():
    text = f"{begin('a.c')}one{end('a.c')} {begin('abc')}two{end('abc')}"
    assert redact(text, {"a.c"}) == f"{FORGOTTEN} {begin('abc')}two{end('abc')}"
    evil = '--><script>"'
    assert "<script" not in begin(evil) + end(evil)
    assert redact(f"{begin(evil)}x{end(evil)}", {evil}) == FORGOTTEN


def test_a_damaged_report_is_named(files):
    files.write_text("reports/twin-x/2/report.json", "{")
    with pytest.raises(BadDataError, match=r"reports/twin-x/2/report.json is damaged: remove"):
        list(KeptReports(files).quoting({"a"}))


def test_all_of_a_model(files):
    KeptReports(files).remove("twin-x")
    assert files.names("reports") == []


def test_what_was_measured_of_a_candidate_is_read_by_name(settings):
    store = open_files(settings)
    figures = [
        {"name": "rouge_l", "values": {"candidate": {"value": 0.2}, "base": {"value": 0.1}}},
        {"name": "style_similarity", "values": {"base": {"value": 0.9}}},
    ]
    store.write_json("reports/twin-ann/7/report.json", {"figures": figures})
    assert measured(store, "twin-ann", "7", "rouge_l") == 0.2
    assert measured(store, "twin-ann", "7", "style_similarity") is None
    assert measured(store, "twin-ann", "7", "meaning") is None
    assert measured(store, "twin-ann", "8", "rouge_l") is None


def test_a_report_asks_for_its_samples_its_opponents_and_its_answers(tmp_path):
    files = FileStore(str(tmp_path / "files"))
    kept = KeptReports(files)
    lineage = {"dataset_version": "d1", "champion": "3", "reference": "1"}
    files.write_json("reports/m/4/report.json", {"lineage": lineage})
    rows = [{"kept": {"candidate": "k1", "base": "k2"}}, {"kept": {"candidate": "k3"}}, {}]
    files.write_json("reports/m/4/answers.json", {"dataset_version": "d0", "rows": rows})
    files.write_json("reports/m/5/report.json", {"lineage": {"champion": "none"}})
    asked = kept.asked_by("m", "4")
    assert asked.samples == {"d0", "d1"}
    assert asked.versions == {"1", "3"}
    assert asked.answers == {"k1", "k2", "k3"}
    assert kept.asked_by("m", "5") == kept.asked_by("m", "6") == Asked()
    assert list(kept.of()) == [("m", "4"), ("m", "5")]
    both = asked | Asked(frozenset({"d9"}), frozenset({"9"}), frozenset({"k9"}))
    assert (both.samples, both.versions) == ({"d0", "d1", "d9"}, {"1", "3", "9"})
    assert both.answers == {"k1", "k2", "k3", "k9"}
    files.write_text("reports/m/4/answers.json", "{")
    with pytest.raises(BadDataError, match="damaged"):
        kept.asked_by("m", "4")
