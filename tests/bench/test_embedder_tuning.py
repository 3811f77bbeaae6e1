"""The embedder trained further by an author's questions, beside what it began as.

It learns from the written questions of the handbook's data set, but for those about every fifth
article; `test` says what it is worth: on all questions, on those about articles that it learned
nothing of, and on a blog that it has never seen. Nothing is chosen: the knobs are the recipe's
defaults. `make bench-retrieval` prints the table and leaves it in build/bench-retrieval.
"""

import time

import pytest

from tests.bench.retrieval.questions import BLOG
from tests.bench.test_reranker import EVERY, slug, written
from tests.bench.test_retrieval import EMBEDDER, OUTPUT, corpus, sure, told
from twin.evaluation.resampling import difference, mean_of
from twin.features.embedder_fit import fit
from twin.features.finetune_embedder import drawn
from twin.features.fitting import steps_of
from twin.models.embedder import INT8, load_embedder
from twin.recipes.embedder_tuning import EmbedderTuningSection
from twin.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(6_000)]

KNOBS = EmbedderTuningSection()


@pytest.fixture(scope="module")
def names():
    return ["handbook", *(["lilianweng"] if BLOG.is_dir() else [])]


@pytest.fixture(scope="module")
def before(names, tmp_path_factory):
    folder = tmp_path_factory.mktemp("before")
    return [corpus(name, folder, EMBEDDER, Settings()) for name in names]


@pytest.fixture(scope="module")
def tuned(before, tmp_path_factory):
    """The tuned embedder's folder, and the articles that it learned nothing of."""
    handbook = before[0]
    indexed = {chunk.id: chunk for chunk in handbook.index.read().chunks()}
    held_out = set(sorted({slug(chunk) for chunk in indexed.values()})[::EVERY])
    learned = {c.document_id for c in indexed.values() if slug(c) not in held_out}
    questions = [each for each in written(indexed) if each.document not in held_out]
    candidates = drawn(questions, handbook.retriever({}), indexed, learned, KNOBS, lambda _: None)
    base = load_embedder(EMBEDDER, Settings()).folder
    started = time.perf_counter()
    folder = fit(base, candidates, KNOBS, tmp_path_factory.mktemp("fit"), lambda _: None)
    steps, seconds = steps_of(len(candidates), KNOBS), time.perf_counter() - started
    print(f"\n{len(candidates)} questions, {steps} steps in {seconds:.0f} s")
    return folder, held_out


def test_what_a_tuned_embedder_finds(before, tuned, names, tmp_path):
    """Ten minutes. Buys: whether `twin features finetune-embedder` is worth its training."""
    folder, held_out = tuned
    lines = ["| Questions of test | Embedder | nDCG@10 | recall@5 | nDCG@10 gained |"]
    lines.append("|---|---|---|---|---|")
    for was, name in zip(before, names, strict=True):
        now = corpus(name, tmp_path / name, f"{folder}{INT8}", Settings())
        one, other = was.measure({}, "test"), now.measure({}, "test")
        assert [row[-1] for row in one] == [row[-1] for row in other]
        groups = {name: [True] * len(one)}
        if name == "handbook":
            groups["handbook, articles not learned from"] = [row[-1] in held_out for row in one]
        for group, chosen in groups.items():
            pairs = [
                pair
                for pair, is_in in zip(zip(one, other, strict=True), chosen, strict=True)
                if is_in
            ]
            olds, news = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            for arm, rows in (("before", olds), ("tuned", news)):
                ndcg, recall = (mean_of([row[place] for row in rows]) for place in (0, 1))
                gained = difference(ndcg, mean_of([row[0] for row in olds]))
                figures = " | ".join(told(sure(each, olds)) for each in (ndcg, recall, gained))
                lines.append(f"| {group} ({len(rows)}) | {arm} | {figures} |")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    print("\n" + "\n".join(lines))
    (OUTPUT / "embedder.md").write_text("\n".join(lines) + "\n")
