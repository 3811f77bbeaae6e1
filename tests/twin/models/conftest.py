"""One tiny model for all tests of this folder."""

import pytest

from tests import tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of the tiny model."""
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))
