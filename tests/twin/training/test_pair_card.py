"""The card of a pair set."""

from tests.twin.datasets.sets import pair
from twin.stores.pair_sets import PairSetManifest
from twin.training.pair_card import SHOWN, render_pair_card


def manifest(pairs, **fields):
    made = {
        "version": "p1", "recipe": "ann", "author_name": "Ann", "dataset_version": "s1",
        "adapter": "a", "base_model": "b", "rejected_by": "b after SFT", "samples": 9,
        "candidates": 27, "pairs": len(pairs), "length_auc": 0.4567, "likeness": 0.321,
        "dropped": {"right": 4, "empty": 1}, "passed_over": {"answer too long": 3},
    }  # fmt: skip
    return PairSetManifest(**{**made, **fields})


def test_it_has_figures_reasons_and_both_texts_side_by_side():
    pairs = [pair("a", chosen="One | two\nthree <b>", rejected="Four", likeness=0.5)]
    card = render_pair_card(manifest(pairs), pairs)
    assert "# Preference pairs of Ann" in card
    assert "made of samples `s1`" in card
    assert "the model after SFT wrote to the same prompt: b after SFT." in card
    assert "Pairs: 1, of 9 training samples and 27 texts" in card
    assert "AUC of length alone: 0.46" in card
    assert "0.32 in the mean" in card
    assert "- right: 4" in card
    assert "- answer too long: 3" in card
    assert "**What of a?** (likeness 0.50)" in card
    assert "| One \\| two<br>three &lt;b> | Four |" in card
    assert card.startswith("---\nconfigs:\n- config_name: preferences\n")


def test_examples_go_from_the_hardest_to_the_easiest():
    pairs = [pair(f"n{n:02}", likeness=n / 20) for n in range(20)]
    card = render_pair_card(manifest(pairs), pairs)
    shown = [line for line in card.splitlines() if line.startswith("**What of")]
    assert len(shown) == SHOWN
    assert "n19" in shown[0]
    assert "n03" in shown[-1]
    assert shown == sorted(shown, reverse=True)


def test_a_set_without_pairs_says_so():
    card = render_pair_card(manifest([], length_auc=None, likeness=None), [])
    assert "there is nothing to learn from preferences" in card
    assert "configs:" not in card
    assert "## Examples" not in card
    assert "AUC" not in card


def test_held_out_pairs_are_named_and_offered_as_a_split_of_their_own():
    pairs = [pair("a", likeness=0.5)]
    assert "Held out" not in render_pair_card(manifest(pairs), pairs)
    assert "split: test" not in render_pair_card(manifest(pairs), pairs)
    card = render_pair_card(manifest(pairs, held_out=7), pairs)
    assert "Held out: 7 pairs of test samples" in card
    assert "{split: test, path: preferences/test.parquet}" in card
