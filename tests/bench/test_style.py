"""How well the author's hand is told from others (`make bench-evaluation`).

Every document is held out once: four times, the measures learn from the other three quarters, and
say of what they have not seen how likely it is the author's. Prints a table, and leaves it in
build/bench-evaluation.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from tests.bench.corpora.tweets import FILE, tweets
from tests.conftest import ROOT
from tests.twin.evaluation.hands import handbook, prose
from twin.evaluation.authorship import METHODS, TOGETHER, learn_authorship, masked_pieces
from twin.evaluation.other_authors import OtherText, other_texts
from twin.evaluation.separation import Separation, separation
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import open_files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

OUTPUT = ROOT / "build" / "bench-evaluation"
FOLDS = 4
#: Files of the repository about the handbook's topics, by who wrote the rest of it.
SAME_TOPIC = (
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/pages/*.md",
    "docs/pages/how-to/*.md",
)


@pytest.fixture(scope="module")
def table():
    rows: list[tuple[str, str, Separation]] = []
    yield rows
    lines = [
        "| Who | Measure | AUC, pieces | AUC, documents | Missed | Mistaken |",
        "|---|---|---|---|---|---|",
        *(
            f"| {who} | {measure} | {told.auc.value:.3f} | {told.auc_documents.value:.3f} "
            f"| {told.missed.value:.1%} | {told.mistaken.value:.1%} |"
            for who, measure, told in rows
        ),
    ]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "style.md").write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> list[OtherText]:
    recipe = Recipe.model_validate(
        {
            "name": "handbook",
            "author": {"id": "handbook", "name": "The Keeper"},
            "sources": [{"kind": "folder", "name": "a", "path": "a"}],
        }
    )
    files = open_files(Settings(home=tmp_path_factory.mktemp("home")))
    return other_texts(recipe.evaluation.style, files, recipe, "en")


@pytest.fixture(scope="module")
def same_topic() -> list[OtherText]:
    paths = sorted(path for pattern in SAME_TOPIC for path in ROOT.glob(pattern))
    texts = {str(path.relative_to(ROOT)): _prose_of(path.read_text()) for path in paths}
    return [OtherText(name, name, text) for name, text in texts.items() if text]


def test_the_handbook_against_hands_never_seen(table, packages):
    """A minute. Buys: what the demo's own measure is worth."""
    found = _held_out(handbook(), packages, packages)
    _note(table, "handbook, packages", found)
    assert found[TOGETHER].auc_documents.value >= 0.97
    assert found[TOGETHER].auc.value >= 0.97


def test_the_handbook_within_its_topic(table, packages, same_topic):
    """A minute. Buys: proof that it is no topic that is told: both write about this system."""
    found = _held_out(handbook(), packages, same_topic)
    _note(table, "handbook, its own topic by others, who are never seen", found)
    assert found[TOGETHER].auc.value >= 0.90


@pytest.mark.skipif(not FILE.exists(), reason=f"no {FILE}: make bench-evaluation fetches it")
def test_two_writers_on_one_topic(table):
    """A minute. Buys: the same for two people, week by week of one campaign."""
    (name, weeks), (_, others) = sorted(tweets().items())
    hands = [OtherText(week, week, "\n".join(said)) for week, said in others.items()]
    _note(table, f"tweets of {name}, of the other candidate", _held_out(weeks, hands, hands))


def _held_out(
    documents: Mapping[str, Sequence[str]],
    others: Sequence[OtherText],
    against: Sequence[OtherText],
) -> dict[str, Separation]:
    """How documents and hands that were not learned from are told apart, over all folds.

    Args:
        documents: the author's.
        others: what is learned against.
        against: what is to be told from the author, never learned from when it is.
    """
    scores: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in (TOGETHER, *METHODS)
    }
    groups: tuple[list[str], list[str]] = ([], [])
    for fold in range(FOLDS):
        unseen = sorted(documents)[fold::FOLDS]
        strangers = sorted({each.author for each in against})[fold::FOLDS]
        made = learn_authorship(
            {name: parts for name, parts in documents.items() if name not in unseen},
            [each for each in others if each.author not in strangers],
            "en",
        )
        mine = masked_pieces(made.mask, {name: documents[name] for name in unseen})
        written = {each.author: [each.text] for each in against if each.author in strangers}
        sides = (mine, masked_pieces(made.mask, written))
        for side, found in enumerate(sides):
            groups[side].extend(piece.group for piece in found)
            for name, values in made.probabilities([piece.text for piece in found]).items():
                scores[name][side].extend(values)
    return {
        name: separation(np.array(own), groups[0], np.array(other), groups[1])
        for name, (own, other) in scores.items()
    }


def _note(table, who: str, found: Mapping[str, Separation]) -> None:
    table.extend((who, measure, told) for measure, told in found.items())


def _prose_of(text: str) -> str:
    """Paragraphs without tables, lists and code."""
    return "\n\n".join(
        part
        for part in prose(re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        if not re.search(r"^\s*(?:[|#>*-]|\d+\.)", part, re.MULTILINE)
    )
