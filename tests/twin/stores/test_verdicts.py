"""The verdicts on a recipe's samples: what is asked again is replaced, the rest stays."""

import pytest

from twin.domain.errors import BadDataError
from twin.domain.verdict import Decision, Opinion, Verdict
from twin.stores.files import open_files
from twin.stores.verdicts import Verdicts, digest


def verdict(sample, decision=Decision.KEEP, seen="x", document="d"):
    opinion = Opinion(person="1", decision=decision)
    return Verdict(sample=sample, seen=seen, document_id=document, opinions=(opinion,))


@pytest.fixture
def verdicts(settings):
    return Verdicts(open_files(settings), "ann")


def test_what_people_are_asked_again_is_replaced(verdicts):
    assert verdicts.read() == ()
    first = [verdict("b"), verdict("a"), verdict("c")]
    assert verdicts.update({("a", "x"), ("b", "x"), ("c", "x")}, first)
    assert verdicts.read() == (verdict("a"), verdict("b"), verdict("c"))
    # Of b nobody says anything any more, a is rejected now, c was not asked about.
    changed = verdict("a", Decision.REJECT)
    assert verdicts.update({("a", "x"), ("b", "x")}, [changed])
    assert verdicts.read() == (changed, verdict("c"))
    assert not verdicts.update({("a", "x")}, [changed])


def test_a_sample_with_another_answer_has_verdicts_of_its_own(verdicts):
    edited = verdict("a", Decision.REJECT, seen="y")
    verdicts.update({("a", "x")}, [verdict("a")])
    verdicts.update({("a", "y")}, [edited])
    assert verdicts.read() == (verdict("a"), edited)


def test_those_of_a_document_are_forgotten(verdicts):
    assert verdicts.forget({"d"}) == 0
    verdicts.update((), [verdict("a"), verdict("b", document="e")])
    assert verdicts.forget({"d"}) == 1
    assert verdicts.read() == (verdict("b", document="e"),)
    assert verdicts.forget({"d"}) == 0
    assert verdicts.forget({"e"}) == 1
    assert verdicts.read() == ()


def test_those_on_samples_of_several_documents_are_forgotten_by_their_names(verdicts):
    verdicts.update((), [verdict("a"), verdict("b"), verdict("c", document="e")])
    assert verdicts.forget({"e"}, {"b"}) == 2
    assert verdicts.read() == (verdict("a"),)


def test_those_on_pairs_lie_apart(verdicts, settings):
    on_pairs = Verdicts(open_files(settings), "ann", on_pairs=True)
    on_pairs.update((), [verdict("p")])
    assert verdicts.read() == ()
    assert on_pairs.read() == (verdict("p"),)
    assert on_pairs.name == "datasets/ann/pair-verdicts.json"


def test_the_digest_is_that_of_what_people_say():
    assert digest([verdict("a")]) == digest((verdict("a"),))
    assert digest([verdict("a")]) != digest([verdict("a", Decision.REJECT)])


def test_a_damaged_file_is_named(verdicts, settings):
    open_files(settings).write_json(verdicts.name, [{"sample": "a"}])
    with pytest.raises(BadDataError, match=r"verdicts\.json: 0\.seen: Field required"):
        verdicts.read()
