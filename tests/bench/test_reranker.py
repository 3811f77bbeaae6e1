"""A cross-encoder trained from the embedder's weights, beside MaxSim and no reranker.

It learns from the written questions of the handbook's data set, but for those about every fifth
article; its weight beside the search's scores is chosen on the split `dev`, and `test` says what
it is worth: on all questions, on those about articles that it learned nothing of, and on a blog
that it has never seen. `make bench-retrieval` prints the table and leaves it in
build/bench-retrieval.
"""

import random
import time

import pytest
import yaml

from tests.bench.retrieval.questions import BLOG
from tests.bench.test_retrieval import EMBEDDER, OUTPUT, corpus, sure, told
from tests.conftest import ROOT
from twin.evaluation.resampling import difference, mean_of
from twin.features.fitting import steps_of
from twin.features.reranker_fit import fit
from twin.features.reranker_gain import K, Scored, best_weight
from twin.features.reranker_questions import (
    DRAWN_FROM,
    AskedQuestion,
    candidates_of,
)
from twin.features.train_reranker import scored
from twin.models.embedder import load_embedder
from twin.rag.ranking import first_relevant
from twin.rag.rerank import CrossEncoderReranker, mixed
from twin.recipes.reranker import RerankerSection
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(6_000)]

QUESTIONS = ROOT / "include" / "handbook-questions.yaml"
EVERY = 5
KNOBS = RerankerSection()


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    names = ["handbook", *(["lilianweng"] if BLOG.is_dir() else [])]
    return [corpus(name, folder, EMBEDDER, Settings()) for name in names]


def slug(chunk) -> str:
    return chunk.url.rstrip("/").rpartition("/")[2]


def written(indexed) -> list[AskedQuestion]:
    """The questions of the handbook's data set, each with the chunks that hold its quotations."""
    found = []
    for asked in yaml.safe_load(QUESTIONS.read_text(encoding="utf-8")):
        right = {
            chunk.id
            for quoted in asked.get("support") or ()
            for chunk in indexed.values()
            if slug(chunk) == quoted["document"]
            and " ".join(quoted["quote"].split()) in " ".join(chunk.text.split())
        }
        if right:
            document = asked["support"][0]["document"]
            found.append(AskedQuestion(asked["question"], frozenset(right), document))
    return found


@pytest.fixture(scope="module")
def trained(corpora, tmp_path_factory):
    """The cross-encoder, and the articles that it learned nothing of."""
    handbook = corpora[0]
    indexed = {chunk.id: chunk for chunk in handbook.index.read().chunks()}
    questions = written(indexed)
    held_out = set(sorted({slug(chunk) for chunk in indexed.values()})[::EVERY])
    hidden = {chunk.document_id for chunk in indexed.values() if slug(chunk) in held_out}
    retriever = handbook.retriever({})
    draw = random.Random(KNOBS.seed)
    candidates = []
    for question in questions:
        if question.document in held_out:
            continue
        hits = retriever.hits(question.text, DRAWN_FROM + len(question.relevant))
        found = [hit.chunk for hit in hits]
        made = candidates_of(question, found, indexed, hidden, KNOBS.negatives, draw)
        candidates += [made] if made else []
    base = load_embedder(EMBEDDER, Settings()).folder
    started = time.perf_counter()
    folder = fit(base, candidates, KNOBS, tmp_path_factory.mktemp("fit"), lambda _: None)
    seconds = time.perf_counter() - started
    steps = steps_of(len(candidates), KNOBS)
    print(f"\n{len(candidates)} questions, {steps} steps in {seconds:.0f} s")
    return CrossEncoderReranker(str(folder), max_length=KNOBS.max_length), held_out


def all_scored(each, split, reranker) -> list[Scored]:
    """Every question of a split, with the scores of search and reranker."""
    retriever, count = each.retriever({}), RetrievalSection().rerank_candidates
    return [scored(asked, retriever, reranker, count) for asked in each.asked(split)]


def recall(row: Scored, weight: float) -> float:
    both = row.found if weight == 0 else mixed(row.found, row.scores, weight)
    order = sorted(range(len(row.ids)), key=lambda place: -both[place])
    return float(0 < first_relevant([row.ids[place] for place in order], row.relevant, K) <= 5)


def test_what_a_trained_reranker_finds_and_costs(corpora, trained):
    """A quarter of an hour. Buys: whether `retrieval.rerank: trained` is worth its training."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    reranker, held_out = trained
    lines = [
        "| Questions of test | Arm | nDCG@10 | recall@5 | nDCG@10 gained | ms a question |",
        "|---|---|---|---|---|---|",
    ]
    weight = best_weight(all_scored(corpora[0], "dev", reranker))
    for each in corpora:
        started = time.perf_counter()
        rows = all_scored(each, "test", reranker)
        cost = (time.perf_counter() - started) / len(rows) * 1000
        started = time.perf_counter()
        late = all_scored(each, "test", each.maxsim)
        cost_late = (time.perf_counter() - started) / len(late) * 1000
        groups = {each.name: [True] * len(rows)}
        if each.name == "handbook":
            groups["handbook, articles not learned from"] = [r.document in held_out for r in rows]
        for name, chosen in groups.items():
            ours = [row for row, is_in in zip(rows, chosen, strict=True) if is_in]
            theirs = [row for row, is_in in zip(late, chosen, strict=True) if is_in]
            for arm, own, share, milliseconds in (
                ("none", ours, 0.0, 0.0),
                ("MaxSim", theirs, 1.0, cost_late),
                (f"trained, weight {weight:g}", ours, weight, cost),
                ("trained alone", ours, 1.0, cost),
            ):
                lines.append(row_of(name, arm, own, ours, share, milliseconds))
    print("\n" + "\n".join(lines))
    (OUTPUT / "reranker.md").write_text("\n".join(lines) + "\n")
    assert 0 < weight <= 1


def row_of(name, arm, rows, plain, weight, milliseconds) -> str:
    """A line of the table; intervals over the documents that answer."""
    pairs = [(0.0, 0.0, 0.0, row.document) for row in rows]
    ndcg = mean_of([row.ndcg(weight) for row in rows])
    gained = difference(ndcg, mean_of([row.ndcg(0) for row in plain]))
    share = mean_of([recall(row, weight) for row in rows])
    figures = " | ".join(told(sure(each, pairs)) for each in (ndcg, share, gained))
    return f"| {name} ({len(rows)}) | {arm} | {figures} | {milliseconds:.0f} |"
