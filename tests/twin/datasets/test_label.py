"""`twin datasets label`: samples to a server over real HTTP, and verdicts back."""

import json
import os
import uuid

import httpx
import pytest
from typer.testing import CliRunner

from tests.label_studio_server import LEGACY, annotation, label_studio_server, results, task
from tests.twin.datasets.sets import FIRST, FOLLOW_UP, publish, recipe_file, sample
from twin.cli import app
from twin.datasets.label_tasks import task_of
from twin.domain.sample import Split
from twin.domain.verdict import Decision, Opinion, digest_of
from twin.settings import Settings, get_settings
from twin.stores.files import open_files
from twin.stores.verdicts import Verdicts

BY_ID = {each.id: each for each in FIRST}


@pytest.fixture
def url():
    """Of a server that answers as the real one does; or of a real one."""
    if own := os.environ.get("TWIN_TEST_LABEL_STUDIO_URL"):
        yield own
        return
    with label_studio_server() as server:
        yield server.url


@pytest.fixture
def token():
    return os.environ.get("TWIN_TEST_LABEL_STUDIO_TOKEN", LEGACY)


@pytest.fixture
def recipe(tmp_path, monkeypatch, url, token):
    monkeypatch.setenv("TWIN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TWIN_LABEL_STUDIO_URL", url)
    monkeypatch.setenv("TWIN_LABEL_STUDIO_TOKEN", token)
    get_settings.cache_clear()
    yield str(recipe_file(tmp_path))
    get_settings.cache_clear()


@pytest.fixture
def sets(recipe):
    return publish(get_settings(), "v1", FIRST)


@pytest.fixture
def title():
    """A project of the test's own."""
    return f"Test {uuid.uuid4().hex[:8]}"


def label(command, recipe, *options):
    done = CliRunner().invoke(app, ["datasets", "label", command, "--recipe", recipe, *options])
    return done.exit_code, done.output.splitlines()


def verdicts():
    return Verdicts(open_files(Settings()), "ann").read()


class People:
    """One who labels, over the same API as the page of the browser."""

    def __init__(self, url, token, link):
        self.project = link.rpartition("/")[2]
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"})

    def tasks(self):
        path = f"/api/projects/{self.project}/export?exportType=JSON&download_all_tasks=true"
        return {each["data"]["sample"]: each for each in self.http.get(path).json()}

    def say(self, sample, **filled):
        body = {"result": results(**filled), "lead_time": 1.0}
        path = f"/api/tasks/{self.tasks()[sample]['id']}/annotations/"
        self.http.post(path, json=body).raise_for_status()


def test_there_and_back(recipe, sets, url, token, title):
    code, told = label("export", recipe, "--project", title)
    assert code == 0, told
    assert told[0].startswith(f"created project {url}/projects/")
    assert told[1] == "4 tasks added, 0 were there, of version v1"
    people = People(url, token, told[0])
    assert {name: each["data"] for name, each in people.tasks().items()} == {
        each.id: task_of("ann", "v1", each) for each in FIRST
    }

    code, told = label("import", recipe, "--project", title)
    assert code == 99
    assert "nobody has given a verdict yet" in told[-1]

    people.say("a", verdict="keep")
    people.say("b", verdict="edit", edited="It is b.")
    people.say("c", verdict="reject", reason="wrong answer", note="No.")
    code, told = label("import", recipe, "--project", title)
    assert code == 0, told
    assert told == [
        "4 tasks, 3 with a verdict: 1 keep, 1 reject, 1 edit",
        "agreement: no sample was judged by two people",
        "`twin datasets make --recipe ann` heeds them",
    ]
    found = {each.sample: each for each in verdicts()}
    assert {name: each.decision for name, each in found.items()} == {
        "a": Decision.KEEP,
        "b": Decision.EDIT,
        "c": Decision.REJECT,
    }
    assert (found["b"].answer, found["c"].reason) == ("It is b.", "wrong answer")
    assert found["b"].document_id == FOLLOW_UP.document_id
    assert all(each.seen == digest_of(BY_ID[name]) for name, each in found.items())
    code, told = label("import", recipe, "--project", title)
    assert code == 99
    assert "these verdicts are known already" in told[-1]


def test_a_task_is_added_once_and_again_when_its_answer_is_another(recipe, sets, url, title):
    _, first = label("export", recipe, "--project", title, "--split", "train", "--count", "2")
    assert first[1] == "2 tasks added, 0 were there, of version v1"
    _, more = label("export", recipe, "--project", title)
    assert more == [
        first[0].replace("created", "found"),
        "2 tasks added, 2 were there, of version v1",
    ]
    changed = FOLLOW_UP.model_copy(update={"answer": "It is b, now."})
    publish(get_settings(), "v2", [FIRST[0], changed, sample("n", Split.TEST)])
    _, again = label("export", recipe, "--project", title)
    assert again[1] == "2 tasks added, 1 were there, of version v2"


def test_what_people_have_edited_is_not_asked_again(recipe, sets, tmp_path, title):
    label("export", recipe, "--project", title, "--split", "train")
    file = tmp_path / "export.json"
    data = task_of("ann", "v1", FOLLOW_UP)
    file.write_text(json.dumps([task(data, annotation(verdict="edit", edited="It is b."))]))
    assert label("import", recipe, str(file))[0] == 0
    edited = FOLLOW_UP.model_copy(update={"answer": "It is b."})
    publish(get_settings(), "v2", [FIRST[0], edited])
    _, told = label("export", recipe, "--project", title)
    assert told[1] == "0 tasks added, 1 were there, of version v2"


def test_which_samples(recipe, sets, title):
    _, told = label("export", recipe, "--project", title, "--kind", "why", "--people", "3")
    assert told[1] == "1 tasks added, 0 were there, of version v1"
    code, told = label("export", recipe, "--project", title, "--kind", "poem")
    assert code == 65
    assert "has no such sample: leave out --kind or --text" in told[-1]


def test_a_project_of_something_else_is_refused(recipe, sets, url, token, title):
    http = httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"})
    page = '<View><Text name="text" value="$text"/></View>'
    http.post("/api/projects/", json={"title": title, "label_config": page}).raise_for_status()
    code, told = label("export", recipe, "--project", title)
    assert code == 65
    assert "has another labelling page: give another title by --project" in told[-1]
    code, told = label("import", recipe, "--project", title[::-1])
    assert code == 65
    assert "make it by `twin datasets label export --recipe ann`" in told[-1]


def test_a_project_of_another_recipe_is_refused(recipe, sets, tmp_path, title):
    label("export", recipe, "--project", title)
    other = tmp_path / "bob.yaml"
    other.write_text((tmp_path / "ann.yaml").read_text().replace("name: ann\n", "name: bob\n"))
    code, told = label("import", str(other), "--project", title)
    assert code == 65
    assert "has samples of recipe ann, not bob" in told[-1]


def test_a_file_of_two_people(recipe, sets, tmp_path):
    tasks = [task(task_of("ann", "v1", each)) for each in FIRST]
    for each, ann, bob in zip(tasks, "kkrr", "krrr", strict=True):
        words = {"k": "keep", "r": "reject"}
        each["annotations"] = [annotation(1, verdict=words[ann]), annotation(2, verdict=words[bob])]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(tasks))
    code, told = label("import", recipe, str(file))
    assert code == 0
    assert told[:2] == [
        "4 tasks, 4 with a verdict: 1 keep, 2 reject, 1 that people disagree on",
        "agreement of 1 and 2: 3 of 4 alike, Cohen's kappa 0.50",
    ]
    opinions = {each.sample: each.opinions for each in verdicts()}
    assert opinions["a"] == (
        Opinion(person="1", decision=Decision.KEEP),
        Opinion(person="2", decision=Decision.KEEP),
    )
    # One of them has taken a verdict back, and another task is not in this export.
    file.write_text(json.dumps([{**tasks[0], "annotations": []}, *tasks[2:]]))
    code, told = label("import", recipe, str(file))
    assert code == 0
    assert {each.sample for each in verdicts()} == {"b", "c", "e"}


def test_a_file_that_is_none(recipe, tmp_path):
    file = tmp_path / "export.json"
    file.write_text("[")
    code, told = label("import", recipe, str(file))
    assert (code, "is not JSON" in told[-1]) == (65, True)
    code, told = label("import", recipe, str(tmp_path / "none.json"))
    assert (code, "can't be read" in told[-1]) == (65, True)


def test_the_server_has_to_be_named(recipe, sets, monkeypatch):
    monkeypatch.delenv("TWIN_LABEL_STUDIO_TOKEN")
    get_settings.cache_clear()
    code, told = label("export", recipe)
    assert code == 78
    assert "set TWIN_LABEL_STUDIO_URL" in told[-1]
