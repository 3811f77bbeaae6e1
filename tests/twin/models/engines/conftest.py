"""Tiny models of the families and their GGUF files, each made once for all tests of this folder."""

from functools import cache
from pathlib import Path

import pytest

from tests import families


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory):
    """Folder of the tiny model of a family, by the family's name; not to be changed."""
    root = tmp_path_factory.mktemp("families")

    @cache
    def folder(name: str) -> Path:
        return families.build(name, root / name)

    return folder


@pytest.fixture(scope="session")
def gguf_cache(tmp_path_factory):
    """What `prepare_gguf` has converted in this session: one file a family and quantisation."""
    return tmp_path_factory.mktemp("gguf")
