"""The author's hand against others': what is told apart, and stubs that must lose."""

from collections import Counter

import numpy as np
import pytest

from tests.twin.evaluation.hands import GENERAL, everything, handbook
from twin.domain.errors import BadDataError
from twin.domain.written import plain
from twin.evaluation.answers import copy_share, own_words
from twin.evaluation.authorship import (
    METHODS,
    MOST_PIECES,
    TOGETHER,
    language_of_texts,
    learn_authorship,
    masked_pieces,
)
from twin.evaluation.authorship_check import authorship_check
from twin.evaluation.other_authors import OtherText, other_texts
from twin.evaluation.resampling import difference, estimate
from twin.evaluation.separation import separation
from twin.recipes import GateSection, Recipe
from twin.settings import Settings
from twin.stores.files import open_files
from twin.text.sentences import sentences

GATE = GateSection()
REFUSAL = "I have not written about that."


@pytest.fixture(scope="module")
def articles():
    return handbook()


@pytest.fixture(scope="module")
def names(articles):
    """Articles to learn from, and articles that are held out."""
    ordered = sorted(articles)
    return ordered[::2], ordered[1::2]


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    recipe = Recipe.model_validate(
        {
            "name": "handbook",
            "author": {"id": "handbook", "name": "The Keeper"},
            "sources": [{"kind": "folder", "name": "a", "path": "a"}],
        }
    )
    files = open_files(Settings(home=tmp_path_factory.mktemp("home")))
    return other_texts(recipe.evaluation.style, files, recipe, "en")[:60]


@pytest.fixture(scope="module")
def authorship(articles, names, others):
    return learn_authorship({name: articles[name] for name in names[0]}, others, "en")


@pytest.fixture(scope="module")
def held_out(articles, names):
    """Passages of the held-out articles with their groups."""
    found = [(name, part) for name in names[1] for part in articles[name]]
    return [part for _, part in found], [name for name, _ in found]


def score(authorship, texts, groups, measure=TOGETHER):
    return estimate(authorship.likeness(texts, groups)[measure], groups)


@pytest.mark.parametrize("measure", [TOGETHER, *METHODS])
def test_the_authors_unseen_articles_are_told_from_hands_never_seen(
    authorship, articles, names, measure
):
    mine = masked_pieces(authorship.mask, {name: articles[name] for name in names[1]})
    found = separation(
        authorship.probabilities([piece.text for piece in mine])[measure],
        [piece.group for piece in mine],
        authorship.probabilities([piece.text for piece in authorship.left_out])[measure],
        [piece.group for piece in authorship.left_out],
    )
    assert found.auc.value > 0.9
    assert found.auc_documents.value > 0.95
    assert found.missed.value < 0.25
    assert found.mistaken.value < 0.25


def test_who_is_left_out_taught_nothing(authorship):
    assert not {piece.group for piece in authorship.left_out} & set(authorship.others)
    assert len(authorship.others) >= 8
    assert authorship.words > 2_000
    assert authorship.other_words > 2_000


def test_a_short_text_is_less_decided_than_a_long_one(authorship, held_out):
    texts, groups = held_out
    whole = score(authorship, texts, groups).value
    words = [" ".join(text.split()[:3]) for text in texts[:1]]
    assert whole > 0.8
    assert abs(score(authorship, words, groups[:1]).value - 0.5) < abs(whole - 0.5)


def test_nothing_written_is_undecided(authorship):
    assert score(authorship, ["", "", ""], ["a", "a", "b"]).value == 0.5


def test_answers_of_a_group_are_judged_together(authorship, held_out):
    """Cut into single sentences, a group's answers say the same as in one."""
    texts, groups = held_out
    of_one = [text for text, group in zip(texts, groups, strict=True) if group == groups[0]]
    single = [sentence for text in of_one for sentence in sentences(text)]
    one = score(authorship, ["\n".join(of_one)], ["a"])
    many = score(authorship, single, ["a"] * len(single))
    assert len(single) > 2 * len(of_one)
    assert many.value == pytest.approx(one.value, abs=1e-6)


def test_a_statistic_is_that_of_the_groups_it_is_given(authorship, held_out):
    texts, groups = held_out
    statistic = authorship.likeness(texts, groups)[TOGETHER]
    first = np.array([group == groups[0] for group in groups], dtype=float)
    own = [text for text, group in zip(texts, groups, strict=True) if group == groups[0]]
    alone = authorship.likeness(own, groups[: len(own)])[TOGETHER]
    assert float(statistic.of(first)) == pytest.approx(float(alone.of(np.ones(len(own)))))


class TestStubs:
    """Three that are not the author, each against the author's own held-out passages."""

    def gap(self, authorship, answers, prompts, trained, held_out):
        passages, groups = held_out
        own = own_words(answers, prompts, plain("\n".join(trained)), REFUSAL)
        stub = authorship.likeness(own, groups)[TOGETHER]
        author = authorship.likeness(passages, groups)[TOGETHER]
        return estimate(difference(stub, author), groups)

    def copies(self, answers, prompts, trained, groups):
        statistic = copy_share(answers, prompts, plain("\n".join(trained)), REFUSAL)
        return estimate(statistic, groups)

    def test_one_that_copies_its_passages_loses_by_what_it_copied(self, authorship, held_out):
        passages, groups = held_out
        prompts = [f"Passages:\n{passage}\nQuestion?" for passage in passages]
        copied = self.copies(passages, prompts, [], groups)
        assert copied.low > GATE.max_copy_share
        # And by no style of its own: what was copied says nothing of it.
        gap = self.gap(authorship, passages, prompts, [], held_out)
        assert gap.high < 0

    def test_one_that_writes_general_prose_loses_by_style(self, authorship, held_out):
        passages, groups = held_out
        answers = [GENERAL[place % len(GENERAL)] for place in range(len(passages))]
        prompts = ["Question?"] * len(passages)
        assert self.copies(answers, prompts, [], groups).value == 0
        check = authorship_check(self.gap(authorship, answers, prompts, [], held_out), GATE)
        assert not check.passed

    def test_one_that_parrots_its_training_loses_by_what_it_copied(
        self, authorship, articles, names, held_out
    ):
        passages, groups = held_out
        trained = everything(articles, names[0])
        answers = [trained[place % len(trained)] for place in range(len(passages))]
        prompts = ["Question?"] * len(passages)
        copied = self.copies(answers, prompts, trained, groups)
        assert copied.low > GATE.max_copy_share
        assert self.gap(authorship, answers, prompts, trained, held_out).high < 0

    def test_the_author_passes(self, authorship, held_out):
        passages, groups = held_out
        prompts = ["Question?"] * len(passages)
        assert self.copies(passages, prompts, [], groups).high <= GATE.max_copy_share
        check = authorship_check(self.gap(authorship, passages, prompts, [], held_out), GATE)
        assert check.passed


def test_a_language_without_function_words_is_said_and_not_guessed(articles, others):
    with pytest.raises(BadDataError, match="not available for tlh"):
        learn_authorship(articles, others, "tlh")


def test_too_few_others_are_no_others(articles, others):
    with pytest.raises(BadDataError, match=r"at least 8 are needed.*evaluation\.style"):
        learn_authorship(articles, others[:5], "en")


def test_a_hand_that_nobody_can_tell_is_not_measured(articles, names):
    """Others who write what the author writes, word for word."""
    mine = {name: articles[name] for name in names[0][:4]}
    copies = [OtherText(name, name, "\n\n".join(parts)) for name, parts in articles.items()]
    with pytest.raises(BadDataError, match="does not tell the author from the others"):
        learn_authorship(mine, copies, "en")


def test_one_document_is_no_author(articles, others, names):
    one = {name: articles[name] for name in names[0][:1]}
    with pytest.raises(BadDataError, match="of two documents, are needed"):
        learn_authorship(one, others, "en")


def test_many_documents_give_some_pieces_each(authorship):
    said = "He said that it was not so, and that they had been there before us all the time. "
    documents = {f"d{number}": [said * 60] for number in range(40)}
    made = masked_pieces(authorship.mask, documents)
    assert len(made) == MOST_PIECES
    assert max(Counter(piece.group for piece in made).values()) < MOST_PIECES // 10
    assert made == masked_pieces(authorship.mask, dict(reversed(documents.items())))


def test_the_language_is_that_of_most_texts():
    english = "She wrote that the harbour was quiet, and that nobody had come to see the boats."
    german = "Sie schrieb, dass der Hafen still war und dass niemand gekommen war, um sie zu sehen."
    assert language_of_texts([english, german, german]) == "de"
    with pytest.raises(BadDataError, match="can't be told"):
        language_of_texts(["42"])


def test_another_language_than_english(others):
    """German letters by two made-up hands: what is learned in one language holds for it alone."""
    plain_hand = [
        f"Ich war {where}. Es war kalt. Wir sind dann gegangen. Ich habe nichts gesagt. Er auch "
        "nicht. Das war alles. Am Ende war ich froh. Wir waren nicht da. Es ist so. "
        for where in ("am Hafen", "im Wald", "in der Stadt", "auf dem Schiff", "im Haus", "am See")
    ]
    ornate = [
        f"Obwohl {what}, welche man ja, wie es scheint, niemals ganz versteht, stets auch etwas "
        "ist, das einem zu denken gibt, so bleibt doch, wenn man es recht bedenkt, immer noch die "
        "Frage, ob nicht vielmehr alles andere, was dabei auch noch ist, sehr viel mehr wiegt; "
        "denn, und das sollte man niemals vergessen, es gibt ja stets noch ein anderes. "
        for what in ("die Liebe", "die Zeit", "die Musik", "die Kunst", "die Stadt", "die Nacht")
    ]
    documents = {f"d{number}": [text * 8] for number, text in enumerate(plain_hand)}
    hands = [OtherText(f"a{number}", "x", text * 3) for number, text in enumerate(ornate * 4)]
    made = learn_authorship(documents, hands, "de")
    mine = made.likeness([plain_hand[0].replace("Hafen", "Deich") * 3], ["a"])[TOGETHER]
    theirs = made.likeness([ornate[0].replace("Liebe", "Ehre") * 2], ["a"])[TOGETHER]
    assert float(mine.of(np.ones(1))) > 0.8
    assert float(theirs.of(np.ones(1))) < 0.2
