"""Splits: by document, by draw, together with their likes, and for good."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.twin import corpora
from twin.datasets.duplicates import alike_documents
from twin.datasets.prepared import prepare
from twin.datasets.splits import LENGTHS, split_documents, stratum_of
from twin.domain.sample import Split
from twin.recipes import DatasetsSection
from twin.text.shingles import MOST_HOLDERS

IDS = [f"document-{n}" for n in range(200)]


def split(ids, *, validation=0.1, test=0.2, seed=13, **more):
    return split_documents(ids, validation=validation, test=test, seed=seed, **more)


@given(
    ids=st.sets(st.uuids().map(str), min_size=3, max_size=80),
    test=st.sampled_from([0.1, 0.2, 0.4]),
    seed=st.integers(0, 50),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_every_document_has_one_split_and_no_wanted_split_is_empty(ids, test, seed):
    splits = split(ids, test=test, seed=seed)
    assert set(splits) == ids
    assert set(splits.values()) == set(Split)


def test_a_document_stays_in_its_split_while_others_come():
    few, many = split(IDS[:100]), split(IDS)
    assert all(many[i] is few[i] for i in IDS[:100])
    share = Counter(many.values())
    assert 0.12 < share[Split.TEST] / 200 < 0.28
    assert 0.05 < share[Split.VALIDATION] / 200 < 0.17


def test_the_seed_draws_and_draws_the_same_again():
    assert split(IDS, seed=13) == split(reversed(IDS), seed=13)
    assert split(IDS, seed=13) != split(IDS, seed=14)


def test_no_split_is_made_of_nothing():
    assert split([]) == {}
    assert split(["only"]) == {"only": Split.TRAIN}


def test_of_two_documents_training_gets_one_and_the_test_the_other():
    """Validation is the one to do without."""
    for seed in range(20):
        assert Counter(split(["a", "b"], seed=seed).values()) == {Split.TRAIN: 1, Split.TEST: 1}


def test_an_only_document_is_trained_on_before_it_is_measured_on():
    places = [split(["only"], validation=0.9, test=0.1, seed=seed)["only"] for seed in range(20)]
    assert Split.VALIDATION not in places
    assert places.count(Split.TRAIN) >= 15


def test_a_split_of_no_share_stays_empty():
    assert set(split(IDS, test=0.0).values()) == {Split.TRAIN, Split.VALIDATION}
    assert set(split(IDS, validation=0.0).values()) == {Split.TRAIN, Split.TEST}
    assert set(split(["a", "b", "c"], validation=0.0, test=0.0).values()) == {Split.TRAIN}


def test_what_fills_an_empty_split_is_the_nearest_to_it_in_the_draw():
    """With a share so small that nothing is drawn, the lowest draws are taken, so that a larger
    share would have drawn them too; training takes the highest."""
    ids = IDS[:30]
    tiny = split(ids, test=1e-9, validation=0.0)
    [test] = [i for i, place in tiny.items() if place is Split.TEST]
    larger = split(ids, test=0.1, validation=0.0)
    assert larger[test] is Split.TEST
    most = split(ids, test=1.0, validation=0.0)
    [train] = [i for i, place in most.items() if place is Split.TRAIN]
    nearly = split(ids, test=0.9, validation=0.0)
    assert nearly[train] is Split.TRAIN


def test_what_was_placed_stays_whatever_seed_and_shares_are():
    first = split(IDS[:100])
    later = split(IDS, seed=99, test=0.5, kept=first)
    assert {i: later[i] for i in IDS[:100]} == first
    assert Counter(later[i] for i in IDS[100:])[Split.TEST] > 35


def test_what_was_trained_on_is_not_moved_to_fill_the_test():
    kept = dict.fromkeys(IDS[:5], Split.TRAIN)
    assert split(IDS[:5], kept=kept) == kept
    grown = split([*IDS[:5], "new"], kept=kept)
    assert grown == {**kept, "new": Split.TEST}


def test_what_says_the_same_is_placed_together():
    groups = [(IDS[0], IDS[1]), (IDS[1], IDS[2]), (IDS[50], IDS[60])]
    for seed in range(30):
        splits = split(IDS, seed=seed, together=groups)
        assert len({splits[i] for i in IDS[:3]}) == 1
        assert splits[IDS[50]] is splits[IDS[60]]
    assert set(splits) == set(IDS)


def test_a_newcomer_goes_where_its_like_is_measured():
    kept = {"a": Split.TRAIN, "b": Split.TEST, "c": Split.VALIDATION}
    together = [("a", "new"), ("b", "new"), ("c", "other"), ("gone", "b")]
    splits = split(["a", "b", "c", "new", "other"], kept=kept, together=together)
    assert splits == {**kept, "new": Split.TEST, "other": Split.VALIDATION}


def passages(document_id, text):
    chunk = corpora.document("d", 1)[0]
    return chunk.model_copy(update={"id": document_id, "document_id": document_id, "text": text})


def alike(chunks):
    prepared = prepare(chunks, DatasetsSection(min_answer_words=1))
    return alike_documents(prepared, prepared.documents(Counter()))


def words(name, count=60):
    return " ".join(f"{name}{number}" for number in range(count))


def test_documents_are_alike_when_most_of_the_shorter_is_in_the_longer():
    texts = [
        passages("long", f"{words('a')} {words('b')}"),
        passages("short", words("a")),
        passages("half", f"{words('a', 30)} {words('c')}"),
        passages("other", words("d")),
        passages("tiny", "A few words only."),
    ]
    assert alike(texts) == [("long", "short")]


def test_what_very_many_documents_hold_makes_none_of_them_alike():
    many = [passages(f"d{n:02}", words("licence")) for n in range(MOST_HOLDERS + 1)]
    assert alike(many) == []
    assert len(alike(many[:-1])) == MOST_HOLDERS * (MOST_HOLDERS - 1) // 2


STRATA = {name: (("blog", "posts", "books")[n % 10 // 4], n % 2) for n, name in enumerate(IDS)}


@pytest.mark.parametrize("seed", range(5))
def test_each_stratum_keeps_to_the_shares(seed):
    splits = split(IDS, seed=seed, strata=STRATA)
    counts = Counter(splits.values())
    assert abs(counts[Split.TEST] - 40) <= 1
    assert abs(counts[Split.VALIDATION] - 20) <= 1
    for stratum in set(STRATA.values()):
        own = [name for name in IDS if STRATA[name] == stratum]
        held = Counter(splits[name] for name in own)
        assert abs(held[Split.TEST] - 0.2 * len(own)) <= 2
        assert abs(held[Split.VALIDATION] - 0.1 * len(own)) <= 2


def test_the_seed_draws_who_of_a_stratum_goes_where():
    assert split(IDS, seed=1, strata=STRATA) == split(reversed(IDS), seed=1, strata=STRATA)
    assert split(IDS, seed=1, strata=STRATA) != split(IDS, seed=2, strata=STRATA)


def test_one_stratum_is_drawn_as_if_there_were_none():
    assert split(IDS, strata=dict.fromkeys(IDS, "blog")) == split(IDS)


def test_no_share_is_no_document_of_any_stratum():
    assert set(split(IDS, test=0.0, strata=STRATA).values()) == {Split.TRAIN, Split.VALIDATION}


def test_newcomers_fill_what_their_stratum_lacks():
    kept = dict.fromkeys([name for name in IDS if STRATA[name][0] == "blog"], Split.TRAIN)
    splits = split(IDS, kept=kept, strata=STRATA)
    assert {splits[name] for name in kept} == {Split.TRAIN}
    counts = Counter(splits.values())
    assert counts[Split.TEST] >= 35, "all together keep to the shares as far as they can"


@pytest.mark.parametrize("strata", [None, STRATA])
def test_nothing_moves_while_documents_come_one_by_one(strata):
    kept = {}
    for number in range(1, 60):
        splits = split(IDS[:number], kept=kept, strata=strata,
                       together=[(IDS[3], IDS[30]), (IDS[8], IDS[30], IDS[45])])  # fmt: skip
        assert kept.items() <= splits.items()
        kept = splits
    counts = Counter(kept.values())
    assert counts[Split.TRAIN] > 30
    assert counts[Split.TEST] >= 6
    assert counts[Split.VALIDATION] >= 2


def test_strata_are_platforms_and_lengths():
    short, article = LENGTHS

    def chunks(name, tokens, platform):
        [chunk] = corpora.document(name, 1)
        parts = (tokens - 1, 1)
        return [chunk.model_copy(update={"token_count": n, "platform": platform}) for n in parts]

    documents = prepare(
        [
            *chunks("a", short - 1, "web"),
            *chunks("b", short, "web"),
            *chunks("c", article, "web"),
            *chunks("d", article - 1, "medium"),
        ],
        DatasetsSection(),
    ).documents(Counter())
    assert documents.ids == ["a", "b", "c", "d"]
    strata = list(map(stratum_of, documents.platforms, documents.tokens))
    assert strata == [("web", 0), ("web", 1), ("web", 2), ("medium", 1)]
