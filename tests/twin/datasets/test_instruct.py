"""Instruct samples: verbatim, grounded as serving shows it, split without leaks, repeatable."""

import re
from collections import Counter

import pytest

from tests.twin import corpora
from twin.datasets.instruct import make_instruct_set
from twin.datasets.keyphrases import KeyPhrases, phrases
from twin.datasets.passages import Passage, passage_of
from twin.domain.sample import Split
from twin.rag.prompt import format_passage
from twin.recipes import DatasetsSection

KNOBS = DatasetsSection()


def chunk(text, **fields):
    return corpora.document("d")[0].model_copy(update={"text": text, **fields})


def unlike_chunks():
    """Eight documents of four passages that share no word."""
    return [
        chunk(
            " ".join(f"{name}{place}w{number}" for number in range(60)) + ".",
            id=f"{name}-{place}",
            document_id=name,
            ordinal=place,
            headings=(f"{name} {place}",),
        )
        for name in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
        for place in range(4)
    ]


def test_answers_are_verbatim_and_carry_their_lineage():
    chunks = {c.id: c for c in corpora.corpus()}
    made = make_instruct_set(chunks.values(), KNOBS)
    assert made.samples
    for sample in made.samples:
        origin = chunks[sample.chunk_id]
        assert sample.answer in origin.text
        assert (sample.document_id, sample.revision) == (origin.document_id, origin.revision)
        assert (sample.title, sample.url) == (origin.title, origin.url)
        assert sample.split is made.documents[sample.document_id]


def test_the_same_chunks_give_the_same_samples_in_any_order():
    chunks = corpora.corpus()
    first = make_instruct_set(chunks, KNOBS)
    assert make_instruct_set(reversed(chunks), KNOBS).samples == first.samples
    other = make_instruct_set(chunks, KNOBS.model_copy(update={"seed": 14}))
    assert other.samples != first.samples


def test_instructions_and_ids_are_unique():
    made = make_instruct_set(corpora.corpus(12), KNOBS)
    assert len({s.instruction.lower() for s in made.samples}) == len(made.samples)
    assert len({s.id for s in made.samples}) == len(made.samples)


def test_grounded_samples_show_the_right_passage_among_others_of_their_split():
    knobs = KNOBS.model_copy(update={"context_passages": 3, "copy_share": 1.0})
    chunks = {c.id: c for c in corpora.corpus(12)}
    shown = {format_passage(c): c for c in chunks.values()}
    made = make_instruct_set(chunks.values(), knobs)
    grounded = [s for s in made.samples if s.context]
    # Two samples a passage at a share of one half: exactly one of them shows passages.
    pairs = [n for n, count in Counter(s.chunk_id for s in made.samples).items() if count == 2]
    assert len(pairs) > 5
    assert all(sum(s.chunk_id == name for s in grounded) == 1 for name in pairs)
    places = Counter()
    for sample in grounded:
        assert len(sample.context) == 3 or sample.split is not Split.TRAIN
        right = format_passage(chunks[sample.chunk_id])
        assert sample.context.count(right) == 1
        places[sample.context.index(right)] += 1
        for text in sample.context:
            assert made.documents[shown[text].document_id] is sample.split
    assert set(places) == {0, 1, 2}


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_the_share_of_grounded_samples_is_kept_at_its_ends(share, expected):
    knobs = KNOBS.model_copy(update={"grounded_share": share, "copy_share": 1.0})
    made = make_instruct_set(corpora.corpus(), knobs)
    assert all(bool(s.context) == bool(expected) for s in made.samples)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Too short.", "shorter than min_answer_words"),
        ("```python\n" + "x = 1\n" * 40 + "```", "code, list or table"),
        ("\n".join(f"- item {n} of the list" for n in range(20)), "code, list or table"),
        ("| a | b |\n|---|---|\n" + "| one | two |\n" * 20, "code, list or table"),
        ("word " * 500, "paragraph longer than max_answer_words"),
        ("These are the steps that I take whenever a " + "job " * 30 + "fails:", "cut off"),
    ],
)
def test_what_is_no_prose_or_of_the_wrong_length_is_left_out(text, reason):
    found = passage_of(chunk(text), KNOBS)
    assert isinstance(found, str)
    assert reason in found


def test_a_long_chunk_gives_its_first_whole_paragraphs():
    paragraphs = [f"Paragraph {n} says " + "this and that " * 20 for n in range(6)]
    found = passage_of(chunk("\n\n".join(paragraphs)), KNOBS)
    assert isinstance(found, Passage)
    assert found.answer == "\n\n".join(paragraphs[:3]).strip()


def test_a_line_of_any_length_is_read_in_its_own_time():
    """It took the square of it, in which this test would not end."""
    text = "many words " * 100_000
    assert passage_of(chunk(text), KNOBS) == "paragraph longer than max_answer_words"


@pytest.mark.parametrize("heading", ["## A small section", "A small section\n---", "Another\n==="])
def test_no_heading_is_in_an_answer(heading):
    short, long = "Some words here. " * 4, "This is the long one of the two. " * 6
    found = passage_of(chunk(f"{short}\n\n{heading}\n\n{long}\n\n### Last\n\n{short}"), KNOBS)
    assert isinstance(found, Passage)
    assert found.answer == long.strip()


def test_a_comment_and_a_table_are_no_headings():
    prose = "This is the long one of the two. " * 8
    code = "```sh\n# Not a heading\nrun\n```"
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    text = f"{prose}\n\n{code}\n\n{table}\n\n{prose}".strip()
    found = passage_of(chunk(text), KNOBS)
    assert isinstance(found, Passage)
    assert found.answer == text


def test_skipped_chunks_are_counted_with_their_reason():
    chunks = [*corpora.corpus(), chunk("Short.", id="s", document_id="short")]
    made = make_instruct_set(chunks, KNOBS)
    assert made.skipped["shorter than min_answer_words"] == 1
    assert "short" not in made.documents


def test_a_passage_that_stands_in_two_documents_is_kept_where_it_is_measured():
    chunks = corpora.corpus(12)
    splits = make_instruct_set(chunks, KNOBS).documents
    test, train = (
        next(c for c in chunks if splits[c.document_id] is split)
        for split in (Split.TEST, Split.TRAIN)
    )
    copied = [c.model_copy(update={"text": test.text}) if c.id == train.id else c for c in chunks]
    made = make_instruct_set(copied, KNOBS)
    holders = {s.document_id for s in made.samples if s.answer == test.text}
    assert holders == {test.document_id}
    assert made.skipped["said before"] >= 1


def test_most_of_a_held_out_passage_is_a_copy_too():
    chunks = unlike_chunks()
    splits = make_instruct_set(chunks, KNOBS).documents
    test, train = (
        next(c for c in chunks if splits[c.document_id] is split)
        for split in (Split.TEST, Split.TRAIN)
    )
    edited = "A word of mine first. " + test.text
    near = [c.model_copy(update={"text": edited}) if c.id == train.id else c for c in chunks]
    made = make_instruct_set(near, KNOBS)
    assert made.documents == splits
    assert made.skipped["said before"] == 1


def test_what_has_no_templates_for_its_language_is_left_out_and_counted():
    chunks = [
        c.model_copy(update={"language": "de" if c.document_id == "alpha" else "en"})
        for c in unlike_chunks()
    ]
    made = make_instruct_set(chunks, KNOBS)
    assert made.skipped == {"no instructions in its language (de)": 4}
    assert "alpha" in made.documents
    assert {s.document_id for s in made.samples} == made.documents.keys() - {"alpha"}


def test_documents_that_say_the_same_are_split_together():
    chunks = corpora.corpus(12)
    alone = make_instruct_set(chunks, KNOBS).documents
    test = next(name for name, split in alone.items() if split is Split.TEST)
    copy = [
        c.model_copy(update={"id": f"copy-{c.id}", "document_id": "copy"})
        for c in chunks
        if c.document_id == test
    ]
    made = make_instruct_set([*chunks, *copy], KNOBS, kept=alone)
    assert made.documents["copy"] is Split.TEST
    assert {name: made.documents[name] for name in alone} == alone


def test_the_seed_of_the_samples_moves_no_document():
    first = make_instruct_set(corpora.corpus(12), KNOBS)
    other = make_instruct_set(corpora.corpus(12), KNOBS.model_copy(update={"seed": 14}))
    redrawn = make_instruct_set(corpora.corpus(12), KNOBS.model_copy(update={"split_seed": 14}))
    assert other.documents == first.documents
    assert other.samples != first.samples
    assert redrawn.documents != first.documents


def test_max_samples_bounds_the_set():
    made = make_instruct_set(corpora.corpus(12), KNOBS.model_copy(update={"max_samples": 10}))
    assert len(made.samples) == 10


def test_key_phrases_are_terms_that_recur():
    texts = [
        "The router weights decide. A cold morning came by. I trust the router weights.",
        "Never guess the router weights, and never a stray cat.",
        "Nothing of the kind is here; only `router weights` in code.",
    ]
    said = [phrases(text) for text in texts]
    known = KeyPhrases(said)
    assert [known.of(each) for each in said] == [["router weights"], ["router weights"], []]
    assert "pod template" in phrases("A pod template, or the [pod template](http://x.example)")
    assert KeyPhrases([["nothing"], ["recurs"]]).of(["nothing"]) == []
    assert KeyPhrases([]).of(["nothing"]) == []


def test_the_most_telling_phrases_come_first():
    """As scikit-learn's TfidfVectorizer has it, with its logarithm of how often a phrase stands."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [c.text for c in corpora.corpus(12)]
    said = [phrases(text) for text in texts]
    table = TfidfVectorizer(
        analyzer=lambda text: said[text], norm=None, sublinear_tf=True, min_df=2
    )
    weights = table.fit_transform(range(len(said))).toarray()
    names = table.get_feature_names_out()
    known = KeyPhrases(said)
    for row, each in zip(weights, said, strict=True):
        scored = sorted((-weight, name) for name, weight in zip(names, row, strict=True) if weight)
        assert known.of(each) == [name for _, name in scored[:3]]
        assert known.of(each, 1) == known.of(each)[:1]


def test_no_instruction_shows_a_stretch_of_its_answer():
    for sample in make_instruct_set(corpora.corpus(12), KNOBS).samples:
        words = re.findall(r"\w+", sample.instruction.lower())
        answer = " ".join(re.findall(r"\w+", sample.answer.lower()))
        for start in range(len(words) - 5):
            assert " ".join(words[start : start + 6]) not in answer
