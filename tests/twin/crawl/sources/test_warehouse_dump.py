"""Dumps of the older system's warehouse."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.twin.crawl.formats.pages import words, write
from tests.twin.crawl.sources.jobs import documents, held, run, tally
from twin.crawl.sources.warehouse_dump import items_of
from twin.domain.errors import BadDataError, NothingToDo
from twin.settings import Settings

UUID = "6d2f9e5a-93a1-4d8e-9b5e-0a6c7f3d1b42"


def item(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "_id": f"{number:024x}",
        "content": {
            "Title": f"Essay {number}",
            "Subtitle": "On tides",
            "Content": f"# Essay {number}\n\n## High\n\n{words()}\n\n    code  stays\n",
            "language": "en-US",
        },
        "platform": "Medium",
        "link": f"https://medium.com/@tess/essay-{number}?utm_source=x",
        "author_id": "42",
        "author_full_name": "Tess Tester",
        **fields,
    }


def dump(folder: Path, items: Any) -> dict[str, Any]:
    path = write(folder / "dump.json", items if isinstance(items, str) else json.dumps(items))
    return {"kind": "warehouse_dump", "path": path}


def test_items_become_documents(stores_settings: Settings, tmp_path: Path) -> None:
    plain = item(2, content={"Content": f"Just text. {words()}"}, platform="linkedin")
    source = dump(tmp_path, [item(1), plain])
    done = run(stores_settings, source)
    found = documents(stores_settings)
    one = found["https://medium.com/@tess/essay-1"]
    assert (one.title, one.subtitle, one.platform) == ("Essay 1", "On tides", "medium")
    assert (one.language, one.byline, one.kind) == ("en", "Tess Tester", "article")
    assert one.content == f"## High\n\n{words()}\n\n    code  stays\n"
    two = found["https://medium.com/@tess/essay-2"]
    assert (two.platform, two.kind) == ("linkedin", "post")
    assert two.title.startswith("Just text. The tide")
    assert tally(done) == {"added": 2}
    with pytest.raises(NothingToDo):
        run(stores_settings, source)


def test_without_a_link_the_id_is_the_name(stores_settings: Settings, tmp_path: Path) -> None:
    items = [
        item(1, link="", _id=UUID),
        item(2, link=None, _id={"$oid": "65e1"}),
        item(3, link="https://[", _id="a/b"),
        item(4, link=None, _id=None),
    ]
    run(stores_settings, dump(tmp_path, items), max_failed_share=0.5)
    assert set(documents(stores_settings)) == {
        f"urn:uuid:{UUID}", "dump://source/65e1", "dump://source/a%2Fb",
    }  # fmt: skip
    assert held(stores_settings) == {"item 4": "has neither link nor _id"}


def test_other_authors_are_left_out_and_counted(stores_settings: Settings, tmp_path: Path) -> None:
    guest = {"author_full_name": "Guy Guest", "author_id": "7"}
    items = [item(1), item(2, **guest), item(3, **guest)]
    done = run(stores_settings, dump(tmp_path, items))
    assert len(documents(stores_settings)) == 1
    assert done.result.detail["source: of other authors"] == 2
    assert tally(done) == {"added": 1, "skipped": 2}
    run(stores_settings, {**dump(tmp_path, items), "authors": ["42", "guy  GUEST"]})
    assert len(documents(stores_settings)) == 3
    with pytest.raises(
        BadDataError, match=r"none of its 2 items is by this author; they are by 'Guy Guest': name"
    ):
        run(stores_settings, dump(tmp_path, items[1:]))


def test_of_one_link_the_last_counts(stores_settings: Settings, tmp_path: Path) -> None:
    newer = item(1, content={"Title": "Newer", "Content": words()}, _id="f" * 24)
    newer["link"] += "&utm_medium=y"
    done = run(stores_settings, dump(tmp_path, [item(1), item(2), newer]))
    found = documents(stores_settings)
    assert {document.title for document in found.values()} == {"Newer", "Essay 2"}
    assert done.result.detail["source: links that came again (the last one counts)"] == 1


def test_unusable_items_are_set_aside(stores_settings: Settings, tmp_path: Path) -> None:
    items = [
        item(1),
        item(2, content={"Title": "None"}),
        item(3, content={"Title": "Short", "Content": "Too short."}),
        item(4, content={"Title": "Half", "Content": f"\ud83d {words()}"}),
    ]
    done = run(stores_settings, dump(tmp_path, items))
    assert tally(done) == {"added": 1, "skipped": 3}
    assert sorted(held(stores_settings).values()) == [
        "2 words, fewer than crawl.min_words = 20",
        "holds half a character (a surrogate without its pair)",
        "no text: content.Content is empty",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"not": "a list"', "not JSON at character"),
        ("plain text", "is no JSON list of documents"),
        ("[", "is cut off: the list does not end"),
        ('[{"a": 1}', "is cut off"),
        ('[{"a": 1} {"b": 2}]', "no comma between two items"),
        ("[1, 2]", "item 1 is no JSON object"),
        ("[{}] x", "something follows"),
        ('[{"a": "' + "x" * 3000, "not JSON at character 1"),
    ],
)
def test_what_is_no_dump_says_where(
    stores_settings: Settings, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(BadDataError, match=f"source 'source': .*{message}"):
        run(stores_settings, dump(tmp_path, text))


def test_missing_and_too_large_files(stores_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        BadDataError, match=r"no file .*dump\.json \(paths in a recipe are relative to"
    ):
        run(stores_settings, {"kind": "warehouse_dump", "path": tmp_path / "dump.json"})
    with pytest.raises(BadDataError, match="more than max_bytes = 100"):
        run(stores_settings, {**dump(tmp_path, [item(1)]), "max_bytes": 100})


def test_a_large_file_is_read_item_by_item(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    body = json.dumps(item(0, content={"Content": "\u00e9" * 20_000}), ensure_ascii=False)
    with path.open("w", encoding="utf-8") as file:
        file.write("[" + ",\n".join([body] * 800) + "]")
    assert path.stat().st_size > 30_000_000
    tracemalloc.start()
    assert sum(1 for _ in items_of(path)) == 800
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12_000_000


def test_objects_one_after_another_are_read_too(tmp_path: Path) -> None:
    lines = "\n".join(json.dumps({"n": number}) for number in range(5))
    assert list(items_of(write(tmp_path / "x.json", f"\ufeff{lines}\n"))) == [
        {"n": number} for number in range(5)
    ]
