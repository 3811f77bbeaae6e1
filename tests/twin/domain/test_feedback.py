import pytest
from pydantic import ValidationError

from twin.domain.feedback import Feedback


@pytest.mark.parametrize(
    "given", [{"thumb": "up"}, {"score": 0}, {"correction": "So."}, {"comment": "Hm."}]
)
def test_one_of_the_four_is_enough(given):
    assert Feedback(**given).model_dump(exclude_none=True) == given


@pytest.mark.parametrize(
    "given",
    [{}, {"correction": " ", "comment": "\n"}, {"thumb": "sideways"}, {"score": 1.01},
     {"score": -0.01}, {"correction": "x" * 20_001}, {"comment": "x" * 4_001}],
)  # fmt: skip
def test_what_says_nothing_or_too_much_is_refused(given):
    with pytest.raises(ValidationError):
        Feedback(**given)
