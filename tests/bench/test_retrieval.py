"""What each arm of retrieval finds, on questions that do not share their passage's wording and on
keywords that people type.

Settings are chosen on the split `dev`; `test` says what they are worth. `make bench-retrieval`
prints the tables and leaves them, with plots, in build/bench-retrieval. A
cross-encoder's folder in TWIN_BENCH_CROSS_ENCODER is measured too, and with a language model's in
TWIN_BENCH_LANGUAGE_MODEL what it adds to a sample of the questions, since each costs it seconds.
"""

import json
import os
import random
import statistics
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from tests.bench.retrieval.questions import BLOG, Question, blog, chunks_of, handbook, load
from tests.conftest import ROOT
from twin.domain.chunk import Chunk
from twin.evaluation.resampling import difference, estimate, mean_of
from twin.features.chunker import Chunker
from twin.models.embedder import INT8, load_embedder
from twin.models.language_model import load_language_model
from twin.rag.dont_know import calibrate, curve, separation
from twin.rag.ranking import first_relevant, ndcg
from twin.rag.rerank import MaxSim, load_reranker
from twin.rag.retrieve import Retriever
from twin.rag.threshold import find_threshold, foreign_questions
from twin.recipes import FeaturesSection
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import IndexedDocument, IndexSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

OUTPUT = ROOT / "build" / "bench-retrieval"
K = 10
FIGURES = ("nDCG@10", "recall@5", "MRR@10")
MAXSIM_TURNS = 10
WARM_UP = 3
SPLITS = ("dev", "test")
DEFAULT = "hybrid, weighted by words held"
EMBEDDER = FeaturesSection().embedder

Row = tuple[float, float, float, str]
"""The figures of a question, and the document that answers it."""

ARMS: dict[str, dict[str, object]] = {
    "dense": {"arms": "dense"},
    "sparse": {"arms": "sparse"},
    "hybrid, RRF": {"fusion": "rrf"},
    "hybrid, weight 0.7": {"dense_weight_matched": 0.7},
    DEFAULT: {},
    "+ MaxSim": {"rerank": "maxsim"},
    "+ MaxSim of 10": {"rerank": "maxsim", "rerank_candidates": 10},
    "+ MMR 0.7": {"mmr_lambda": 0.7},
    # Right chunks beside each other become one passage, for which nDCG counts one of them.
    "+ neighbours": {"context": "neighbours"},
}
if cross_encoder := os.environ.get("TWIN_BENCH_CROSS_ENCODER"):
    ARMS["+ cross-encoder"] = {"rerank": cross_encoder}

LANGUAGE_MODEL = os.environ.get("TWIN_BENCH_LANGUAGE_MODEL")
SAMPLE = int(os.environ.get("TWIN_BENCH_SAMPLE", "60"))
ARMS_WITH_A_MODEL: dict[str, dict[str, object]] = {
    DEFAULT: {},
    "+ multi-query": {"expansion": "multi_query"},
    "+ HyDE": {"expansion": "hyde"},
    "+ language model": {"rerank": "language-model", "rerank_candidates": 10},
}


class Remembering:
    """The embedder, which is not asked the same question for every arm."""

    def __init__(self, embedder) -> None:
        self.embedder = embedder
        self.id = embedder.id
        self.known: dict[str, list[float]] = {}

    def encode(self, texts):
        for text in texts:
            if text not in self.known:
                [self.known[text]] = self.embedder.encode([text])
        return [self.known[text] for text in texts]

    def encode_questions(self, texts):
        return self.encode(texts)

    def token_vectors(self, texts):
        return self.embedder.token_vectors(texts)


class RememberingReader:
    """The index, which is not asked the same question for every arm."""

    def __init__(self, reader) -> None:
        self.reader = reader
        self.spec = reader.spec
        self.min_score = reader.min_score
        self.known: dict[tuple, list] = {}

    def search(self, dense, text, k, filter=None, *, vectors=False):
        key = (dense and tuple(dense), text, k, repr(filter), vectors)
        if key not in self.known:
            self.known[key] = self.reader.search(dense, text, k, filter, vectors=vectors)
        return self.known[key]

    def get(self, chunk_ids):
        return self.reader.get(chunk_ids)


@dataclass
class Corpus:
    name: str
    questions: dict[str, list[Question]]
    index: EmbeddedIndex
    embedder: Remembering

    def asked(self, split: str) -> list[Question]:
        return [question for question in self.questions[split] if question.relevant]

    @cached_property
    def reader(self) -> RememberingReader:
        return RememberingReader(self.index.read())

    @cached_property
    def maxsim(self) -> MaxSim:
        return MaxSim(self.embedder, kept_bytes=1_000_000_000)

    def measure(self, arm: dict[str, object], split: str) -> list[Row]:
        """The figures of each answerable question."""
        retriever = self.retriever(arm)
        return [figures(shown(retriever, asked), asked) for asked in self.asked(split)]

    def retriever(self, arm: dict[str, object], model=None) -> Retriever:
        knobs = RetrievalSection(**arm)
        if knobs.rerank == "maxsim":
            reranker = self.maxsim
        else:
            reranker = load_reranker(knobs.rerank, self.embedder, model)
        return Retriever(self.reader, self.embedder, knobs, reranker=reranker, writer=model)

    def similarities(self, split: str) -> tuple[list[float], list[float]]:
        """Best cosine of the questions with an answer, and of those without."""
        retriever = Retriever(self.reader, self.embedder)
        found: dict[bool, list[float]] = {True: [], False: []}
        for question in self.questions[split]:
            found[bool(question.relevant)].append(retriever.find(question.text, 1).similarity)
        return found[True], found[False]


def shown(retriever: Retriever, asked: Question) -> list[str]:
    """For each passage a right chunk that it holds, else its own id."""
    return [
        next((id_ for id_ in (one.chunk_id, *one.joined) if id_ in asked.relevant), one.chunk_id)
        for one in retriever.find(asked.text, K).passages
    ]


def figures(found: list[str], asked: Question) -> Row:
    rank = first_relevant(found, asked.relevant, K)
    reciprocal = 1 / rank if rank else 0.0
    return ndcg(found, asked.relevant, K), float(0 < rank <= 5), reciprocal, asked.document


def corpus(name: str, folder: Path, embedder_name: str, settings: Settings) -> Corpus:
    embedder = load_embedder(embedder_name, settings)
    chunker = Chunker(embedder, 200)
    documents = {"handbook": handbook, "lilianweng": blog}[name]()
    chunks = chunks_of(documents, chunker)
    index = EmbeddedIndex(folder / name, name)
    spec = IndexSpec(embedder=embedder.id, chunker=chunker.version)
    with index.write(spec, embedder.dimension) as writer:
        writer.upsert([_indexed(own, embedder) for own in chunks])
        writer.publish()
    every = [chunk for own in chunks for chunk in own]
    questions = {split: load(name, every, split) for split in SPLITS}
    return Corpus(name, questions, index, Remembering(embedder))


def _indexed(chunks: list[Chunk], embedder) -> IndexedDocument:
    vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
    return IndexedDocument(chunks[0].document_id, chunks[0].revision, chunks, vectors)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[Corpus]:
    folder = tmp_path_factory.mktemp("corpora")
    names = ["handbook", *(["lilianweng"] if BLOG.is_dir() else [])]
    return [corpus(name, folder, EMBEDDER, Settings()) for name in names]


def column(rows, place):
    return mean_of([row[place] for row in rows])


def sure(statistic, rows):
    """Over the documents that answer: questions about one of them hang together."""
    return estimate(statistic, [row[-1] for row in rows])


def told(one) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def test_hybrid_beats_its_best_arm_and_the_table_says_by_how_much(corpora):
    """Minutes. Buys: the figures that the defaults of `retrieval:` rest on."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report, lines = {}, []
    for split in SPLITS:
        for name, arms in _groups(corpora, split).items():
            title = f"{split}: {name}"
            report[title] = _table(title, arms, lines)
            print("\n".join(lines[lines.index(f"**{title}**") :]), flush=True)
    (OUTPUT / "arms.md").write_text("\n".join(lines).lstrip() + "\n")
    (OUTPUT / "arms.json").write_text(json.dumps(report, indent=2))
    _plot_arms({name: arms for name, arms in report.items() if name.startswith("test")})
    whole = report["test: all"]
    assert whole[DEFAULT]["gained"]["low"] > 0
    # The reranker is not off because it finds less, but because it takes too long.
    assert whole["+ MaxSim"]["gained"]["low"] > 0


def _groups(corpora, split):
    """The rows of every arm: of each corpus, of each kind of question, of all."""
    groups: dict[str, dict[str, list]] = {}
    for each in corpora:
        asked = each.asked(split)
        for arm, options in ARMS.items():
            for question, row in zip(asked, each.measure(options, split), strict=True):
                kind = "keywords" if question.keywords else "in other words"
                for group in (each.name, kind, "all"):
                    groups.setdefault(group, {}).setdefault(arm, []).append(row)
    return groups


def _table(title, arms, lines):
    asked = arms["dense"]
    documents = len({row[-1] for row in asked})
    single = max(("dense", "sparse"), key=lambda arm: sum(row[0] for row in arms[arm]))
    lines += [
        "",
        f"**{title}**",
        f"({len(asked)} questions about {documents} documents; differences from {single} alone)",
        "",
        "| Arm | " + " | ".join(FIGURES) + " | nDCG@10 gained |",
        "|---|" + "---|" * (len(FIGURES) + 1),
    ]
    report = {}
    for arm, rows in arms.items():
        values = [sure(column(rows, place), rows) for place in range(len(FIGURES))]
        gain = sure(difference(column(rows, 0), column(arms[single], 0)), rows)
        gained = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
        lines.append(f"| {arm} | " + " | ".join(map(told, values)) + f" | {gained} |")
        report[arm] = {
            **{f: v.model_dump() for f, v in zip(FIGURES, values, strict=True)},
            "gained": gain.model_dump(),
        }
    return report


def _plot_arms(report) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(report), figsize=(5 * len(report), 4), squeeze=False)
    for axis, (name, arms) in zip(axes[0], report.items(), strict=True):
        for place, (_, values) in enumerate(arms.items()):
            one = values["nDCG@10"]
            axis.errorbar(
                one["value"],
                place,
                xerr=[[max(0, one["value"] - one["low"])], [max(0, one["high"] - one["value"])]],
                fmt="o",
                capsize=3,
                color="tab:blue",
            )
        axis.set_yticks(range(len(arms)), list(arms))
        axis.invert_yaxis()
        axis.set_xlabel("nDCG@10, 95 % interval")
        axis.set_title(name)
    figure.tight_layout()
    figure.savefig(OUTPUT / "arms.png", dpi=120)
    plt.close(figure)


@pytest.mark.skipif(LANGUAGE_MODEL is None, reason="TWIN_BENCH_LANGUAGE_MODEL names no model")
def test_what_a_language_model_adds(corpora):
    """Seconds for each question. Buys: why `expansion` and the model's reranking are off."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    model = load_language_model(Path(str(LANGUAGE_MODEL)), Settings())
    asked = [(each, question) for each in corpora for question in each.asked("test")]
    picked = random.Random(11).sample(asked, min(SAMPLE, len(asked)))
    lines = [
        f"({len(picked)} questions of test; differences from the default; {model.id})",
        "",
        "| Arm | " + " | ".join(FIGURES) + " | nDCG@10 gained | s a question |",
        "|---|" + "---|" * (len(FIGURES) + 2),
    ]
    plain: list[Row] = []
    for arm, options in ARMS_WITH_A_MODEL.items():
        started = time.perf_counter()
        retrievers = {each.name: each.retriever(options, model) for each in corpora}
        rows = [figures(shown(retrievers[each.name], one), one) for each, one in picked]
        seconds = (time.perf_counter() - started) / len(picked)
        plain = plain or rows
        values = [sure(column(rows, place), rows) for place in range(len(FIGURES))]
        gain = sure(difference(column(rows, 0), column(plain, 0)), rows)
        lines.append(f"| {arm} | {' | '.join(map(told, values))} | {told(gain)} | {seconds:.2f} |")
        print("\n" + lines[-1], flush=True)
        assert gain.low <= 0  # were it proven to help, it should not be off
    (OUTPUT / "language_model.md").write_text("\n".join(lines) + "\n")


def test_the_threshold_of_not_knowing(corpora):
    """Seconds. Buys: the number that a recipe's `min_score` is set to, and its price."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    OUTPUT.mkdir(parents=True, exist_ok=True)
    figure, axis = plt.subplots(figsize=(5, 4))
    lines = [
        "| Corpus | AUC on dev | on test | min_score from dev | refused rightly on test "
        "| refused wrongly on test |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for each in corpora:
        chosen = calibrate(curve(*each.similarities("dev")))
        near, far = each.similarities("test")
        points = curve(near, far)
        axis.plot([p.wrongly for p in points], [p.refused for p in points], label=each.name)
        refused, wrongly = (
            sum(value < chosen.threshold for value in values) / len(values)
            for values in (far, near)
        )
        known, unseen = separation(*each.similarities("dev")), separation(near, far)
        lines.append(
            f"| {each.name} | {known:.3f} | {unseen:.3f} | {chosen.threshold:.3f} "
            f"| {refused:.2f} | {wrongly:.3f} |"
        )
        assert unseen > 0.8
        assert wrongly < 0.06 < refused
    axis.set_xlabel("answerable questions refused")
    axis.set_ylabel("unanswerable questions refused")
    axis.legend()
    figure.tight_layout()
    figure.savefig(OUTPUT / "dont_know.png", dpi=120)
    plt.close(figure)
    print("\n" + "\n".join(lines))
    (OUTPUT / "dont_know.md").write_text("\n".join(lines) + "\n")


def test_the_threshold_that_an_index_finds_by_itself(corpora):
    """Half a minute. Buys: what a new author's twin refuses before anyone has written a question.

    Found by one half of the questions of general knowledge, measured on the other; and on the
    questions of both splits, none of which it has seen.
    """
    OUTPUT.mkdir(parents=True, exist_ok=True)
    lines = [
        "| Corpus | min_score found | general knowledge refused | of answerable refused wrongly "
        "| of unanswered near it refused | AUC against general knowledge |",
        "|---|---|---|---|---|---|",
    ]
    foreign = foreign_questions()
    checks = []
    for each in corpora:
        spec = each.index.state().spec
        with each.index.write(spec, len(each.embedder.encode(["a"])[0])) as writer:
            found = [
                find_threshold(writer.state, writer.work, each.embedder, foreign[half::2]).score
                for half in (0, 1)
            ]
            far = [writer.work.nearest(v, 1)[0][1] for v in each.embedder.encode(foreign)]
        groups = [q.document for split in SPLITS for q in each.questions[split] if q.relevant]
        near, beside = (
            [*one, *other]
            for one, other in zip(*(each.similarities(split) for split in SPLITS), strict=True)
        )
        wrongly = estimate(mean_of([_refused(one, found) for one in near]), groups)
        auc = estimate(mean_of([separation([one], far) for one in near]), groups)
        # Each half by the other half's threshold.
        refused = statistics.mean(
            float(value < found[1 - number % 2]) for number, value in enumerate(far)
        )
        hard = statistics.mean(_refused(one, found) for one in beside)
        lines.append(
            f"| {each.name} | {found[0]:.3f}, {found[1]:.3f} | {refused:.2f} | {told(wrongly)} "
            f"| {hard:.2f} | {told(auc)} |"
        )
        checks.append((refused, wrongly.value, auc.low))
    print("\n" + "\n".join(lines))
    (OUTPUT / "threshold.md").write_text("\n".join(lines) + "\n")
    for refused, wrongly, low in checks:
        assert refused > 0.7
        assert wrongly < 0.08
        assert low > 0.97


def _refused(similarity: float, thresholds: list[float]) -> float:
    """Share of the thresholds that turn a question away."""
    return statistics.mean(similarity < least for least in thresholds)


def test_eight_bit_integers_lose_less_than_a_hundredth_of_recall(corpora, tmp_path):
    """A minute or two. Buys: leave to run the embedder in 8-bit integers by default."""
    assert EMBEDDER.endswith(INT8)
    plain, rows = [], []
    for small in corpora:
        floats = corpus(small.name, tmp_path, EMBEDDER.removesuffix(INT8), Settings(home=tmp_path))
        plain += _of_both(floats)
        rows += _of_both(small)
    lost = sure(difference(column(plain, 1), column(rows, 1)), rows)
    print(f"\nint8: recall@5 {sure(column(rows, 1), rows).value:.3f}, lost {told(lost)}")
    assert lost.value < 0.01


def _of_both(corpus):
    return [row for split in SPLITS for row in corpus.measure({}, split)]


def test_what_maxsim_costs(corpora):
    """Seconds. Buys: why `rerank` is off by default, and what keeping passages' vectors saves."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    embedder, reader = corpora[0].embedder, corpora[0].index.read()
    chunks = list(reader.chunks())
    lines = ["| Passages | encoded, ms (median, worst) | kept, ms |", "|---|---|---|"]
    for count in (10, 20):
        times: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(MAXSIM_TURNS):
            reranker = MaxSim(embedder)
            picked = random.Random(turn).sample(chunks, count)
            for kept in (False, True):
                started = time.perf_counter()
                reranker.score("How do I roll back a model?", picked)
                times[kept].append((time.perf_counter() - started) * 1000)
        # The first ones warm the engine up for the lengths that it meets.
        cold, warm = times[False][WARM_UP:], times[True][WARM_UP:]
        lines.append(
            f"| {count} | {statistics.median(cold):.0f}, {max(cold):.0f} "
            f"| {statistics.median(warm):.0f}, {max(warm):.0f} |"
        )
        assert statistics.median(warm) < statistics.median(cold) / 2
    print("\n" + "\n".join(lines))
    (OUTPUT / "maxsim.md").write_text("\n".join(lines) + "\n")
