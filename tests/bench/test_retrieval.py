"""What each arm of retrieval finds, on questions that do not share their passage's wording.

`make bench-retrieval` prints the table and leaves it, with plots, in build/bench-retrieval. A
cross-encoder's folder in TWIN_BENCH_CROSS_ENCODER is measured too, and a packaged language
model's in TWIN_BENCH_LANGUAGE_MODEL expands the questions.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

from tests.bench.retrieval.questions import BLOG, Question, blog, chunks_of, handbook, load
from tests.conftest import ROOT
from twin.domain.chunk import Chunk
from twin.evaluation.resampling import difference, estimate, mean_of
from twin.evaluation.retrieval import first_relevant, ndcg
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.models.language_model import load_language_model
from twin.rag.dont_know import calibrate, curve, separation
from twin.rag.fusion import by_weighted_scores
from twin.rag.rerank import load_reranker
from twin.rag.retrieve import Retriever
from twin.recipes.retrieval import RetrievalSection
from twin.settings import Settings
from twin.stores.embedded_index import EmbeddedIndex
from twin.stores.index import IndexedDocument, IndexSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

OUTPUT = ROOT / "build" / "bench-retrieval"
K = 10
FIGURES = ("nDCG@10", "recall@5", "MRR@10")
RESAMPLES = 5_000
WEIGHTS = tuple(step / 10 for step in range(11))

ARMS: dict[str, dict[str, object]] = {
    "dense": {"arms": "dense"},
    "sparse": {"arms": "sparse"},
    "hybrid, RRF": {"fusion": "rrf"},
    "hybrid, weighted": {},
    "+ MaxSim": {"rerank": "maxsim"},
    "+ MMR 0.7": {"mmr_lambda": 0.7},
}
if cross_encoder := os.environ.get("TWIN_BENCH_CROSS_ENCODER"):
    ARMS["+ cross-encoder"] = {"rerank": cross_encoder}
if language_model := os.environ.get("TWIN_BENCH_LANGUAGE_MODEL"):
    ARMS |= {
        "+ multi-query": {"expansion": "multi_query"},
        "+ HyDE": {"expansion": "hyde"},
        "+ language model": {"rerank": "language-model"},
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

    def token_vectors(self, texts):
        return self.embedder.token_vectors(texts)


@dataclass
class Corpus:
    name: str
    questions: list[Question]
    index: EmbeddedIndex
    embedder: Remembering

    @cached_property
    def asked(self) -> list[Question]:
        return [question for question in self.questions if question.relevant]

    def measure(self, arm: dict[str, object]) -> list[tuple[float, float, float]]:
        """The figures of each answerable question."""
        knobs = RetrievalSection(**arm)
        model = None
        if language_model and ("expansion" in arm or arm.get("rerank") == "language-model"):
            model = load_language_model(Path(language_model), Settings())
        reranker = load_reranker(knobs.rerank, self.embedder, model)
        retriever = Retriever(
            self.index.read(), self.embedder, knobs, reranker=reranker, language_model=model
        )
        return [
            figures([one.chunk_id for one in retriever.search(asked.text, K)], asked)
            for asked in self.asked
        ]

    def cross_fitted(self) -> list[tuple[float, float, float]]:
        """Weighted fusion whose weight was chosen on the articles that are not asked about."""
        reader, knobs = self.index.read(), RetrievalSection()
        by_weight: dict[float, list[tuple[float, float, float]]] = {w: [] for w in WEIGHTS}
        for asked in self.asked:
            [vector] = self.embedder.encode([asked.text])
            arms = [
                reader.search(vector, None, knobs.candidates),
                reader.search(None, asked.text, knobs.candidates),
            ]
            for weight, measured in by_weight.items():
                lowest = [None, None if len(arms[1]) >= knobs.candidates else 0.0]
                hits = by_weighted_scores(arms, [weight, 1 - weight], lowest)
                measured.append(figures([hit.chunk.id for hit in hits], asked))
        documents = sorted({asked.document for asked in self.asked})
        halves = [documents.index(asked.document) % 2 for asked in self.asked]

        def best(half: int) -> float:
            def mean(weight: float) -> float:
                rows = zip(by_weight[weight], halves, strict=True)
                return sum(row[0] for row, own in rows if own == half)

            return max(WEIGHTS, key=mean)

        chosen = {half: best(1 - half) for half in (0, 1)}
        print(f"\n{self.name}: weights chosen on the other half: {chosen}")
        return [by_weight[chosen[half]][place] for place, half in enumerate(halves)]

    def similarities(self) -> tuple[list[float], list[float]]:
        """Best cosine of the questions with an answer, and of those without."""
        retriever = Retriever(self.index.read(), self.embedder)
        found: dict[bool, list[float]] = {True: [], False: []}
        for question in self.questions:
            found[bool(question.relevant)].append(retriever.find(question.text, 1).similarity)
        return found[True], found[False]


def figures(found: list[str], asked: Question) -> tuple[float, float, float]:
    rank = first_relevant(found, asked.relevant, K)
    return ndcg(found, asked.relevant, K), float(0 < rank <= 5), 1 / rank if rank else 0.0


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
    questions = load(name, [chunk for own in chunks for chunk in own])
    return Corpus(name, questions, index, Remembering(embedder))


def _indexed(chunks: list[Chunk], embedder) -> IndexedDocument:
    vectors = embedder.encode([chunk.embedded_text for chunk in chunks])
    return IndexedDocument(chunks[0].document_id, chunks[0].revision, chunks, vectors)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[Corpus]:
    folder = tmp_path_factory.mktemp("corpora")
    names = ["handbook", *(["lilianweng"] if BLOG.is_dir() else [])]
    return [corpus(name, folder, "all-minilm-l6-v2", Settings()) for name in names]


def column(rows, place):
    return mean_of([row[place] for row in rows])


def sure(statistic, count):
    return estimate(statistic, count, resamples=RESAMPLES, seed=13)


def told(one) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"


def test_hybrid_beats_its_best_arm_and_the_table_says_by_how_much(corpora):
    """Minutes. Buys: the figures that the defaults of `retrieval:` rest on."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    measured = {
        each.name: {name: each.measure(arm) for name, arm in ARMS.items()} for each in corpora
    }
    for each in corpora:
        measured[each.name]["weighted, cross-fitted"] = each.cross_fitted()
    if len(corpora) > 1:
        both = {name: [] for name in measured["handbook"]}
        for arms in measured.values():
            for name, rows in arms.items():
                both[name] += rows
        measured["both"] = both
    report = {}
    lines = []
    for name, arms in measured.items():
        count = len(arms["dense"])
        single = max(("dense", "sparse"), key=lambda arm: sum(row[0] for row in arms[arm]))
        lines += [
            "",
            f"**{name}** ({count} questions; differences from {single} alone)",
            "",
            "| Arm | " + " | ".join(FIGURES) + " | nDCG@10 gained |",
            "|---|" + "---|" * (len(FIGURES) + 1),
        ]
        report[name] = {}
        for arm, rows in arms.items():
            values = [sure(column(rows, place), count) for place in range(len(FIGURES))]
            gain = sure(difference(column(rows, 0), column(arms[single], 0)), count)
            cells = [told(value) for value in values]
            gained = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
            lines.append(f"| {arm} | " + " | ".join(cells) + f" | {gained} |")
            report[name][arm] = {
                **{f: v.model_dump() for f, v in zip(FIGURES, values, strict=True)},
                "gained": gain.model_dump(),
            }
    table = "\n".join(lines)
    print(table)
    (OUTPUT / "arms.md").write_text(table.lstrip() + "\n")
    (OUTPUT / "arms.json").write_text(json.dumps(report, indent=2))
    _plot_arms(report)
    whole = report["both" if len(corpora) > 1 else "handbook"]
    assert whole["hybrid, weighted"]["gained"]["low"] > 0
    # The reranker is not off because it finds less, but because it takes too long.
    assert whole["+ MaxSim"]["gained"]["low"] > 0


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


def test_the_threshold_of_not_knowing(corpora):
    """Seconds. Buys: the number that a recipe's `min_score` is set to, and its price."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    OUTPUT.mkdir(parents=True, exist_ok=True)
    figure, axis = plt.subplots(figsize=(5, 4))
    lines = ["| Corpus | Separation (AUC) | min_score | refused rightly | refused wrongly |"]
    lines.append("|---|---|---|---|---|")
    for each in corpora:
        answerable, unanswerable = each.similarities()
        points = curve(answerable, unanswerable)
        chosen = calibrate(points)
        auc = separation(answerable, unanswerable)
        axis.plot([p.wrongly for p in points], [p.refused for p in points], label=each.name)
        lines.append(
            f"| {each.name} | {auc:.3f} | {chosen.threshold:.3f} | {chosen.refused:.2f} "
            f"| {chosen.wrongly:.3f} |"
        )
        assert auc > 0.8
        assert chosen.wrongly <= 0.02 < chosen.refused
    axis.set_xlabel("answerable questions refused")
    axis.set_ylabel("unanswerable questions refused")
    axis.legend()
    figure.tight_layout()
    figure.savefig(OUTPUT / "dont_know.png", dpi=120)
    plt.close(figure)
    print("\n" + "\n".join(lines))
    (OUTPUT / "dont_know.md").write_text("\n".join(lines) + "\n")


def test_eight_bit_integers_lose_less_than_a_hundredth_of_recall(corpora, tmp_path):
    """Half a minute. Buys: leave to run the embedder in 8-bit integers."""
    plain = corpora[0].measure({})
    small = corpus("handbook", tmp_path, "all-minilm-l6-v2:int8", Settings(home=tmp_path))
    rows = small.measure({})
    lost = sure(difference(column(plain, 1), column(rows, 1)), len(rows))
    print(f"\nint8: recall@5 {column(rows, 1)(range(len(rows))):.3f}, lost {told(lost)}")
    assert lost.value < 0.01
