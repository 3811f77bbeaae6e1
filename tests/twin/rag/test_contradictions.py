import pytest

from twin.rag.contradictions import RuleConflicts, difference

HOUR = "A job waits 90 seconds for the warehouse before it gives up."


@pytest.mark.parametrize(
    ("sentence", "other", "kind"),
    [
        (HOUR, "A job waits 30 seconds for the warehouse before it gives up.", "number"),
        (HOUR, "A job waits 90 seconds for the warehouse before it never gives up.", "negation"),
        (HOUR, "A job doesn't wait 90 seconds for the warehouse before it gives up.", "negation"),
        (HOUR, "A job doesn\u2019t wait 90 seconds for the warehouse before it gives up.",
         "negation"),
        (HOUR, HOUR, None),
        (HOUR, "A job waits 90 seconds for the index before it gives up.", None),
        (HOUR, "The pod of a rollout is warmed up by 30 questions in all languages.", None),
        (HOUR, "A job waits for the warehouse before it gives up.", None),  # says less
        ("It holds 1,000 pods on one node here.", "It holds 1000 pods on one node here.", None),
        ("It takes 3 s.", "It takes 5 s.", None),  # too short
        ("| step 1 | run it on the node |", "| step 2 | run it on the node |", None),
        ("# Step 1: run it on the node", "# Step 2: run it on the node", None),
        ("Ein Lauf braucht zwei Kerne und wartet nicht.",
         "Ein Lauf braucht zwei Kerne und wartet.", "negation"),
        ("It does not restart, and no data is lost.", "It does restart, and no data is lost.",
         "negation"),
        ("It never restarts a pod by itself.", "It does not restart a pod by itself.", None),
    ],
)  # fmt: skip
def test_nearly_the_same_sentences_contradict_by_number_or_negation(sentence, other, kind):
    assert difference(sentence, other) == kind
    assert difference(other, sentence) == kind


def test_five_words_are_enough_and_four_are_not():
    assert difference("It takes about 3 seconds.", "It takes about 5 seconds.") == "number"
    assert difference("It takes 3 seconds.", "It takes 5 seconds.") is None


def test_sentences_of_too_few_words_in_common_are_not_compared():
    """Of eight words five are the same: 0.625; of eleven eight: 0.727."""
    assert difference("a b c d e 1 x y", "a b c d e 2 v w") is None
    assert difference("a b c d e f g h 1 x y", "a b c d e f g h 2 v w") == "number"


def test_pairs_are_answered_in_their_order():
    other = HOUR.replace("90", "30")
    assert RuleConflicts().between([(HOUR, HOUR), (HOUR, other)]) == [None, "number"]
