"""Label Studio's API over real HTTP: tokens, pages, batches, and what goes wrong."""

import pytest
from pydantic import SecretStr

from tests.label_studio_server import LEGACY, PERSONAL, label_studio_server
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.stores import label_studio
from twin.stores.label_studio import LabelStudio

PAGE = '<View><Text name="a" value="$a"/></View>'


@pytest.fixture
def server():
    with label_studio_server() as running:
        yield running


def client(settings, url, token=LEGACY):
    changes = {"label_studio_url": url, "label_studio_token": SecretStr(token)}
    return LabelStudio(settings.model_copy(update=changes))


@pytest.mark.parametrize("token", [LEGACY, PERSONAL])
def test_tasks_go_there_and_come_back_with_either_kind_of_token(
    settings, server, token, monkeypatch
):
    monkeypatch.setattr(label_studio, "TASKS_AT_ONCE", 2)
    with client(settings, server.url, token) as studio:
        assert studio.find_project("Twin") is None
        project = studio.create_project("Twin", "Samples.", PAGE, 2)
        studio.add_tasks(project, [{"a": str(number)} for number in range(5)])
        assert [task["data"]["a"] for task in studio.tasks(project)] == list("01234")
        found = studio.find_project("Twin")
        assert found == project
        assert found.label_config == PAGE
        assert studio.link(project) == f"{server.url}/projects/{project.id}"
    assert server.projects[0]["maximum_annotations"] == 2
    assert server.requests.count(f"POST /api/projects/{project.id}/import") == 3


def test_no_task_is_no_request(settings, server):
    with client(settings, server.url) as studio:
        studio.add_tasks(studio.create_project("Twin", "", PAGE, 1), [])
    assert not [request for request in server.requests if "import" in request]


def test_a_personal_token_is_refreshed_when_its_access_has_run_out(settings, server):
    with client(settings, server.url, PERSONAL) as studio:
        project = studio.create_project("Twin", "", PAGE, 1)
        server.access.clear()
        assert studio.tasks(project) == []
    assert server.requests.count("POST /api/token/refresh/") == 2


def test_the_very_title_is_looked_for_on_every_page(settings, server, monkeypatch):
    monkeypatch.setattr(label_studio, "PAGE_SIZE", 2)
    with client(settings, server.url) as studio:
        oldest = studio.create_project("Twin", "", PAGE, 1)
        for title in ("Twin of ann", "twin", "Twin", "My Twin"):
            studio.create_project(title, "", PAGE, 1)
        assert studio.find_project("Twin") == oldest


def test_a_token_that_it_refuses(settings, server):
    for token in ("wrong", "wrong.wrong.wrong"):
        studio = client(settings, server.url, token)
        with studio, pytest.raises(BadConfigurationError, match="LABEL_STUDIO_TOKEN") as error:
            studio.find_project("Twin")
        assert token not in str(error.value)


def test_what_passes_and_what_does_not(settings, server):
    with client(settings, server.url) as studio:
        with pytest.raises(BadDataError, match="no more than 50 characters"):
            studio.create_project("x" * 51, "", PAGE, 1)
        gone = studio.create_project("Twin", "", PAGE, 1)
        server.projects.clear()
        with pytest.raises(BadDataError, match="No Project matches"):
            studio.tasks(gone)
        server.failing = 503
        with pytest.raises(TryAgainError, match="HTTP 503"):
            studio.find_project("Twin")
        server.failing, server.body = None, b"<html>"
        with pytest.raises(BadConfigurationError, match="is not Label Studio"):
            studio.find_project("Twin")


def test_where_it_is_has_to_be_said_and_nobody_is_there(settings):
    with pytest.raises(BadConfigurationError, match="set TWIN_LABEL_STUDIO_URL"):
        LabelStudio(settings)
    with pytest.raises(BadConfigurationError, match="is no address"):
        client(settings, "label.example")
    studio = client(settings, "http://ann:hunter2@127.0.0.1:1")
    with studio, pytest.raises(TryAgainError, match="does not answer: is it started") as error:
        studio.find_project("Twin")
    assert "hunter2" not in str(error.value)
