"""How well the verifier of support tells right passages from wrong ones (`make bench-support`).

Pairs of a sentence and a passage from the handbook's written answers: the passages that an answer
follows from are right; the one most alike to the sentence and a random one are wrong. The weights
of `twin.rag.support` are fitted on two thirds of the articles, and reported on the others.
"""

import random
import statistics
import time

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tests.bench.retrieval.questions import chunks_of, handbook
from tests.conftest import ROOT
from twin.datasets.written_file import read_written
from twin.domain.written import plain
from twin.features.chunker import Chunker
from twin.models.embedder import load_embedder
from twin.rag.prompt import format_passage
from twin.rag.support import MOST_LACKING, THRESHOLD, SupportVerifier, telling_sentences
from twin.recipes import load_recipe
from twin.settings import get_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("handbook", ROOT / "include" / "recipes")


@pytest.fixture(scope="module")
def embedder(recipe):
    return load_embedder(recipe.features.embedder, get_settings())


@pytest.fixture(scope="module")
def passages(recipe, embedder):
    """Article to its chunks' text and what a prompt shows of them."""
    articles = handbook()
    chunker = Chunker(embedder, recipe.features.chunk_tokens)
    return {
        article.url.rstrip("/").rsplit("/", 1)[1]: [
            (plain(chunk.text), format_passage(chunk)) for chunk in own
        ]
        for article, own in zip(articles, chunks_of(articles, chunker), strict=True)
    }


@pytest.fixture(scope="module")
def pairs(recipe, embedder, passages):
    """(article, kind of passage, evidence) for each sentence of each written answer."""
    verifier = SupportVerifier(embedder)
    texts = [text for own in passages.values() for _, text in own]
    vectors = np.array(embedder.encode(texts))
    draw = random.Random(1)
    rows = []
    for asked in read_written(ROOT / recipe.datasets.written):
        right = {
            text
            for support in asked.support
            for words, text in passages[support.document]
            if plain(support.quote) in words
        }
        for sentence in telling_sentences(asked.answer) if right else ():
            [vector] = np.array(embedder.encode([sentence]))
            order = [texts[place] for place in np.argsort(-(vectors @ vector))]
            wrong = [text for text in order if text not in right]
            article = asked.support[0].document
            best = max((verifier.evidence(sentence, t) for t in right), key=lambda e: e.probability)
            rows.append((article, "right", best))
            rows.append((article, "most alike", verifier.evidence(sentence, wrong[0])))
            rows.append((article, "random", verifier.evidence(sentence, draw.choice(wrong))))
    return rows


def figures(rows):
    return np.array([[e.lexical, e.semantic, min(e.lacking, MOST_LACKING)] for *_, e in rows])


def test_support(pairs, passages):
    articles = sorted(passages)
    fitted_on = set(articles[: 2 * len(articles) // 3])
    fit = [row for row in pairs if row[0] in fitted_on]
    held = [row for row in pairs if row[0] not in fitted_on]
    model = LogisticRegression(C=10).fit(figures(fit), [kind == "right" for _, kind, _ in fit])
    words, alike, lacking = model.coef_[0]
    print(
        f"\nfitted on {len(fit)} pairs: lexical {words:.1f}, semantic {alike:.1f}, "
        f"lacking {lacking:.1f}, bias {model.intercept_[0]:.1f}"
    )
    truth = [kind == "right" for _, kind, _ in held]
    found = [evidence.probability for *_, evidence in held]
    print(f"{len(held)} other pairs: AUC {roc_auc_score(truth, found):.3f}")
    accepted = {}
    for name in ("lexical", "semantic"):
        alone = [getattr(evidence, name) for *_, evidence in held]
        print(f"  {name} alone {roc_auc_score(truth, alone):.3f}")
    for kind in ("right", "most alike", "random"):
        own = [(p, row[1]) for p, row in zip(found, held, strict=True) if row[1] in {"right", kind}]
        accepted[kind] = statistics.mean(p >= THRESHOLD for p, own_kind in own if own_kind == kind)
        print(f"  accepted of passages that are {kind}: {accepted[kind]:.0%}", end="")
        if kind != "right":
            auc = roc_auc_score([k == "right" for _, k in own], [p for p, _ in own])
            print(f", AUC against them {auc:.3f}", end="")
        print()
    assert accepted["right"] > accepted["most alike"]


def test_seconds_of_an_answer(embedder, passages):
    shown = [text for _, text in next(iter(passages.values()))[:3]]
    answer = "Every job is a pod of its own. It has a name, a limit and an end. Nothing shares it."
    seconds = []
    verifier = SupportVerifier(embedder)
    for turn in range(20):
        if turn < 10:
            verifier = SupportVerifier(embedder)  # has met no passage
        begun = time.perf_counter()
        verifier.verify(f"{answer} And turn {turn}.", shown)
        seconds.append(time.perf_counter() - begun)
    new, known = statistics.median(seconds[:10]), statistics.median(seconds[10:])
    print(f"\nthree passages, four sentences: {new * 1e3:.0f} ms, {known * 1e3:.0f} ms met before")
