"""People's verdicts in the next samples: what goes, what is replaced, what stays as it is."""

from tests.twin import corpora
from tests.twin.datasets.sets import FOLLOW_UP, sample
from twin.datasets.copies import shows_answer
from twin.datasets.instruct import make_instruct_set
from twin.datasets.reviews import Refused, Reviews
from twin.domain.sample import Maker
from twin.domain.verdict import Decision, Opinion, Verdict, digest_of
from twin.recipes import DatasetsSection

KNOBS = DatasetsSection(**corpora.SMALL)


def verdict(of, *decisions, answer="", reason=""):
    opinions = tuple(
        Opinion(person=str(number), decision=decision, answer=answer, reason=reason)
        for number, decision in enumerate(decisions)
    )
    return Verdict(sample=of.id, seen=digest_of(of), document_id="d", opinions=opinions)


def keep(of):
    return verdict(of, Decision.KEEP)


def reject(of, reason="wrong answer"):
    return verdict(of, Decision.REJECT, reason=reason)


def edit(of, answer):
    return verdict(of, Decision.EDIT, answer=answer)


A, B, C, D = (sample(name) for name in "abcd")


def test_rejected_ones_go_edited_ones_change_and_the_rest_stays():
    reviews = Reviews.of([reject(A), edit(B, "Better b."), keep(C)])
    made = reviews.apply([A, B, C, D])
    edited = B.model_copy(update={"answer": "Better b.", "maker": Maker.EDITED})
    assert made == [edited, C, D]
    assert reviews.kept == {"b", "c"}
    assert reviews.refused == {"a": Refused("What of a?", "wrong answer")}
    assert reviews.reasons() == {"wrong answer": 1}
    assert reviews.outcome(made) == {"kept as they are": 1, "answer edited": 1, "left out": 1}
    assert reviews.apply(made) == made, "once more changes nothing"


def test_what_people_disagree_on_is_left_out():
    reviews = Reviews.of([verdict(A, Decision.KEEP, Decision.REJECT)])
    assert reviews.apply([A]) == []
    assert reviews.reasons() == {"people disagree": 1}


def test_a_verdict_on_another_text_says_nothing():
    other = A.model_copy(update={"answer": "What stood there before."})
    gone = sample("gone")
    reviews = Reviews.of([reject(other), reject(gone)])
    assert reviews.apply([A]) == [A]
    assert reviews.outcome([A]) == {"of another text or of no sample": 2}


def test_an_edited_answer_is_judged_again():
    better = A.model_copy(update={"answer": "Better."})
    best = edit(better, "Best.")
    assert [each.answer for each in Reviews.of([edit(A, "Better."), best]).apply([A])] == ["Best."]
    reviews = Reviews.of([edit(A, "Better."), reject(better)])
    assert reviews.apply([A]) == []
    assert reviews.outcome([]) == {"left out": 1}
    back = Reviews.of([edit(A, "Better."), edit(better, A.answer)])
    assert [each.answer for each in back.apply([A])] == [A.answer], "there and back ends"


def test_an_edited_written_answer_keeps_its_facts_or_goes():
    reviews = Reviews.of([edit(FOLLOW_UP, "It is b, in short.")])
    (made,) = reviews.apply([FOLLOW_UP])
    assert (made.answer, made.maker) == ("It is b, in short.", Maker.WRITTEN)
    reviews = Reviews.of([edit(FOLLOW_UP, "It is nothing.")])
    assert reviews.apply([FOLLOW_UP]) == []
    assert reviews.reasons() == {"edited answer lacks a fact": 1}


def test_what_people_write_is_cleaned():
    reviews = Reviews.of([edit(A, "Ask ann@a.example.")], lambda text: text.replace("ann@", "[E]"))
    assert reviews.apply([A])[0].answer == "Ask [E]a.example."


def test_what_is_kept_is_neither_drawn_out_nor_changed():
    knobs = KNOBS.model_copy(update={"copy_share": 1.0, "grounded_share": 1.0})
    whole = make_instruct_set(corpora.corpus(12), knobs).samples
    few = knobs.model_copy(update={"max_samples": 8, "copy_share": 0.0})
    drawn = {each.instruction for each in make_instruct_set(corpora.corpus(12), few).samples}
    wanted = [each for each in whole if each.instruction not in drawn and shows_answer(each)][:4]
    assert len(wanted) == 4
    reviews = Reviews.of([keep(each) for each in wanted])
    made = make_instruct_set(corpora.corpus(12), few, reviews=reviews).samples
    assert len(made) == 8
    assert [each for each in made if each.id in {one.id for one in wanted}] == wanted
    assert reviews.outcome(made) == {"kept as they are": 4}


def test_a_sample_asked_from_memory_in_the_end_can_be_rejected():
    knobs = KNOBS.model_copy(update={"copy_share": 0.0, "grounded_share": 1.0})
    before = make_instruct_set(corpora.corpus(), knobs).samples
    assert not any(each.context for each in before)
    reviews = Reviews.of([reject(before[0])])
    after = make_instruct_set(corpora.corpus(), knobs, reviews=reviews).samples
    assert after == before[1:]


def test_without_verdicts_nothing_changes():
    plain = make_instruct_set(corpora.corpus(), KNOBS)
    assert make_instruct_set(corpora.corpus(), KNOBS, reviews=Reviews({})).samples == plain.samples
