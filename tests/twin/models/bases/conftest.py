"""A model hub of the test's own."""

import pytest

from tests.twin.models.bases.hub_server import running_hub


@pytest.fixture
def hub(monkeypatch):
    """A running hub that the hub's library asks in this process."""
    with running_hub() as hub:
        # As HF_ENDPOINT does when the library is imported.
        constants = "huggingface_hub.constants"
        monkeypatch.setattr(f"{constants}.ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(f"{constants}.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub
