"""Four-bit training without bitsandbytes; with it, see `tests/twin/test_llama_recipe.py`."""

import importlib.util

import pytest

from tests import families
from twin.domain.errors import BadConfigurationError
from twin.recipes import TrainingSection
from twin.training.engine import load_for_training


def test_what_packs_weights_is_named_with_the_command_that_fetches_it(settings, tmp_path):
    if importlib.util.find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is among this environment's packages")
    settings = settings.model_copy(update={"qlora_packages": tmp_path / "none"})
    base = families.build("llama3", tmp_path / "base")
    with pytest.raises(BadConfigurationError, match="run `make qlora`") as refused:
        load_for_training(base, settings, TrainingSection(method="qlora"))
    assert refused.value.exit_code == 78
    assert "training.method to lora" in str(refused.value)
