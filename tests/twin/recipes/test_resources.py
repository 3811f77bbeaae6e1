"""Section `resources`: sizes, what belongs together, and what has no place in a digest."""

import pytest
from pydantic import ValidationError

from twin.recipes import Recipe
from twin.recipes.resources import ResourcesSection, bytes_of

BASE = {
    "name": "ada",
    "author": {"id": "ada", "name": "Ada Lovelace"},
    "sources": [{"kind": "folder", "name": "notes", "path": "notes"}],
}


@pytest.mark.parametrize(
    ("size", "number"), [("512Mi", 512 * 2**20), ("1Gi", 2**30), ("2Ti", 2 * 2**40)]
)
def test_sizes(size, number):
    assert bytes_of(size) == number


@pytest.mark.parametrize("size", ["64", "64G", "0Gi", "1.5Gi", "-1Gi", "x64Gi", "64Gib", ""])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValidationError, match="such as 64Gi"):
        ResourcesSection.model_validate({"features": {"memory": size}})


@pytest.mark.parametrize(
    ("stage", "asked", "fault"),
    [
        ("training", {"gpus": 0, "gpu_type": "l4"}, "gpu_type: l4 needs gpus: 1 or more"),
        ("training", {"gpus": 17}, "less than or equal to 16"),
        ("evaluation", {"gpus": 2}, "less than or equal to 1"),
        ("features", {"gpus": 1}, "Extra inputs"),
        ("training", {"memory": "8Gi", "shared_memory": "8Gi"}, "it must be smaller"),
        ("features", {"cpus": 0}, "greater than 0"),
    ],
)
def test_what_does_not_go_together_is_refused(stage, asked, fault):
    with pytest.raises(ValidationError, match=fault):
        ResourcesSection.model_validate({stage: asked})


def test_shared_memory_below_the_memory_is_fine():
    ResourcesSection.model_validate({"training": {"memory": "8Gi", "shared_memory": "8191Mi"}})


@pytest.mark.parametrize(("gpus", "fits"), [(None, True), (1, False), (0, False), (2, True)])
def test_weights_are_shared_out_among_several_gpus(gpus, fits):
    recipe = {
        **BASE, "training": {"sharding": "fsdp"}, "resources": {"training": {"gpus": gpus}},
    }  # fmt: skip
    if fits:
        Recipe.model_validate(recipe)
        return
    with pytest.raises(ValidationError, match=rf"resources\.training\.gpus is {gpus}: ask for 2"):
        Recipe.model_validate(recipe)


def test_what_a_stage_runs_on_changes_no_digest():
    plain = Recipe.model_validate(BASE)
    big = Recipe.model_validate({**BASE, "resources": {"training": {"gpus": 4}}})
    assert big.digest() == plain.digest()
    assert big.digest("training") == plain.digest("training")
