"""Lists in files: what comes back, where, and from the files of another."""

import gc
from array import array

import pytest
from pydantic import BaseModel

from twin.stores.spool import Spool, spool_of


class Item(BaseModel):
    name: str
    numbers: tuple[int, ...] = ()


def texts(path=None):
    return Spool(str.encode, bytes.decode, path)


def filled(count, path=None):
    spool = texts(path)
    for number in range(count):
        spool.append("x" * (number % 7) + str(number))
    return spool


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1_000])
def test_items_come_back_in_order(count):
    expected = ["x" * (number % 7) + str(number) for number in range(count)]
    spool = filled(count)
    assert list(spool) == expected
    assert len(spool) == count
    assert [spool[place] for place in range(count)] == expected
    assert spool == expected


def test_places_count_from_either_end_and_slices_are_lists():
    spool = filled(20)
    assert (spool[-1], spool[-20]) == (spool[19], spool[0])
    assert spool[3:9:2] == [spool[3], spool[5], spool[7]]
    assert spool[:] == list(spool)
    for place in (20, -21):
        with pytest.raises(IndexError):
            spool[place]


def test_others_may_be_read_and_added_while_going_through_all():
    spool = filled(600)
    seen = []
    for place, item in enumerate(spool):
        assert spool[599 - place] == list(filled(600))[599 - place] if place % 100 == 0 else True
        if place < 10:
            spool.append("late")
        seen.append(item)
    assert seen == list(filled(600))
    assert spool[600:] == ["late"] * 10


def test_an_empty_item_is_an_item():
    spool = texts()
    for item in ("", "a", "", ""):
        spool.append(item)
    assert list(spool) == ["", "a", "", ""]
    assert spool != ["", "a", ""]
    assert spool != ["", "a", "", "b"]
    assert spool != 4


def test_models_come_back():
    spool = spool_of(Item)
    items = [Item(name="é\n", numbers=(1, 2)), Item(name="")]
    for item in items:
        spool.append(item)
    assert list(spool) == items


def test_what_was_saved_is_put_at_the_end_of_another(tmp_path):
    first = filled(300, tmp_path / "items")
    first.save(tmp_path / "ends")
    first.close()
    spool = texts()
    spool.append("before")
    spool.extend(tmp_path / "items", tmp_path / "ends")
    spool.append("after")
    assert list(spool) == ["before", *filled(300), "after"]


@pytest.mark.parametrize("ends", [b"", array("q", [0]).tobytes(), array("q", [0, 3]).tobytes()])
def test_files_that_do_not_belong_together_are_refused(tmp_path, ends):
    (tmp_path / "items").write_bytes(b"four")
    (tmp_path / "ends").write_bytes(ends)
    spool = texts()
    with pytest.raises(ValueError, match="does not hold"):
        spool.extend(tmp_path / "items", tmp_path / "ends")
    assert len(spool) == 0


def test_the_file_goes_with_the_spool():
    spool = filled(3)
    file = spool._file
    del spool
    gc.collect()
    assert file.closed
