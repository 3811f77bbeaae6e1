"""Whether a graph of links and entities, walked one step from what is found, finds more.

Passages are joined by the entities that both hold (runs of capitalised words, acronyms, names with
digits or code's marks; the rarer, the stronger) and by links between their documents. A passage
gains a share of what its neighbours among the first five have; the share is chosen on `dev` and
reported on `test`. `make bench-retrieval` prints the table and leaves it in build/bench-retrieval.
"""

import math
import re
from collections import Counter, defaultdict

import pytest

from tests.bench.retrieval.questions import BLOG
from tests.bench.test_retrieval import EMBEDDER, OUTPUT, K, corpus, figures, sure, told
from twin.evaluation.resampling import difference, mean_of
from twin.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

SEEDS = 5
CANDIDATES = 50
SHARES = (0.1, 0.2, 0.4, 0.8)
ENTITY = re.compile(r"\b(?:[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)*|\w*\d\w*|\w+_\w+)\b")
LINK = re.compile(r"\]\((https?://[^)\s]+)")
MOST_HOLDERS = 0.05
"""Share of the passages from which an entity joins everything with everything."""


class Graph:
    def __init__(self, chunks) -> None:
        self.entities = {chunk.id: set(ENTITY.findall(chunk.text)) for chunk in chunks}
        holders = Counter(name for names in self.entities.values() for name in names)
        most = max(3, MOST_HOLDERS * len(chunks))
        self.weight = {
            name: math.log(len(chunks) / held) for name, held in holders.items() if 1 < held <= most
        }
        self.entities = {
            id_: {name for name in names if name in self.weight}
            for id_, names in self.entities.items()
        }
        urls = {chunk.url.rstrip("/").rpartition("/")[2]: chunk.document_id for chunk in chunks}
        self.document = {chunk.id: chunk.document_id for chunk in chunks}
        self.links = defaultdict(set)
        for chunk in chunks:
            for url in LINK.findall(chunk.text):
                slug = url.split("#")[0].rstrip("/").rpartition("/")[2]
                if urls.get(slug, chunk.document_id) != chunk.document_id:
                    self.links[chunk.id].add(urls[slug])

    def nearness(self, one, other) -> float:
        """0 to 1: entities in common by weight (Jaccard), or a link."""
        if self.document[other] in self.links[one] or self.document[one] in self.links[other]:
            return 1.0
        both = self.entities[one] | self.entities[other]
        common = self.entities[one] & self.entities[other]
        total = sum(map(self.weight.__getitem__, both))
        return sum(map(self.weight.__getitem__, common)) / total if total else 0.0

    def walked(self, hits, share):
        """Ids of hits, best first, after one step from the first ones."""
        low = min((hit.score for hit in hits), default=0.0)
        score = {hit.chunk.id: hit.score - low for hit in hits}
        seeds = [hit.chunk.id for hit in hits[:SEEDS]]
        gained = {
            id_: own
            + share * sum(score[seed] * self.nearness(seed, id_) for seed in seeds if seed != id_)
            for id_, own in score.items()
        }
        return sorted(gained, key=lambda id_: -gained[id_])


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    names = ["handbook", *(["lilianweng"] if BLOG.is_dir() else [])]
    return [corpus(name, folder, EMBEDDER, Settings()) for name in names]


def rows(each, split, graph, share):
    retriever = each.retriever({})
    found = []
    for asked in each.asked(split):
        hits = retriever.hits(asked.text, CANDIDATES)
        ids = graph.walked(hits, share) if share else [hit.chunk.id for hit in hits]
        found.append(figures(ids[:K], asked))
    return found


def test_what_a_graph_of_links_and_entities_finds(corpora):
    """Two minutes. Buys: that no graph is built for nothing."""
    lines = ["| Questions of test | Arm | nDCG@10 | nDCG@10 gained |", "|---|---|---|---|"]
    for each in corpora:
        graph = Graph(list(each.index.read().chunks()))
        joined = sum(map(bool, graph.links.values()))
        dev = {share: mean(rows(each, "dev", graph, share)) for share in (0.0, *SHARES)}
        print(f"\n{each.name}: {joined} passages with links, dev {dev}")
        share = max(SHARES, key=dev.__getitem__)
        plain, walked = (rows(each, "test", graph, part) for part in (0.0, share))
        for arm, own in (("search alone", plain), (f"graph, share {share:g}", walked)):
            ndcg = mean_of([row[0] for row in own])
            gained = difference(ndcg, mean_of([row[0] for row in plain]))
            told_of = " | ".join(told(sure(one, plain)) for one in (ndcg, gained))
            lines.append(f"| {each.name} ({len(own)}) | {arm} | {told_of} |")
    print("\n" + "\n".join(lines))
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "graph.md").write_text("\n".join(lines) + "\n")


def mean(found) -> float:
    return round(sum(row[0] for row in found) / len(found), 4)
