"""What the rules for contradictions find, and how often they err (`make bench-contradictions`).

The handbook does not contradict itself, so whatever is found between its sentences, or between a
written answer and the article that it is from, is an error. What should be found is made: a
sentence with another number, or with a negation put in or taken out, against what it was before
(a near copy), and an altered sentence of a written answer against its article (other words).
"""

import random
import re
from collections.abc import Iterator

import pytest

from tests.bench.retrieval.questions import handbook
from tests.conftest import ROOT
from twin.datasets.written_file import read_written
from twin.rag.contradictions import ALIKE, difference
from twin.rag.support import telling_sentences
from twin.recipes import load_recipe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LEVELS = (0.5, 0.6, ALIKE, 0.85)
SAMPLED = 150
VERB = re.compile(r"\b(is|are|does|do|can|will|was|has)\b(?! not)")
NEGATED = re.compile(r"\b(is|are|does|do|can|will|was|has) not\b|\bnever\b")
NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\d)")


@pytest.fixture(scope="module")
def articles():
    """Article to its sentences."""
    return {
        article.url.rstrip("/").rsplit("/", 1)[1]: telling_sentences(article.content)
        for article in handbook()
    }


@pytest.fixture(scope="module")
def answers():
    """(article, sentence) of each written answer."""
    recipe = load_recipe("handbook", ROOT / "include" / "recipes")
    return [
        (asked.support[0].document, sentence)
        for asked in read_written(ROOT / recipe.datasets.written)
        if asked.support
        for sentence in telling_sentences(asked.answer)
    ]


def altered(sentence: str, draw: random.Random) -> Iterator[tuple[str, str]]:
    """The sentence with what makes it say otherwise, each with what that is."""
    if number := NUMBER.search(sentence):
        other = str(int(number[0]) + draw.randint(1, 9))
        yield "number", sentence[: number.start()] + other + sentence[number.end() :]
    if negated := NEGATED.search(sentence):
        bare = negated[0].removesuffix("not").replace("never", "").strip()
        yield "negation", sentence[: negated.start()] + bare + sentence[negated.end() :]
    elif verb := VERB.search(sentence):
        yield "negation", f"{sentence[: verb.end()]} not{sentence[verb.end() :]}"


def found(sentence: str, others: list[str], alike: float) -> bool:
    return any(difference(sentence, other, alike) for other in others)


def share(found: list[bool]) -> str:
    return f"{sum(found)}/{len(found)} = {sum(found) / max(1, len(found)):.1%}"


def test_contradictions(articles, answers):
    draw = random.Random(1)
    names = sorted(articles)
    held = set(names[2 * len(names) // 3 :])
    for part, chosen in (("two thirds", set(names) - held), ("the others", held)):
        own = [(name, each) for name in chosen for each in articles[name]]
        said = [(name, each) for name, each in answers if name in chosen]
        sampled = draw.sample(own, min(SAMPLED, len(own)))
        print(f"\narticles: {part}; {len(own)} sentences, {len(said)} of written answers")
        copies = [(kind, text, each) for _, each in own for kind, text in altered(each, draw)]
        words = [(kind, text, name) for name, each in said for kind, text in altered(each, draw)]
        for alike in LEVELS:
            print(f"  alike {alike}:")
            for kind in ("number", "negation"):
                near = [difference(t, o, alike) is not None for k, t, o in copies if k == kind]
                far = [found(t, articles[name], alike) for k, t, name in words if k == kind]
                print(f"    {kind}: of near copies {share(near)}, in other words {share(far)}")
            errs = [found(text, articles[name], alike) for name, text in said]
            within = [
                found(text, [o for n, o in own if (n, o) != (name, text)], alike)
                for name, text in sampled
            ]
            print(f"    wrongly: of answers {share(errs)}, of the articles' own {share(within)}")
            if alike == ALIKE:
                assert sum(errs) + sum(within) <= 0.02 * (len(errs) + len(within))
