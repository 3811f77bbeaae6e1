import pytest
from pydantic import ValidationError

from twin.recipes.drafts import DraftsSection


@pytest.mark.parametrize(("knob", "least", "most"), [("max_sections", 1, 12), ("nearest", 1, 20)])
def test_counts_have_their_limits(knob, least, most):
    for count in (least, most):
        assert getattr(DraftsSection(**{knob: count}), knob) == count
    for count in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            DraftsSection(**{knob: count})


@pytest.mark.parametrize("knob", ["outline", "contradictions"])
def test_ways_are_known_by_name(knob):
    with pytest.raises(ValidationError, match=r"headings|rules"):
        DraftsSection(**{knob: "oracle"})


def test_a_small_model_needs_no_recipe_of_its_own():
    assert DraftsSection().outline == "headings"
    assert DraftsSection().contradictions == "rules"
