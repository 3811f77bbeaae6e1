"""A store by one listing."""

from datetime import UTC, datetime

from twin.stores.stored_file import StoredFile
from twin.stores.stored_tree import StoredTree

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def file(name, size=1, changed=EARLY):
    return StoredFile(name, name, size, "v", changed)


def test_folders_add_up_and_are_as_new_as_their_newest_file():
    tree = StoredTree(
        [file("a/b/x", 2), file("a/b/y", 3, LATE), file("a/z", 5), file("a/.published.json", 7)]
    )
    assert (tree.size("a"), tree.size("a/b"), tree.size("a/b/x"), tree.size("no")) == (17, 5, 2, 0)
    assert (tree.changed("a"), tree.changed("a/b/x"), tree.changed("a/z")) == (LATE, EARLY, EARLY)
    assert tree.names("a") == ["b", "z"] and tree.names("no") == []
    assert "a/b" in tree and "a/b/" not in tree and "no" not in tree
    assert tree.is_published("a") and not tree.is_published("a/b")


def test_what_says_no_time_makes_its_folder_new():
    tree = StoredTree([file("a/x", changed=None), file("a/y")])
    assert tree.changed("a") > LATE and tree.changed("a/y") == EARLY
    assert tree.changed("no") > LATE
