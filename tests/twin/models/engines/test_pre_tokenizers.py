import json

import pytest

from tests import families
from twin.models.engines.pre_tokenizers import (
    byte_level_name,
    is_byte_level,
    prepends_space,
    strips_space,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    def read(name):
        family = families.FAMILIES[name]
        return json.loads(family.tokenizer(family).backend_tokenizer.to_str())

    return read


@pytest.mark.parametrize(
    ("family", "name"),
    [("llama3", "llama-bpe"), ("qwen2", "qwen2"), ("qwen3", "qwen2"), ("smollm2", "smollm")],
)
def test_families_of_bytes(described, family, name):
    tokenizer = described(family)
    assert is_byte_level(tokenizer)
    assert byte_level_name(tokenizer) == name
    assert not prepends_space(tokenizer)
    assert not strips_space(tokenizer)


@pytest.mark.parametrize(
    ("family", "space"), [("gemma2", False), ("gemma3", False), ("mistral", True), ("phi3", True)]
)
def test_families_of_pieces(described, family, space):
    tokenizer = described(family)
    assert not is_byte_level(tokenizer)
    assert prepends_space(tokenizer) == strips_space(tokenizer) == space


def test_an_unknown_expression_is_refused(described):
    tokenizer = described("llama3")
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+"
    with pytest.raises(ValueError, match=r"cuts text by \\w\+, for which no name"):
        byte_level_name(tokenizer)


def test_digits_one_by_one_or_together(described):
    tokenizer = described("smollm2")
    tokenizer["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = False
    with pytest.raises(ValueError, match="for which no name"):
        byte_level_name(tokenizer)
