"""Agreement between people: Cohen's kappa of the samples that both have judged."""

import pytest

from twin.datasets.agreement import agreements, render_agreements
from twin.domain.verdict import Decision, Opinion, Verdict

LETTERS = {"k": Decision.KEEP, "r": Decision.REJECT, "e": Decision.EDIT}


def said(**by_person):
    """Verdicts of people, each with a letter for every sample; a blank is none."""
    samples = zip(*by_person.values(), strict=True)
    return [
        Verdict(
            sample=str(number),
            seen="x",
            document_id="d",
            opinions=tuple(
                Opinion(person=person, decision=LETTERS[letter])
                for person, letter in zip(by_person, letters, strict=True)
                if letter != " "
            ),
        )
        for number, letters in enumerate(samples)
        if set(letters) != {" "}
    ]


def test_kappa_of_two():
    """Fifty samples with the counts of the classic example: 20, 15, 5 and 10; kappa is 0.4."""
    ann = "k" * 25 + "r" * 25
    bob = "k" * 20 + "r" * 5 + "k" * 10 + "r" * 15
    (found,) = agreements(said(ann=ann, bob=bob))
    assert (found.people, found.shared, found.alike) == (("ann", "bob"), 50, 35)
    assert found.kappa == pytest.approx(0.4)
    assert render_agreements([found]) == [
        "agreement of ann and bob: 35 of 50 alike, Cohen's kappa 0.40"
    ]


def test_only_what_both_have_judged_counts_and_those_with_most_in_common_come_first():
    found = agreements(said(ann="kkr  ", bob="kerkk", cid="   kr"))
    assert [(each.people, each.shared, each.alike) for each in found] == [
        (("ann", "bob"), 3, 2),
        (("bob", "cid"), 2, 1),
    ]


def test_one_verdict_on_everything_says_nothing_beyond_chance():
    (found,) = agreements(said(ann="kkk", bob="kkk"))
    assert found.kappa is None
    assert render_agreements([found]) == ["agreement of ann and bob: 3 of 3 alike, kappa undefined"]


def test_nobody_has_judged_what_another_has():
    assert agreements(said(ann="k ", bob=" k")) == []
    assert render_agreements([]) == ["agreement: no sample was judged by two people"]
