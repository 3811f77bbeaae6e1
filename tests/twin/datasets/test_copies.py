"""The copy budget: counted per split, kept to, and never at the cost of what a person wrote."""

import pytest

from twin.datasets.copies import from_memory, over_copy_share, sample_id, shows_answer
from twin.domain.sample import InstructSample, Maker, Split


def sample(number, *, context=(), split=Split.TRAIN, maker=Maker.PASSAGE, answer="An answer."):
    return InstructSample(
        id=sample_id(f"c{number}", "Why?", grounded=bool(context)),
        split=split,
        instruction="Why?",
        context=context,
        answer=answer,
        document_id="d",
        revision="r",
        chunk_id=f"c{number}",
        title="T",
        url="u",
        maker=maker,
    )


def within_copy_share(samples, share, seed):
    over = over_copy_share(iter(samples), share, seed)
    return [from_memory(each) if each.id in over else each for each in samples]


SHOWN = ("Title > Heading\nBefore. An   answer.\nAfter.",)


def test_an_answer_is_shown_whatever_the_blanks_in_it():
    assert shows_answer(sample(1, context=("x", *SHOWN)))
    assert not shows_answer(sample(1, context=("An answer, but another.",)))
    assert not shows_answer(sample(1))


@pytest.mark.parametrize(("share", "left"), [(0.0, 0), (0.25, 2), (0.3, 2), (0.5, 4), (1.0, 6)])
def test_copies_over_the_share_are_asked_from_memory(share, left):
    samples = [sample(n, context=SHOWN if n < 6 else ()) for n in range(8)]
    kept = within_copy_share(samples, share, 1)
    assert sum(map(shows_answer, kept)) == left
    assert [s.chunk_id for s in kept] == [s.chunk_id for s in samples]
    for before, after in zip(samples, kept, strict=True):
        if before == after:
            continue
        assert after.context == ()
        assert after.id == sample_id(after.chunk_id, "Why?", grounded=False) != before.id


def test_each_split_keeps_to_the_share_by_itself():
    samples = [sample(n, context=SHOWN, split=Split.TEST) for n in range(4)]
    samples += [sample(n) for n in range(4, 40)]
    kept = within_copy_share(samples, 0.5, 1)
    assert sum(map(shows_answer, kept)) == 2


def test_which_are_kept_is_drawn_from_the_seed():
    samples = [sample(n, context=SHOWN) for n in range(20)]
    kept = [within_copy_share(samples, 0.5, seed) for seed in (1, 1, 2)]
    assert kept[0] == kept[1] != kept[2]


def test_what_a_person_wrote_stays_and_counts():
    written = [sample(n, context=SHOWN, maker=Maker.WRITTEN) for n in range(3)]
    made = [sample(n, context=SHOWN) for n in range(3, 6)]
    kept = within_copy_share([*written, *made, sample(6), sample(7)], 0.5, 1)
    assert kept[:3] == written
    assert sum(map(shows_answer, kept)) == 4
    assert sum(map(shows_answer, within_copy_share([*written, *made], 0.25, 1))) == 3
