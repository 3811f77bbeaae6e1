"""What searching a question in several parts part by part finds, against searching it whole.

Two-part questions are made of pairs of the handbook's questions about different articles, joined in
the ways in which people join them. Whether `retrieval.parts` is on was chosen on the split `dev`;
`test` is only reported. `make bench-retrieval` prints it.
"""

import random

import pytest

from tests.bench.retrieval.questions import chunks_of, handbook, load
from tests.bench.test_retrieval import EMBEDDER, SPLITS, _indexed
from twin.evaluation.resampling import difference, estimate, mean_of
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.rag.parts import parts_of
from twin.rag.retrieve import Retriever
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import IndexSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

#: Passages that an answer is written from by default, and twice as many.
DEPTHS = (3, 6)
PAIRS = 150


@pytest.fixture(scope="module")
def embedder():
    return load_embedder(EMBEDDER, Settings())


@pytest.fixture(scope="module")
def corpus(embedder, tmp_path_factory):
    """The index, and each split's questions."""
    chunker = Chunker(embedder, 200)
    chunks = chunks_of(handbook(), chunker)
    index = EmbeddedIndex(tmp_path_factory.mktemp("parts"), "handbook")
    with index.write(IndexSpec(embedder=embedder.id, chunker=chunker.version), 384) as writer:
        writer.upsert([_indexed(own, embedder) for own in chunks])
        writer.publish()
    every = [chunk for own in chunks for chunk in own]
    return index, {split: load("handbook", every, split) for split in SPLITS}


def pairs(questions):
    """Pairs of questions about two articles, joined with and without a question mark between."""
    asked = [each for each in questions if each.relevant and not each.keywords]
    drawn = random.Random(7)
    made = []
    while len(made) < PAIRS:
        first, second = drawn.sample(asked, 2)
        if first.document == second.document:
            continue
        said = second.text[0].lower() + second.text[1:]
        joined = (f"{first.text} {second.text}", f"{first.text.rstrip('?')} and {said}")
        made.append((joined[len(made) % 2], first, second))
    return made


def recalls(retriever, asked, depth):
    """For each pair the share of its two questions whose passage is found, and its article."""
    rows = []
    for text, first, second in asked:
        found = {hit.chunk_id for hit in retriever.find(text, depth).passages}
        rows.append((sum(bool(found & each.relevant) for each in (first, second)) / 2,
                     first.document))  # fmt: skip
    return rows


@pytest.mark.parametrize("split", SPLITS)
def test_recall_of_questions_in_two_parts(corpus, embedder, split, capsys):
    index, questions = corpus
    asked = pairs(questions[split])
    reader = index.read(embedder.id)
    told = sum(bool(parts_of(text, 3)) for text, _, _ in asked)
    lines = [f"\n{split}: {told} of {len(asked)} questions are told to have parts"]
    for depth in DEPTHS:
        rows = {
            parts: recalls(Retriever(reader, embedder, RetrievalSection(parts=parts)), asked, depth)
            for parts in (1, 3)
        }
        whole, by_part = (mean_of([row[0] for row in rows[parts]]) for parts in (1, 3))
        groups = [row[1] for row in rows[1]]
        means = [estimate(each, groups).value for each in (whole, by_part)]
        gain = estimate(difference(by_part, whole), groups)
        lines.append(
            f"recall@{depth}: whole {means[0]:.3f}, part by part {means[1]:.3f}, "
            f"gained {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        )
        assert gain.low > -0.02
    with capsys.disabled():
        print("\n".join(lines))
