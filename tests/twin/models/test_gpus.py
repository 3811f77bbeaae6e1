"""GPUs: none where some were given, and several in one process, are refused."""

import pytest
import torch

from twin.domain.errors import BadConfigurationError
from twin.models.gpus import check_given, check_launched
from twin.models.language_model import load_language_model
from twin.recipes import TrainingSection
from twin.training.engine import load_for_training


@pytest.mark.parametrize(("given", "visible"), [(None, 0), (None, 1), (1, 1), (2, 2), (1, 8)])
def test_what_was_given_may_be_used(given, visible):
    check_given(given, visible)


@pytest.mark.parametrize(("given", "visible"), [(1, 0), (4, 3)])
def test_fewer_than_given_is_bad_configuration(given, visible):
    with pytest.raises(BadConfigurationError, match=rf"{given} GPU.*sees {visible}: check"):
        check_given(given, visible)


@pytest.mark.parametrize("visible", [0, 1])
def test_one_process_trains_on_one_gpu_or_none(visible):
    check_launched(visible, {})


def test_several_gpus_need_a_launcher():
    check_launched(8, {"LOCAL_RANK": "0"})
    with pytest.raises(BadConfigurationError, match="sees 2 GPUs in one process") as refused:
        check_launched(2, {"WORLD_SIZE": "2"})
    assert refused.value.exit_code == 78


def load_to_train(folder, settings):
    return load_for_training(folder, settings, TrainingSection())


@pytest.mark.parametrize("load", [load_to_train, load_language_model])
def test_no_model_is_loaded_where_a_gpu_is_missing(load, settings, tiny):
    missing = settings.model_copy(update={"gpus": torch.cuda.device_count() + 1})
    with pytest.raises(BadConfigurationError, match=f"given {missing.gpus} GPU"):
        load(tiny, missing)
    load(tiny, settings)
