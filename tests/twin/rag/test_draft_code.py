import pytest

from twin.rag.draft_code import code_blocks, code_faults

TEXT = (
    'Before `span`.\n\n```Python title="a"\npod = 1\n\nprint(pod)\n```\n\nAfter.\n\n~~~\nplain\n~~~'
)


def test_blocks_are_found_with_their_language_and_code():
    python, plain = code_blocks(TEXT)
    assert (python.language, python.code) == ("python", "pod = 1\n\nprint(pod)")
    assert TEXT[slice(*python.span)].startswith("```Python")
    assert TEXT[slice(*python.span)].endswith("```")
    assert (plain.language, plain.code) == ("", "plain")


def test_a_block_that_nothing_ends_reaches_to_the_end():
    [block] = code_blocks("Look:\n\n```py\npod = 1")
    assert (block.language, block.code) == ("py", "pod = 1")


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("```python\npod = 1\n```", None),
        ("```py\ndef pod(:\n```", "line 1: "),
        ("```python\npod = 1\n  pods = 2\n```", "line 2: "),
        ("```python\n" + "(" * 5_000 + "\n```", "too many nested"),
        ('```json\n{"pod": 1}\n```', None),
        ('```json\n{"pod":\n 1,}\n```', "line 2: "),
        ("```json\n" + "[" * 200_000 + "\n```", "nested too deeply"),
        ("```rust\nfn pod( {\n```", None),
        ("```\ndef pod(:\n```", None),
        ("def pod(:", None),
    ],
)
def test_python_and_json_that_do_not_parse_are_named(block, fault):
    faults = code_faults(block, "Pods")
    if fault is None:
        assert faults == []
    else:
        assert "under 'Pods'" in faults[0]
        assert fault in faults[0]
