"""A member's export of LinkedIn: its tables with their quirks, its articles, and bad archives."""

import csv
import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.twin.crawl.formats.pages import words, write
from tests.twin.crawl.sources.jobs import documents, held, run, tally
from twin.crawl.sources.linkedin_export import rows_of
from twin.domain.errors import BadDataError
from twin.settings import Settings

LINK = "https://www.linkedin.com/feed/update/urn%3Ali%3Ashare%3A"
# As the export writes it: each line break of the text between quotes, quotes doubled.
SHARES = f'''Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility
2024-03-01 09:30:00,{LINK}1,"A post of a line, on #tides and #piers, ""quoted"" in part.",,,ALL
2024-03-02 10:00:00,{LINK}2,"First paragraph, with a few words.""
""""
""Second paragraph: he said ""Yes"", and then he said no more.",,,ALL
2024-03-03 10:00:00,{LINK}3,,https://example.org/,,ALL
2024-03-04 10:00:00,{LINK}4,Too short.,,,ALL
2024-03-05 10:00:00,{LINK}5,"A plain break
between two lines, as some exports have it, and a \\""quoted\\"" word.",,,ALL
'''
COMMENTS = f"""Date,Link,Message
2024-04-01 08:00:00,{LINK}9,"A comment that has more than ten words in it, to be kept."
2024-04-01 09:00:00,{LINK}9,"Another comment below the same post, also of more than ten words."
"""
ARTICLE = f"""<html><head><title>On Tides</title><style>p {{ color: red }}</style></head><body>
<img src="https://media.licdn.com/cover.jpg">
<h1><a href="https://www.linkedin.com/pulse/on-tides-tess-tester">On Tides</a></h1>
<p class="created">Created on 2024-02-01 10:00</p>
<p class="published">Published on 2024-02-03 11:45</p>
<div><h2>High</h2><p>{words()}</p><ul><li>one</li><li>two</li></ul>
<p>Subscribe to my newsletter, and share this post.</p></div></body></html>"""
DRAFT = ARTICLE.replace("Published on 2024-02-03 11:45", "").replace(' class="published"', "")


def files() -> dict[str, str]:
    return {
        "Shares.csv": SHARES,
        "Comments.csv": COMMENTS,
        "Connections.csv": "Notes:\n...",
        "Articles/Articles/2024-02-03 11:45:00-on-tides.html": ARTICLE,
        "Articles/Articles/draft.html": DRAFT.replace("/on-tides-", "/draft-"),
    }


def zipped(path: Path, entries: Mapping[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in entries.items():
            archive.writestr(name, body)
    return path


def export(path: Path, **fields: Any) -> dict[str, Any]:
    return {"kind": "linkedin_export", "path": path, **fields}


@pytest.fixture(params=["zip", "folder"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "zip":
        return zipped(tmp_path / "export.zip", files())
    for name, body in files().items():
        write(tmp_path / "export" / name, body)
    return tmp_path / "export"


def test_posts_and_articles(stores_settings: Settings, archive: Path) -> None:
    done = run(stores_settings, export(archive))
    found = documents(stores_settings)
    feed = "https://www.linkedin.com/feed/update/urn:li:share:"
    article = found.pop("https://www.linkedin.com/pulse/on-tides-tess-tester")
    assert (article.title, article.kind, article.platform) == ("On Tides", "article", "linkedin")
    assert article.content == (
        f"## High\n\n{words()}\n\n- one\n- two\n\n"
        "Subscribe to my newsletter, and share this post.\n"
    )
    assert article.published == datetime(2024, 2, 3, 11, 45, tzinfo=UTC)
    assert {url.removeprefix(feed): item.content for url, item in found.items()} == {
        "1": 'A post of a line, on #tides and #piers, "quoted" in part.\n',
        "2": 'First paragraph, with a few words.\n\nSecond paragraph: he said "Yes", and then he '
        "said no more.\n",
        "5": 'A plain break\nbetween two lines, as some exports have it, and a "quoted" word.\n',
    }
    first = found[f"{feed}1"]
    assert (first.kind, first.platform, first.tags) == ("post", "linkedin", ("tides", "piers"))
    assert first.title == 'A post of a line, on #tides and #piers, "quoted" in part.'
    assert (
        first.published is not None and first.published.isoformat() == "2024-03-01T09:30:00+00:00"
    )
    assert tally(done) == {"added": 4, "skipped": 3}
    assert held(stores_settings) == {f"{feed}4": "2 words, fewer than the 10 of a post"}


def test_what_is_wanted(stores_settings: Settings, archive: Path) -> None:
    run(stores_settings, export(archive, posts=False, articles=False, comments=True))
    found = documents(stores_settings)
    assert {item.kind for item in found.values()} == {"comment"}
    assert len(found) == 2, "two comments below one post are two documents"


def of_visibilities(*visibilities: str, column: str = "Visibility") -> str:
    """A table of a post for each value of the column."""
    rows = [
        f"2024-03-01 09:30:00,{LINK}{number},A post of more than ten words which says that it is "
        f"number {number},{visibility}"
        for number, visibility in enumerate(visibilities)
    ]
    return "\n".join([f"Date,ShareLink,ShareCommentary,{column}", *rows])


def numbers(settings: Settings) -> set[str]:
    return {url.rpartition(":")[2] for url in documents(settings)}


def test_only_what_anyone_may_see_enters(stores_settings: Settings, tmp_path: Path) -> None:
    table = of_visibilities(
        "MEMBER_NETWORK", "PUBLIC", "ANYONE", "", "all", "CONNECTIONS", "CONNECTIONS", "CONTAINER",
        "SOMETHING_NEW",
    )  # fmt: skip
    archive = zipped(tmp_path / "export.zip", {"Shares.csv": table})
    done = run(stores_settings, export(archive))
    assert numbers(stores_settings) == {"0", "1", "2", "3", "4"}
    assert tally(done) == {"added": 5, "skipped": 4}
    key = "source: posts that not anyone may see, left out (the source's `visibilities` adds them)"
    assert done.result.detail[key] == "2 CONNECTIONS, 1 CONTAINER, 1 SOMETHING_NEW"

    done = run(stores_settings, export(archive, visibilities=["CONNECTIONS"]))
    assert numbers(stores_settings) == {"0", "1", "2", "3", "4", "5", "6"}
    assert done.result.detail[key] == "1 CONTAINER, 1 SOMETHING_NEW"


def test_older_exports_do_not_say_who_may_see_a_post(
    stores_settings: Settings, tmp_path: Path
) -> None:
    table = of_visibilities("x", column="Other")
    run(stores_settings, export(zipped(tmp_path / "export.zip", {"Shares.csv": table})))
    assert numbers(stores_settings) == {"0"}


def test_a_post_that_was_made_private_is_gone(stores_settings: Settings, tmp_path: Path) -> None:
    for other in ("MEMBER_NETWORK", "CONNECTIONS"):
        table = of_visibilities("MEMBER_NETWORK", other)
        archive = zipped(tmp_path / "export.zip", {"Shares.csv": table})
        done = run(stores_settings, export(archive))
    assert numbers(stores_settings) == {"0"}
    assert tally(done) == {"unchanged": 1, "gone": 1, "skipped": 1}


def test_tables_may_bear_the_number_of_the_member(
    stores_settings: Settings, tmp_path: Path
) -> None:
    entries = {"Shares_17529409.csv": SHARES, "Comments_17529409.csv": COMMENTS}
    archive = zipped(tmp_path / "export.zip", entries)
    done = run(stores_settings, export(archive, comments=True))
    assert tally(done) == {"added": 5, "skipped": 2}


def test_quotes_of_comments_are_written_with_backslashes() -> None:
    """Not doubled, as in the other tables: else a comma after one would end the text."""
    table = (
        "Date,Link,Message\n"
        '2024-01-01,x,"He said \\"yes\\", and then \\"no\\""\n'
        '2024-01-02,y,"\\"Yes\\"\n\nwas all, he ""said"""\n'
        "2024-01-03,z,a\\b\n"
    )
    rows = rows_of(table.encode(), "Complete_LinkedInDataExport/Comments.csv")
    assert [row["Message"] for row in rows] == [
        'He said "yes", and then "no"', '"Yes"\n\nwas all, he "said"', "a\\b",
    ]  # fmt: skip


def test_any_text_survives_the_way_the_export_quotes_it() -> None:
    texts = [
        "one\ntwo", "a\n\n\nb", '"quoted"\n"lines"', "ends with quote\"\n\nand goes on",
        'he said "x"', "comma, and ; and\ttab", "\u201ccurly\u201d\n\u2014 dash", "back\\slash",
    ]  # fmt: skip
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(["Date", "ShareLink", "ShareCommentary"])
    writer.writerows(["2024-01-01", "x", text.replace("\n", '"\n"')] for text in texts)
    rows = rows_of(table.getvalue().encode(), "Shares.csv")
    assert [row["ShareCommentary"] for row in rows] == texts


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x.html", "/etc/x.html", "a\\..\\..\\x.html", "C:/x"]
)
def test_names_that_lead_out_are_refused(
    stores_settings: Settings, tmp_path: Path, name: str
) -> None:
    path = zipped(tmp_path / "export.zip", {**files(), name: "x"})
    with pytest.raises(BadDataError, match="leads out of it: nothing of such an archive is read"):
        run(stores_settings, export(path))
    assert documents(stores_settings) == {}


def test_bombs_are_refused(stores_settings: Settings, tmp_path: Path) -> None:
    bomb = {**files(), "Articles/Articles/bomb.html": b" " * 60_000_000}
    done = run(stores_settings, export(zipped(tmp_path / "export.zip", bomb)))
    assert tally(done)["failed"] == 1
    assert "unpacks to" in held(stores_settings)["linkedin-export:Articles/Articles/bomb.html"]
    with pytest.raises(BadDataError, match=r"Shares\.csv unpacks to [\d,]+ times its size"):
        table = {"Shares.csv": SHARES.encode() + b"\n" * 60_000_000}
        run(stores_settings, export(zipped(tmp_path / "table.zip", table)))


def test_a_link_out_of_the_folder_is_refused(stores_settings: Settings, tmp_path: Path) -> None:
    write(tmp_path / "secret.html", ARTICLE.replace("/on-tides-", "/secret-"))
    write(tmp_path / "export" / "Shares.csv", SHARES)
    (tmp_path / "export" / "Articles").mkdir()
    (tmp_path / "export" / "Articles" / "x.html").symlink_to(tmp_path / "secret.html")
    done = run(stores_settings, export(tmp_path / "export"), max_failed_share=0.5)
    assert tally(done)["failed"] == 1
    assert not any("secret" in url for url in documents(stores_settings))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"Connections.csv": "x"}, r"neither Shares\.csv nor Articles/\*\.html: ask LinkedIn"),
        ({"Shares.csv": b"Date\n\xff\xfe"}, r"Shares\.csv is not UTF-8 at byte 5"),
    ],
)
def test_archives_of_something_else(
    stores_settings: Settings, tmp_path: Path, entries: Any, message: str
) -> None:
    with pytest.raises(BadDataError, match=message):
        run(stores_settings, export(zipped(tmp_path / "export.zip", entries)))


def test_missing_and_damaged_archives(stores_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(
        BadDataError, match=r"no file or folder .*/none\.zip \(paths in a recipe are relative to"
    ):
        run(stores_settings, export(tmp_path / "none.zip"))
    with pytest.raises(BadDataError, match="is no ZIP archive"):
        run(stores_settings, export(write(tmp_path / "x.zip", "text")))
    path = zipped(tmp_path / "export.zip", files())
    body = bytearray(path.read_bytes())
    body[60:90] = b"\xff" * 30  # within the first entry, Shares.csv
    path.write_bytes(bytes(body))
    with pytest.raises(BadDataError, match=r"Shares\.csv cannot be unpacked"):
        run(stores_settings, export(path))


def test_odd_articles_and_links_fail_alone(stores_settings: Settings, tmp_path: Path) -> None:
    entries = files()
    folder = "Articles/Articles"
    entries[f"{folder}/declared.html"] = f'<?xml version="1.0" encoding="UTF-8"?>{ARTICLE}'
    entries[f"{folder}/empty.html"] = " "
    entries[f"{folder}/odd link.html"] = ARTICLE.replace("https://www.linkedin.com/p", "https://[")
    text = "A post of more than ten words, whose link is none at all."
    entries["Shares.csv"] += f'2024-05-01 10:00:00,https://[,"{text}",,,ALL\n'
    path = zipped(tmp_path / "export.zip", entries)
    done = run(stores_settings, export(path), max_failed_share=0.5)
    assert tally(done) == {"added": 5, "failed": 2, "skipped": 4}
    assert f"linkedin-export:{folder}/odd link.html" in documents(stores_settings)
    reasons = held(stores_settings)
    assert reasons[f"linkedin-export:{folder}/empty.html"] == "empty"
    assert reasons[f"linkedin-export:{folder}/declared.html"].startswith("not HTML: ")
