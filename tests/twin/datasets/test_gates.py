"""Gates: what each leaves out, and that people are not overruled."""

import pytest

from tests.twin.datasets.sets import sample
from twin.datasets.gates import Reason, Rejected, by_rule, held_out_gate, pass_gates
from twin.datasets.held_out import HeldOut
from twin.domain.sample import Maker, Split

ASSISTANT = "I'm sorry, but I cannot help with that."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"answer": ASSISTANT}, Reason.ASSISTANT),
        ({"instruction": "As an AI language model, what do you say?"}, Reason.ASSISTANT),
        ({"answer": "It ends so.<|im_end|>"}, Reason.SPECIAL_TOKEN),
        ({"instruction": "What is <start_of_turn>?"}, Reason.SPECIAL_TOKEN),
        ({"answer": "The code is `<|im_end|>`, quoted."}, None),
        ({"instruction": "Tell me of {topic}."}, Reason.PLACEHOLDER),
        ({"answer": "Dear [insert name], so it is."}, Reason.PLACEHOLDER),
    ],
)
def test_rules_find_what_an_audit_counts(fields, reason):
    found = by_rule([sample("a"), sample("b", **fields)])
    assert [each.reason for each in found] == ([reason] if reason else [])
    assert all(each.sample.id == "b" for each in found)


def test_only_what_is_trained_on_is_held_against_what_is_measured():
    held_out = HeldOut(["Why is the sea salt?"])
    asked = [
        sample(split.value, split=split, instruction="Why is the sea salt, then?")
        for split in Split
    ]
    [found] = held_out_gate(held_out)([*asked, sample("other")])
    assert found.sample.split is Split.TRAIN
    assert (found.reason, found.detail) == (Reason.HELD_OUT, "Why is the sea salt?")


def test_a_later_gate_sees_only_what_has_passed():
    seen = []

    def rejecting(name):
        def gate(samples):
            seen.append([each.id for each in samples])
            return [Rejected(each, Reason.TOXIC) for each in samples if each.id == name]

        return gate

    samples = [sample(name) for name in "abc"]
    passed = pass_gates(samples, [rejecting("b"), rejecting("a"), rejecting("d")])
    assert seen == [["a", "b", "c"], ["a", "c"], ["c"]]
    assert [each.id for each in passed.kept] == ["c"]
    assert [each.sample.id for each in passed.rejected] == ["b", "a"]


@pytest.mark.parametrize("maker", [Maker.WRITTEN, Maker.EDITED])
def test_what_a_person_wrote_passes(maker):
    written = sample("a", maker=maker, answer=ASSISTANT)
    passed = pass_gates([written, sample("b", answer=ASSISTANT)], [by_rule])
    assert passed.kept == [written]
    assert [each.sample.id for each in passed.rejected] == ["b"]
