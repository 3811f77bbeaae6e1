"""By which sign a question without an answer is told: the best passage's cosine, and what else
there is that is light enough to be looked at for every question.

Each sign, and a logistic blend of them fitted on the split `dev` of both corpora, is measured on
`test`: the area under the ROC curve, its interval over the documents that answer and over the
questions that nobody answers. `make bench-retrieval` prints the table and leaves it in
build/bench-retrieval.
"""

import math
from collections import Counter
from functools import cached_property

import numpy as np
import pytest

from tests.bench.test_retrieval import OUTPUT, SPLITS, corpora  # noqa: F401 - a fixture
from twin.rag.dont_know import separation
from twin.rag.threshold import foreign_questions
from twin.stores.index_terms import sparse_passage, sparse_question
from twin.text.sentences import sentence_spans

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000)]

NEAR = 5
LOOKED_AT = 20
FEWEST_WORDS = 4
DRAWS = 2_000
BLENDED = ("cosine", "sentence", "token by token", "rare words held", "foreign", "margin")


class Texts:
    """A corpus as the signs look at it."""

    def __init__(self, corpus) -> None:
        self.corpus = corpus
        self.chunks = list(corpus.index.read().chunks())
        self.vectors = self.encoded([chunk.embedded_text for chunk in self.chunks])
        self.held = [set(sparse_passage(chunk).indices) for chunk in self.chunks]
        self.documents_with = Counter(term for held in self.held for term in held)

    def encoded(self, texts):
        return np.array(self.corpus.embedder.encode(texts))

    @cached_property
    def sentences(self):
        texts = [
            chunk.text[start:end].strip()
            for chunk in self.chunks
            for start, end in sentence_spans(chunk.text)
        ]
        return self.encoded([text for text in texts if len(text.split()) >= FEWEST_WORDS])

    @cached_property
    def foreign(self):
        return self.encoded(foreign_questions())

    def rarity(self, term) -> float:
        """BM25's weight of a term."""
        holding = self.documents_with.get(term, 0)
        return math.log(1 + (len(self.chunks) - holding + 0.5) / (holding + 0.5))

    def signs(self, question: str) -> dict[str, float]:
        """Each sign of a question, higher where the texts answer it."""
        [asked] = self.encoded([question])
        cosines = self.vectors @ asked
        order = np.argsort(-cosines)
        terms = set(sparse_question(question).indices)
        whole = sum(map(self.rarity, terms)) or 1.0
        near = set().union(*(self.held[place] for place in order[:NEAR]))
        late = self.corpus.maxsim.score(question, [self.chunks[p] for p in order[:LOOKED_AT]])
        return {
            "cosine": cosines[order[0]],
            "margin": cosines[order[0]] - cosines[order[9]],
            "above the others": (cosines[order[0]] - cosines.mean()) / cosines.std(),
            "sentence": float((self.sentences @ asked).max()),
            "token by token": max(late),
            "rare words held": sum(self.rarity(term) for term in terms & near) / whole,
            "words known": 1
            - sum(self.rarity(term) for term in terms if not self.documents_with[term]) / whole,
            "foreign": -float((self.foreign @ asked).max()),
        }


@pytest.fixture(scope="module")
def signs(corpora):  # noqa: F811
    """By corpus and split: the signs of the questions with an answer, and of those without."""
    found = {}
    for each in corpora:
        texts = Texts(each)
        for split in SPLITS:
            rows = {True: [], False: []}
            for question in each.questions[split]:
                rows[bool(question.relevant)].append(
                    (texts.signs(question.text), question.document or question.text)
                )
            found[each.name, split] = rows[True], rows[False]
    return found


def blend(signs):
    """A logistic regression of `BLENDED` on the questions of ``dev``, both kinds alike."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, answered = [], []
    for (_, split), kinds in signs.items():
        if split == "dev":
            for is_answered, kind in zip((True, False), kinds, strict=True):
                rows += [[own[name] for name in BLENDED] for own, _ in kind]
                answered += [is_answered] * len(kind)
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.5, class_weight="balanced")).fit(
        np.array(rows), np.array(answered)
    )


def interval(near, far) -> tuple[float, float]:
    """Of the area under the curve: groups of either kind are drawn again and again."""
    draw = np.random.default_rng(7)
    groups = [_grouped(near), _grouped(far)]
    values = []
    for _ in range(DRAWS):
        one, other = (
            [value for place in draw.integers(len(kind), size=len(kind)) for value in kind[place]]
            for kind in groups
        )
        values.append(separation_of(one, other))
    return tuple(np.quantile(values, (0.025, 0.975)))


def _grouped(rows):
    groups = {}
    for value, group in rows:
        groups.setdefault(group, []).append(value)
    return list(groups.values())


def separation_of(one, other) -> float:
    """As `separation`, by ranks: it is asked thousands of times."""
    one, other = np.sort(one), np.sort(other)
    below = np.searchsorted(other, one, "left") + np.searchsorted(other, one, "right")
    return float(below.sum() / 2 / len(one) / len(other))


def test_which_sign_tells_what_the_texts_do_not_answer(signs):
    """Minutes. Buys: the sign that `min_score` is a threshold of, and what bounds it."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    model = blend(signs)
    names = [*next(iter(signs.values()))[0][0][0], "blend"]
    lines = ["| Sign | " + " | ".join(f"{name}, {split}" for name, split in signs) + " |"]
    lines.append("|---|" + "---|" * len(signs))
    for name in names:
        cells = []
        for (_, split), kinds in signs.items():
            near, far = (
                [(value_of(own, name, model), group) for own, group in kind] for kind in kinds
            )
            value = separation([v for v, _ in near], [v for v, _ in far])
            low, high = interval(near, far)
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
            assert split in SPLITS
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    weights = model[-1].coef_[0]
    told = ", ".join(f"{name} {w:+.2f}" for name, w in zip(BLENDED, weights, strict=True))
    lines += ["", f"Weights of the blend, in standard deviations: {told}"]
    print("\n" + "\n".join(lines))
    (OUTPUT / "dont_know_signs.md").write_text("\n".join(lines) + "\n")


def value_of(own, name, model) -> float:
    if name == "blend":
        return float(model.decision_function([[own[each] for each in BLENDED]])[0])
    return float(own[name])


def test_ranks_count_as_pairs_do():
    one, other = [0.1, 0.5, 0.5, 0.9], [0.5, 0.2, 0.9]
    assert separation_of(one, other) == pytest.approx(separation(one, other))
