"""Kept replies: each there at once, whatever happens after, and gone when they are forgotten."""

import pytest

from twin.domain.errors import BadDataError
from twin.stores import kept_replies
from twin.stores.files import open_files
from twin.stores.kept_replies import KeptReplies, KeptReply


@pytest.fixture
def files(settings):
    return open_files(settings)


def reply(number, **fields):
    return KeptReply(key=f"k{number}", about=f"d{number % 2}", text=f"text {number}", **fields)


def test_a_reply_is_there_for_the_next_reader_at_once(files):
    kept = KeptReplies(files, "replies")
    assert (len(kept), kept.find("k1")) == (0, None)
    kept.keep(reply(1, prompt_tokens=3, answer_tokens=4, payer="v1"))
    again = KeptReplies(files, "replies")
    assert list(again) == [reply(1, prompt_tokens=3, answer_tokens=4, payer="v1")]
    again.keep(reply(1, answer_tokens=9))
    assert KeptReplies(files, "replies").find("k1").answer_tokens == 9


def test_many_become_packs_and_later_words_on_one_count(files, monkeypatch):
    monkeypatch.setattr(kept_replies, "PACK", 4)
    kept = KeptReplies(files, "replies")
    for number in range(11):
        kept.keep(reply(number))
    assert files.names("replies/packs") == ["00000001.json", "00000002.json"]
    assert len([name for name in files.names("replies") if name.endswith(".json")]) == 3
    kept.keep(reply(0, answer_tokens=7))  # in a file of its own again, then in the third pack
    assert files.names("replies/packs")[-1] == "00000003.json"
    again = KeptReplies(files, "replies")
    assert len(again) == 11
    assert again.find("k0").answer_tokens == 7
    again.keep(reply(20))
    for number in range(21, 24):
        again.keep(reply(number))
    assert files.names("replies/packs")[-1] == "00000004.json", "counts on"


def test_what_is_still_asked_for_is_not_packed(files, monkeypatch):
    monkeypatch.setattr(kept_replies, "PACK", 4)
    kept = KeptReplies(files, "replies")
    for number in range(3):
        kept.keep(KeptReply(key=f"open{number}", begun=1))
    kept.keep(reply(1))
    assert files.names("replies/packs") == []
    kept.keep(KeptReply(key="refused", refusal="content policy"))
    assert files.names("replies/packs") == ["00000001.json"]
    assert {each.key for each in KeptReplies(files, "replies")} == {
        "open0", "open1", "open2", "k1", "refused"
    }  # fmt: skip


def test_documents_are_forgotten_in_packs_too(files, monkeypatch):
    monkeypatch.setattr(kept_replies, "PACK", 4)
    kept = KeptReplies(files, "replies")
    for number in range(6):
        kept.keep(reply(number))
    assert kept.forget({"d1", "another"}) == 3
    for each in (kept, KeptReplies(files, "replies")):
        assert {one.key for one in each} == {"k0", "k2", "k4"}
    assert kept.forget({"d1"}) == 0
    names = [*files.names("replies"), *files.names("replies/packs")]
    stored = "".join(
        files.read_text(f"replies/{name}")
        for name in [*names[:-1], f"packs/{names[-1]}"]
        if name.endswith(".json") and name != "00000001.json"
    )
    assert "text 1" not in stored


def test_all_are_removed(files):
    kept = KeptReplies(files, "replies")
    kept.keep(reply(1))
    kept.remove()
    assert len(kept) == 0
    assert not files.exists("replies")
    assert len(KeptReplies(files, "replies")) == 0


@pytest.mark.parametrize("content", ["", "[{]", "{}", '[{"key": 1}]'])
def test_a_damaged_file_is_named(files, content):
    files.write_text("replies/k1.json", content)
    with pytest.raises(BadDataError, match=r"replies/k1.json: no kept replies: remove the file"):
        KeptReplies(files, "replies")
