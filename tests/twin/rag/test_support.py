"""The verifier of support, with the real embedder."""

import pytest

from twin.models.embedder import load_embedder
from twin.rag.support import Evidence, SupportVerifier, telling_sentences
from twin.settings import Settings

PODS = "Pods > Why?\nEvery job is a pod. A pod that is killed is started again after 30 seconds."
CRAWL = "Crawling > Manners\nThe crawler waits a second between two pages of one host."


@pytest.fixture(scope="module")
def verifier():
    return SupportVerifier(load_embedder("all-minilm-l6-v2", Settings()))


@pytest.mark.parametrize(
    ("answer", "passage", "supported"),
    [
        ("A killed pod starts again after 30 seconds.", 0, True),
        ("The crawler pauses a second between the pages of a host.", 1, True),
        ("A killed pod starts again after 45 seconds.", 0, False),
        ("Bananas are rich in potassium and taste sweet.", None, False),
        ("The crawler waits `2h` between two pages of one host.", 1, False),
    ],
)
def test_a_sentence_and_its_passage(verifier, answer, passage, supported):
    [found] = verifier.verify(answer, [PODS, CRAWL])
    assert found.is_supported is supported
    assert passage in {None, found.passage}


def test_each_sentence_has_its_own_passage_and_what_says_nothing_is_left_out(verifier):
    answer = "Yes. Every job is a pod. The crawler waits a second between two pages."
    found = verifier.verify(answer, [CRAWL, PODS])
    assert [(each.sentence, each.passage) for each in found] == [
        ("Every job is a pod.", 1),
        ("The crawler waits a second between two pages.", 0),
    ]


def test_without_a_passage_nothing_is_supported(verifier):
    [found] = verifier.verify("Every job is a pod.", [])
    assert (found.passage, found.probability, found.is_supported) == (None, 0.0, False)


def test_the_evidence(verifier):
    same = verifier.evidence("Every job is a pod.", PODS)
    assert same.lexical == 1.0
    assert same.semantic == pytest.approx(1.0, abs=1e-3)
    other = verifier.evidence("Every job ends after 12 `minutes`, not 30.", PODS)
    assert other.lexical == pytest.approx(3 / 6)  # of every, ends, after, 12, minutes, 30
    assert other.lacking == 2
    assert other.semantic < 0.9


def test_an_inflected_word_is_the_same_word(verifier):
    assert verifier.evidence("Crawlers waiting", CRAWL).lexical == 0.5  # crawlers; not waiting
    assert verifier.evidence("seconds", CRAWL).lexical == 1.0


def test_scripts_without_blanks_are_compared_by_words(verifier):
    passage = "每个任务都是一个容器。"
    assert verifier.evidence("任务容器", passage).lexical == 1.0
    assert verifier.evidence("苹果很甜", passage).lexical == 0.0


def test_each_piece_of_evidence_counts_and_the_third_missing_word_no_more():
    base = Evidence(lexical=0.5, semantic=0.5, lacking=0)
    assert Evidence(0.9, 0.5, 0).probability > base.probability
    assert Evidence(0.5, 0.9, 0).probability > base.probability
    assert Evidence(0.5, 0.5, 1).probability < base.probability
    assert Evidence(0.5, 0.5, 2).probability < Evidence(0.5, 0.5, 1).probability
    assert Evidence(0.5, 0.5, 3).probability == Evidence(0.5, 0.5, 2).probability


def test_passages_met_before_are_not_encoded_again():
    class Counting:
        """The embedder, which tells what it was given."""

        def __init__(self):
            self.seen = []
            self._embedder = load_embedder("all-minilm-l6-v2", Settings())

        def encode(self, texts):
            self.seen.append(list(texts))
            return self._embedder.encode(texts)

    embedder = Counting()
    verifier = SupportVerifier(embedder)
    verifier.verify("Every job is a pod.", [PODS])
    verifier.verify("Every pod is a job.", [PODS])
    assert [len(texts) for texts in embedder.seen] == [3, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Yes. No way.", []), ("Not at all. Ha.", ["Not at all."]), ("", [])],
)
def test_a_sentence_of_fewer_than_three_words_says_nothing(text, expected):
    assert telling_sentences(text) == expected
