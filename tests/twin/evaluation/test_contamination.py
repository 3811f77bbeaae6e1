"""The proof that nobody was trained on the test, sample by sample."""

import pytest

from twin.domain.sample import InstructSample, Split
from twin.evaluation.contamination import Proof, Trained, TrainingSet, uncontaminated
from twin.evaluation.held_out import document_groups, hold_out

PROSE = (
    "The keeper writes down the pressure of the boiler every hour of the watch, and signs it.",
    "A gauge that nobody reads is a hole in the wall, with a needle in front of the hole.",
    "On the third night the pump failed, and the log says so in seven words and a blot of ink.",
)


def sample(name, document, answer, split=Split.TEST, **more):
    return InstructSample(
        id=name,
        split=split,
        instruction="What then?",
        answer=answer,
        document_id=document,
        revision="r",
        chunk_id=more.pop("chunk_id", f"chunk of {name}"),
        title=document,
        url="https://example.org",
        **more,
    )


def trained(*samples, seen=()):
    documents = frozenset(each.document_id for each in samples)
    return Trained("d1", documents, documents | frozenset(seen), samples)


TEST = [sample(f"t{n}", f"test {n}", text) for n, text in enumerate(PROSE)]
OTHER = sample("o", "other", "Of something else it speaks, in other words than those above.")


def clean(test, **sets):
    kept, left_out = uncontaminated(test, document_groups(test), sets)
    return [each.id for each in kept], left_out


def test_what_nobody_knows_stays():
    assert clean(TEST, candidate=trained(OTHER)) == (["t0", "t1", "t2"], {})


@pytest.mark.parametrize("role", ["candidate", "champion", "reference"])
def test_a_document_that_any_model_has_seen_goes(role):
    sets = {each: trained(OTHER) for each in ("candidate", "champion", "reference")}
    sets[role] = trained(OTHER, seen=["test 1"])
    assert clean(TEST, **sets) == (["t0", "t2"], {f"document in the {role}'s training set": 1})


def test_a_passage_that_was_trained_on_goes():
    """As one of several that a written answer follows from, on either side."""
    known = sample("k", "other", "Briefly.", chunk_ids=("a", "b"))
    test = [*TEST, sample("t3", "test 3", "In short.", chunk_id="c", chunk_ids=("c", "b"))]
    kept, left_out = clean(test, champion=trained(known))
    assert kept == ["t0", "t1", "t2"]
    assert left_out == {"passage in the champion's training set": 1}


def test_an_answer_that_is_mostly_copied_goes_with_its_document():
    copy = sample("k", "cross-post", PROSE[0].upper() + " And a line of its own at the end.")
    short = sample("t4", "test 0", "Yes.")
    assert clean([*TEST, short], candidate=trained(copy))[0] == ["t1", "t2", "t4"]
    assert clean(TEST, candidate=trained(copy)) == (
        ["t1", "t2"],
        {"copied in a training set": 1},
    )


def test_a_document_that_is_mostly_copied_goes_whole():
    test = [sample(f"t{n}", "test", text) for n, text in enumerate((*PROSE[:2], "Only here."))]
    copies = [sample(f"k{n}", "cross-post", text) for n, text in enumerate(PROSE)]
    assert clean(test, candidate=trained(*copies)) == (
        [],
        {"copied in a training set": 2, "of the group of such a document": 1},
    )
    assert clean(test, candidate=trained(copies[0]))[0] == ["t1", "t2"]


def test_a_group_goes_whole():
    """An edition of a document that was trained on is known, too, though it has another id."""
    edition = [sample(f"e{n}", "edition", text) for n, text in enumerate(PROSE)]
    test = [sample(f"t{n}", "test", text) for n, text in enumerate(PROSE)]
    extra = sample("t9", "test", "Only here.")
    kept, left_out = clean([*test, extra, *edition], candidate=trained(OTHER, seen=["edition"]))
    assert kept == []
    assert left_out == {
        "document in the candidate's training set": 3,
        "of the group of such a document": 4,
    }


def test_refusals_are_the_same_everywhere():
    refusal = "About that I have not written anything at all, and so I can not tell you."
    asked = sample("t5", "test 5", refusal, kind="unanswerable", chunk_id="")
    known = sample("k", "other", refusal, kind="withheld", chunk_id="")
    assert clean([*TEST, asked], candidate=trained(known)) == (["t0", "t1", "t2", "t5"], {})


def test_the_proof_in_words():
    sets = (
        TrainingSet(role="candidate", version="3", dataset_version="d2", documents=11),
        TrainingSet(role="champion", version="2", dataset_version="d1", missing="it is gone"),
    )
    assert Proof(sets=sets, documents=9, left_out={}).text == (
        "none of the 9 test documents is in the training set of candidate 3 (d2: 11 documents); "
        "champion 2: it is gone"
    )
    assert Proof(sets=sets[:1], documents=9, left_out={"copied": 2, "known": 1}).text == (
        "3 test samples are left out (copied: 2; known: 1); none of the others is in the training "
        "set of candidate 3 (d2: 11 documents)"
    )


def test_documents_that_say_the_same_are_one_group():
    twins = [sample("a", "post", PROSE[0]), sample("b", "cross-post", PROSE[0]), *TEST[1:]]
    groups = document_groups(twins)
    assert groups == {
        "post": "cross-post", "cross-post": "cross-post", "test 1": "test 1", "test 2": "test 2",
    }  # fmt: skip
    held_out = hold_out(twins, groups, "The Keeper", max_samples=3, seed=1)
    assert sorted(held_out.groups) == ["cross-post", "test 1", "test 2"]
