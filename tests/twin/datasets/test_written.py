"""Samples of written questions: lineage, passages as serving shows them, and no leak."""

from collections import Counter

import pytest

from tests.twin import corpora
from twin.datasets.instruct import make_instruct_set
from twin.datasets.written import Asked, Shelf, drawn, locate, written_samples
from twin.domain.answer import Passage
from twin.domain.sample import WITHHELD, Maker, Split
from twin.domain.written import WrittenQuestion
from twin.rag.prompt import format_passage
from twin.recipes import DatasetsSection

REFUSAL = "I have not written about that."
KNOBS = DatasetsSection(samples_per_passage=1)


def words(name):
    return " ".join(f"{name}{number}" for number in range(45)) + "."


def article(name, passages=4):
    """Chunks of which each has words of its own."""
    return [
        chunk.model_copy(update={"text": f"{words(f'{name}p{place}w')}\n\nThe   end\nof {place}."})
        for place, chunk in enumerate(corpora.document(name, passages))
    ]


CHUNKS = [chunk for n in range(12) for chunk in article(f"d{n}")]


def about(document, place=0, **changes):
    fields = {
        "kind": "fact",
        "question": f"What is at {place} of {document}?",
        "answer": f"Number {place}.",
        "support": [{"document": document, "quote": f"{document}p{place}w0 {document}p{place}w1"}],
        "facts": [str(place)],
        **changes,
    }
    return WrittenQuestion.model_validate(fields)


def nothing_about(document):
    question = f"What is not in {document}?"
    return WrittenQuestion(kind="unanswerable", question=question, document=document)


def passage(chunk, rank, joined=()):
    return Passage(
        rank=rank,
        score=1 / rank,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        revision=chunk.revision,
        url=chunk.url,
        title=chunk.title,
        headings=chunk.headings,
        text=chunk.text,
        joined=joined,
    )


class Search:
    """Gives the chunk asked for at a rank (0: not at all) among others that are not hidden."""

    def __init__(self, rank=2, joined=False):
        self.rank, self.joined, self.asked = rank, joined, {}

    def __call__(self, question, hidden):
        self.asked[question] = set(hidden)
        shown = [chunk for chunk in CHUNKS if chunk.document_id not in hidden]
        right = next(
            (c for c in CHUNKS if question.endswith(f" {c.ordinal} of {c.document_id}?")), None
        )
        others = [c for c in shown if right is None or c.document_id != right.document_id][:3]
        if right and self.rank:
            near = right if not self.joined else others.pop()
            others.insert(self.rank - 1, near)
            joined = (right.id,) if self.joined else ()
            return [
                passage(c, n, joined if c is near else ())
                for n, c in enumerate(others[:3], start=1)
            ]
        return [passage(c, n) for n, c in enumerate(others[:3], start=1)]


def made(questions, search=None, knobs=KNOBS, withheld_share=0.0):
    asked = Asked(questions, search or Search(), REFUSAL, 3, withheld_share)
    return make_instruct_set(CHUNKS, knobs, asked=asked)


def written(samples):
    return [sample for sample in samples if sample.maker is Maker.WRITTEN]


ALL = [about(f"d{n}", place) for n in range(12) for place in range(4)]
SPLITS = make_instruct_set(CHUNKS, KNOBS).documents


def of(split):
    return next(name for name in sorted(SPLITS) if SPLITS[name] is split)


def test_each_question_is_a_sample_with_its_lineage():
    chunks = {(c.document_id, c.ordinal): c for c in CHUNKS}
    made_set = made(ALL)
    samples = written(made_set.samples)
    assert len(samples) == len(ALL) == len({sample.id for sample in samples})
    for sample, question in zip(samples, ALL, strict=True):
        chunk = chunks[question.support[0].document, int(question.facts[0])]
        assert (sample.instruction, sample.answer) == (question.question, question.answer)
        assert (sample.document_id, sample.revision) == (chunk.document_id, chunk.revision)
        assert (sample.chunk_id, sample.chunk_ids) == (chunk.id, (chunk.id,))
        assert (sample.title, sample.url) == (chunk.title, chunk.url)
        assert (sample.kind, sample.facts) == ("fact", question.facts)
        assert sample.split is made_set.documents[chunk.document_id] is SPLITS[chunk.document_id]
        assert format_passage(chunk) in sample.context


def test_nothing_held_out_is_shown_in_training_and_the_test_sees_what_serving_does():
    search = Search()
    for sample in written(made(ALL, search).samples):
        hidden = {SPLITS[name] for name in search.asked[sample.instruction]}
        assert (
            hidden
            == {
                Split.TRAIN: {Split.VALIDATION, Split.TEST},
                Split.VALIDATION: {Split.TEST},
                Split.TEST: set(),
            }[sample.split]
        )


def test_training_shows_from_one_passage_to_all_and_the_right_one_where_it_was_found():
    samples = written(made(ALL).samples)
    train = Counter(len(s.context) for s in samples if s.split is Split.TRAIN)
    assert set(train) == {1, 2, 3}
    assert {len(s.context) for s in samples if s.split is not Split.TRAIN} == {3}
    shown = {format_passage(chunk): chunk.id for chunk in CHUNKS}
    for sample in samples:
        place = [shown[text] for text in sample.context].index(sample.chunk_id)
        assert place == min(1, len(sample.context) - 1)


@pytest.mark.parametrize(("rank", "missed"), [(0, 48), (1, 0)])
def test_a_right_passage_that_is_not_found_is_shown_last_and_counted(rank, missed):
    made_set = made(ALL, Search(rank))
    assert made_set.not_retrieved == missed
    shown = {format_passage(chunk): chunk.id for chunk in CHUNKS}
    for sample in written(made_set.samples):
        assert shown[sample.context[-1 if missed else 0]] == sample.chunk_id
        assert len(sample.context) <= 3


def test_a_right_passage_joined_to_its_neighbour_counts_as_found():
    made_set = made(ALL, Search(1, joined=True))
    assert made_set.not_retrieved == 0
    assert all(len(s.context) <= 3 for s in written(made_set.samples))


def test_the_same_questions_give_the_same_samples_and_the_seed_draws_others():
    first = written(made(ALL).samples)
    assert written(made(ALL).samples) == first
    other = written(made(ALL, knobs=KNOBS.model_copy(update={"seed": 99})).samples)
    assert [s.id for s in other] == [s.id for s in first]
    assert [s.context for s in other] != [s.context for s in first]


def test_the_answer_to_what_cannot_be_answered_is_the_refusal():
    made_set = made([nothing_about("d3")])
    [sample] = written(made_set.samples)
    assert sample.answer == REFUSAL
    assert (sample.chunk_id, sample.chunk_ids, sample.facts) == ("", (), ())
    assert (sample.document_id, sample.title) == ("d3", "The d3 article")
    assert sample.split is SPLITS["d3"]
    assert 1 <= len(sample.context) <= 3
    assert made_set.not_retrieved == 0


def withheld(samples):
    return [sample for sample in samples if sample.kind == WITHHELD]


@pytest.mark.parametrize("joined", [False, True])
def test_what_is_trained_on_is_asked_again_without_what_answers_it(joined):
    # The fact is a number, which the text of another article has not: see `words`.
    questions = [
        about(f"d{n}", place, answer=f"At d{n}p{place}w0.", facts=[f"d{n}p{place}w0"])
        for n in range(12)
        for place in range(4)
    ]
    plainly = written(made(questions).samples)
    samples = written(made(questions, Search(2, joined), withheld_share=1.0).samples)
    again = withheld(samples)
    assert {s.instruction for s in again} == {
        s.instruction for s in plainly if s.split is Split.TRAIN
    }
    assert len({s.id for s in samples}) == len(samples) == len(plainly) + len(again)
    answers = {s.instruction: s for s in samples if s.kind != WITHHELD}
    for sample in again:
        answered = answers[sample.instruction]
        assert (sample.split, sample.answer) == (Split.TRAIN, REFUSAL)
        assert (sample.chunk_id, sample.chunk_ids, sample.facts) == ("", (), ())
        assert (sample.document_id, sample.title) == (answered.document_id, answered.title)
        assert 1 <= len(sample.context) <= len(answered.context)
        assert answered.facts[0] not in "".join(sample.context)
    if not joined:
        assert [s for s in samples if s.kind != WITHHELD] == plainly


def test_so_many_are_asked_again_as_the_share_says():
    questions = [about(f"d{n}", place, facts=["Number"]) for n in range(12) for place in range(4)]
    train = sum(s.split is Split.TRAIN for s in written(made(questions).samples))
    some = withheld(made(questions, withheld_share=0.5).samples)
    assert 0.3 * train < len(some) < 0.7 * train
    assert withheld(made(questions, withheld_share=0.0).samples) == []
    assert withheld(made([nothing_about("d3")], withheld_share=1.0).samples) == []


def test_nothing_is_asked_again_where_what_else_was_found_may_answer_it():
    train = of(Split.TRAIN)
    only = Asked([about(train)], lambda *_: [passage(article(train)[0], 1)], REFUSAL, 3, 1.0)
    assert withheld(make_instruct_set(CHUNKS, KNOBS, asked=only).samples) == []
    # "of" stands in each passage; "Number" in none, and one missing fact makes a wrong answer.
    assert (
        withheld(made([about(train, answer="of", facts=["of"])], withheld_share=1.0).samples) == []
    )
    both = about(train, answer="Number of", facts=["of", "Number"])
    assert len(withheld(made([both], withheld_share=1.0).samples)) == 1
    history = [{"question": "Which?", "answer": "Number 7."}]
    told = about(train, kind="follow-up", history=history, facts=["Number"])
    assert withheld(made([told], withheld_share=1.0).samples) == []


def test_what_is_asked_again_keeps_within_the_largest_number_of_samples():
    knobs = KNOBS.model_copy(update={"max_samples": 10})
    questions = [about(f"d{n}", facts=["Number"]) for n in range(12)]
    samples = made(questions, knobs=knobs, withheld_share=1.0).samples
    assert (len(samples), len(withheld(samples))) == (10, 0)
    knobs = KNOBS.model_copy(update={"max_samples": 14})
    samples = made(questions, knobs=knobs, withheld_share=1.0).samples
    assert (len(samples), len(withheld(samples))) == (14, 2)


def test_a_follow_up_brings_the_turns_before_it():
    history = [{"question": "One?", "answer": "Yes."}, {"question": "Two?", "answer": "No."}]
    [sample] = written(made([about("d1", kind="follow-up", history=history)]).samples)
    assert [(turn.role, turn.content) for turn in sample.history] == [
        ("user", "One?"),
        ("assistant", "Yes."),
        ("user", "Two?"),
        ("assistant", "No."),
    ]
    [plain] = written(made([about("d1")]).samples)
    assert plain.history == ()
    assert plain.id != sample.id


@pytest.mark.parametrize(
    "name", ["d1", "D1", "https://ann.example/d1", "The d1 article", "the D1 Article"]
)
def test_a_document_goes_by_id_address_title_or_file_name(name):
    support = [{"document": name, "quote": "d1p0w0 d1p0w1"}]
    [sample] = written(made([about("d1", support=support)]).samples)
    assert sample.document_id == "d1"


def test_a_file_goes_by_its_name_with_and_without_ending():
    chunks = [c.model_copy(update={"url": "folder://x/My%20Notes.md"}) for c in article("n")]
    shelf = Shelf.of(chunks, [nothing_about("my notes")])
    assert {shelf.document(name) for name in ("My Notes", "my notes.md")} == {"n"}
    assert shelf.document("Notes") is None


def test_only_documents_that_are_asked_about_are_held():
    asked = [about("d2"), nothing_about("https://ann.example/d5")]
    shelf = Shelf.of(iter(CHUNKS), asked)
    assert set(shelf.chunks) == {"d2", "d5"}
    assert shelf.chunks["d2"] == article("d2")
    assert Shelf.of(CHUNKS, []).chunks == {}


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (about("gone"), "document not in the index"),
        (nothing_about("gone"), "document not in the index"),
        (
            about("d1", support=[{"document": "d1", "quote": "D1p0w0"}]),
            "quote not in the current revision",
        ),
        (
            about("d1", support=[{"document": "d1", "quote": "d2p0w0 d2p0w1"}]),
            "quote not in the current revision",
        ),
        (about("Same title"), "several documents of this name"),
        (nothing_about("same TITLE"), "several documents of this name"),
    ],
)
def test_what_the_index_no_longer_holds_is_set_aside_with_the_reason(question, reason):
    same = [
        c.model_copy(update={"title": "Same title"}) for n in (20, 21) for c in article(f"d{n}")
    ]
    asked = [question, about("d0")]
    located, set_aside = locate(asked, Shelf.of([*CHUNKS, *same], asked))
    assert set_aside == [(question.question, reason)]
    assert [each.asked for each in located] == [about("d0")]


def test_a_quote_may_be_broken_across_lines():
    question = about("d1", 2, support=[{"document": "d1", "quote": "The end of\n2."}])
    [sample] = written(made([question]).samples)
    assert sample.chunk_id == article("d1")[2].id


def test_support_in_two_documents_has_to_be_of_one_split():
    def comparing(one, other):
        support = [{"document": name, "quote": f"{name}p0w0 {name}p0w1"} for name in (one, other)]
        return about(one, kind="comparison", support=support)

    train = [name for name in sorted(SPLITS) if SPLITS[name] is Split.TRAIN]
    made_set = made([comparing(*train[:2]), comparing(train[0], of(Split.TEST))])
    [sample] = written(made_set.samples)
    assert sample.split is Split.TRAIN
    assert sample.chunk_ids == (article(train[0])[0].id, article(train[1])[0].id)
    assert len(sample.context) in {2, 3}
    assert [reason for _, reason in made_set.set_aside] == ["support in several splits"]


def test_written_samples_are_kept_before_any_other():
    knobs = KNOBS.model_copy(update={"max_samples": 50})
    samples = made(ALL, knobs=knobs).samples
    assert len(samples) == 50
    assert len(written(samples)) == 48
    few = made(ALL, knobs=KNOBS.model_copy(update={"max_samples": 10})).samples
    assert len(few) == len(written(few)) == 10


def test_no_search_is_made_for_what_is_not_drawn():
    search = Search()
    made(ALL, search, KNOBS.model_copy(update={"max_samples": 5}))
    assert len(search.asked) == 5
    located, _ = locate(ALL, Shelf.of(CHUNKS, ALL))
    assert drawn(located, 100, 1) == located
    assert drawn(located, 5, 1) != drawn(located, 5, 2)


def test_a_document_without_a_usable_passage_is_split_with_its_questions():
    code = corpora.document("code", 1)[0].model_copy(update={"text": "```\nrun --now\n```"})
    question = about("code", support=[{"document": "code", "quote": "run --now"}])
    asked = Asked([question], lambda *_: [], REFUSAL, 3)
    made_set = make_instruct_set([*CHUNKS, code], KNOBS, asked=asked)
    [sample] = written(made_set.samples)
    assert sample.split is made_set.documents["code"]
    assert sample.context == (format_passage(code),)


def test_no_question_is_no_sample():
    assert written_samples([], SPLITS, Asked([], Search(), REFUSAL, 3), 1).samples == []
    assert not written(make_instruct_set(CHUNKS, KNOBS).samples)
