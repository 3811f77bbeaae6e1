"""Every kind of source once from end to end, and the table in the documentation that says so.

Each source is a recorded or scripted site of its kind on loopback. What comes in is crawled,
changed and crawled again, replayed into an empty warehouse, and forgotten. With
``TWIN_WRITE_TABLES=1`` the table is written; without, it must be what the test found.
"""

import io
import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from docx import Document as Word
from fpdf import FPDF
from nbformat import v4, writes
from s3fs import S3FileSystem
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.twin.crawl.crawls import environment, recipe_file, run_crawl, web
from tests.twin.crawl.feeds import rss, rss_item
from tests.twin.crawl.site_server import Answer, serve
from tests.twin.crawl.sources.git_server import GitHub, commit, github
from tests.twin.crawl.sources.licences import MIT
from tests.twin.crawl.sources.s3_server import s3_server
from tests.twin.crawl.sources.test_linkedin_export import LINK, zipped
from tests.twin.crawl.test_replay import drop
from tests.twin.crawl.web.test_browser import CHROMIUM
from tests.twin.crawl.web.test_substack import Publication, Routes
from tests.twin.crawl.web.test_substack import post as letter
from twin.cli import app
from twin.crawl.sources import github_api
from twin.domain.document import Document, DocumentStatus
from twin.settings import Settings, get_settings
from twin.stores.warehouse import open_warehouse

PAGE = ROOT / "docs" / "pages" / "sources.md"
BEGIN, END = "<!-- table of tests/twin/crawl/test_every_kind.py -->\n", "<!-- end of table -->"
HEAD = ("Source", "Kind", "Byline", "Licence", "Change", "`diff`", "`replay`", "`forget`")
WORDS = [
    "the",
    "harbour",
    "clerk",
    "keeps",
    "every",
    "ledger",
    "in",
    "ink",
    "and",
    "reads",
    "it",
    "aloud",
    "at",
    "noon",
    "before",
    "a",
    "tide",
    "turns",
    "while",
    "boats",
    "wait",
    "for",
    "rope",
    "or",
    "coal",
    "and",
    "nobody",
    "may",
    "move",
    "any",
    "line",
    "by",
    "hand",
    "without",
    "two",
    "witnesses",
]
AUTHOR = "Tess Tester"
GUEST = "https://tess.substack.com/p/guest"


def prose(name: str, version: int = 1) -> list[str]:
    """Paragraphs of words that no other text has in this order; one more in each version."""
    draw = random.Random(name)
    return [f"{' '.join(draw.choice(WORDS) for _ in range(40))}." for _ in range(3 + version)]


def html(name: str, version: int = 1, head: str = "") -> str:
    body = "".join(f"<p>{text}</p>" for text in prose(name, version))
    return (
        f'<html lang="en"><head><title>{name}</title><meta name="author" content="{AUTHOR}">{head}'
        f"</head><body><article><h1>{name}</h1>{body}</article></body></html>"
    )


def markdown(name: str, version: int = 1) -> str:
    return f"# {name}\n\n" + "\n\n".join(prose(name, version))


@dataclass
class Kind:
    """A kind of source: its recipe's section, the document to follow, and how it is changed."""

    label: str
    source: dict[str, Any]
    url: str
    write: Callable[[int], None]
    found: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.source["name"])


@pytest.fixture
def settings(
    stores_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Settings]:
    """Settings with all stores, and the environment that gives a command the same."""
    registry = f"sqlite:///{tmp_path}/mlflow.db"
    changed = stores_settings.model_copy(update={"mlflow_tracking_uri": registry})
    for key, value in environment(changed).items():
        if key.startswith("TWIN_"):
            monkeypatch.setenv(key, value)
    monkeypatch.setenv("TWIN_MLFLOW_TRACKING_URI", registry)
    monkeypatch.setenv("TWIN_CHROMIUM", str(CHROMIUM))
    get_settings.cache_clear()
    yield changed
    get_settings.cache_clear()


def web_sites(stack: ExitStack) -> Iterator[Kind]:
    blog, medium, app_site = (stack.enter_context(serve({})) for _ in range(3))
    letters = stack.enter_context(serve({}))

    def write_blog(version: int) -> None:
        licence = '<link rel="license" href="https://creativecommons.org/licenses/by/4.0/">'
        reserved = '<meta name="robots" content="noai">'
        links = "".join(
            f'<li><a href="/{name}">{name}</a></li>' for name in ("tides", "own", "both")
        )
        blog.routes |= {
            "/": Answer(f"<html><body><h1>Home</h1><ul>{links}</ul></body></html>"),
            "/tides": Answer(html("Tides", version, licence)),
            "/own": Answer(html("Reserved", version, reserved)),
            "/both": Answer(html("Both", version)),
        }

    yield Kind(
        "Web site",
        web(blog.url, name="blog", include=["/(tides|own|both)$"]),
        f"{blog.url}/tides",
        write_blog,
    )

    story, copy = "https://medium.com/@tess/story-1a2b3c4d5e6f", "both-2a2b3c4d5e6f"

    def write_medium(version: int) -> None:
        items = [
            rss_item(title, url, "".join(f"<p>{text}</p>" for text in prose(title, version)),
                     creator=AUTHOR)
            for title, url in (("Story", story), ("Both", f"https://medium.com/@tess/{copy}"))
        ]  # fmt: skip
        medium.routes["/feed/@tess"] = Answer(rss(*items))

    source = {"kind": "medium", "name": "medium", "url": "https://medium.com/@tess",
              "hosts": {"medium.com": medium.url}}  # fmt: skip
    yield Kind("Medium", source, story, write_medium)

    def write_letters(version: int) -> None:
        guest = [{"id": 2, "name": "Guy Guest", "handle": "guy"}]
        posts = {"own": {}, "guest": {"publishedBylines": guest}}
        letters.routes = Routes(
            Publication(
                *(
                    letter(slug, body_html="".join(f"<p>{t}</p>" for t in prose(slug, version)),
                           **more)
                    for slug, more in posts.items()
                )
            )
        )  # fmt: skip

    source = {"kind": "substack", "name": "letters", "url": "https://tess.substack.com",
              "hosts": {"tess.substack.com": letters.url}}  # fmt: skip
    yield Kind("Substack", source, "https://tess.substack.com/p/own", write_letters)

    if CHROMIUM.is_file():

        def write_app(version: int) -> None:
            text = html("Scripted", version).partition("<body>")[2].partition("</body>")[0]
            script = f"document.getElementById('app').innerHTML = {json.dumps(text)};"
            app_site.routes["/page"] = Answer(
                f'<html lang="en"><head><title>App</title></head><body><main id="app"></main>'
                f"<script>{script}</script></body></html>"
            )

        page = f"{app_site.url}/page"
        yield Kind(
            "JavaScript page", web(page, name="app", start_urls=[page], javascript=True), page,
            write_app,
        )  # fmt: skip


def repositories(hub: GitHub) -> Iterator[Kind]:
    def write(version: int) -> None:
        files = {"README.md": markdown("Harbour", version), "LICENSE": MIT}
        if version == 1:
            hub.add("harbour", files, license={"spdx_id": "MIT"})
        else:
            commit(hub.root / "tess" / "harbour.git", files)

    url = "https://github.com/tess/harbour/blob/main/README.md"
    source = {"kind": "github", "name": "github", "user": "tess", "hosts": hub.hosts}
    yield Kind("GitHub user", source, url, write)


def exports(folder: Path) -> Iterator[Kind]:
    def write_export(version: int) -> None:
        texts = prose("Post", version)
        rows = f'2024-03-01 09:30:00,{LINK}1,"{" ".join(texts)}",,,ALL\n'
        table = f"Date,ShareLink,ShareCommentary,SharedUrl,MediaUrl,Visibility\n{rows}"
        zipped(folder / "export.zip", {"Shares.csv": table})

    source = {"kind": "linkedin_export", "name": "linkedin", "path": str(folder / "export.zip")}
    share = "https://www.linkedin.com/feed/update/urn:li:share:1"
    yield Kind("LinkedIn export", source, share, write_export)

    def write_dump(version: int) -> None:
        item = {
            "_id": "1" * 24, "platform": "Medium", "link": "https://medium.com/@tess/essay-1",
            "content": {"Title": "Essay", "Content": markdown("Essay", version)},
            "author_id": "42", "author_full_name": AUTHOR,
        }  # fmt: skip
        (folder / "dump.json").write_text(json.dumps([item]))

    source = {"kind": "warehouse_dump", "name": "dump", "path": str(folder / "dump.json")}
    yield Kind(
        "Dump of the older warehouse", source, "https://medium.com/@tess/essay-1", write_dump
    )


def pdf(name: str, version: int) -> bytes:
    document = FPDF()
    document.set_title(name)
    document.set_author(AUTHOR)
    document.add_page()
    document.set_font("helvetica", size=12)
    for text in prose(name, version):
        document.multi_cell(0, 6, text, new_x="LMARGIN", new_y="NEXT")
        document.ln(4)
    return bytes(document.output())


def docx(name: str, version: int) -> bytes:
    document = Word()
    document.core_properties.title, document.core_properties.author = name, AUTHOR
    for text in prose(name, version):
        document.add_paragraph(text)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def notebook(name: str, version: int) -> bytes:
    cells = [v4.new_markdown_cell(markdown(name, version))]
    for place, cell in enumerate(cells):
        cell["id"] = f"cell{place}"
    return str(writes(v4.new_notebook(cells=cells))).encode()


def transcript(name: str, version: int) -> bytes:
    cues = (
        f"00:{place:02d}:00.000 --> 00:{place:02d}:20.000\n<v {AUTHOR}>{text}\n"
        for place, text in enumerate(prose(name, version))
    )
    return ("WEBVTT\n\n" + "\n".join(cues)).encode()


FILES: dict[str, tuple[str, Callable[[str, int], bytes]]] = {
    "PDF": ("report.pdf", pdf),
    "DOCX": ("essay.docx", docx),
    "Notebook": ("sums.ipynb", notebook),
    "Transcript": ("talk.vtt", transcript),
}


def files(folder: Path, objects: dict[str, bytes]) -> Iterator[Kind]:
    for label, (name, made) in FILES.items():
        where = folder / label
        where.mkdir()

        def write(
            version: int, path: Path = where / name, make: Callable[[str, int], bytes] = made,
            title: str = label,
        ) -> None:  # fmt: skip
            path.write_bytes(make(title, version))

        prefix = f"https://files.example/{label.lower()}/"
        source = {"kind": "folder", "name": label.lower(), "path": str(where), "url_prefix": prefix}
        yield Kind(label, source, f"{prefix}{name}", write)

    def write_object(version: int) -> None:
        objects["essays/quay.md"] = markdown("Quay", version).encode()

    source = {"kind": "bucket", "name": "bucket", "uri": "s3://papers/essays"}
    yield Kind("Bucket", source, "s3://papers/essays/quay.md", write_object)


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Kind]]:
    monkeypatch.setattr(github_api, "_PAUSE_SECONDS", 0)
    S3FileSystem.clear_instance_cache()
    with ExitStack() as stack:
        s3 = stack.enter_context(s3_server())
        for key, value in {
            "AWS_ENDPOINT_URL": s3.url, "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            monkeypatch.setenv(key, value)
        hub = stack.enter_context(github(tmp_path / "hub"))
        found = [
            *web_sites(stack), *repositories(hub), *exports(tmp_path),
            *files(tmp_path, s3.objects),
        ]  # fmt: skip
        yield found


def command(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["crawl", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def standing(settings: Settings) -> dict[str, Document]:
    with open_warehouse(settings) as warehouse:
        same = list(warehouse.summaries("tester", DocumentStatus.DUPLICATE))
        return {item.url: item for item in (*same, *warehouse.live_documents("tester"))}


def states(settings: Settings) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    found = standing(settings).items()
    return {url: (item.revision, item.status, item.also_at) for url, item in found}


def recipe_of(kinds: list[Kind], folder: Path) -> Path:
    path = recipe_file(folder, [kind.source for kind in kinds])
    data = yaml.safe_load(path.read_text())
    data["rights"] = {"licence": "CC-BY-NC-4.0", "consent": "agreed by mail"}
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.nightly
def test_every_kind_from_end_to_end(settings: Settings, kinds: list[Kind], tmp_path: Path) -> None:
    recipe = recipe_of(kinds, tmp_path)
    for kind in kinds:
        kind.write(1)
    done = run_crawl(settings, recipe)
    assert done.code == 0, done.error
    before = standing(settings)
    for kind in kinds:
        item = before[kind.url]
        assert item.consent == "agreed by mail"
        text = item.content.replace("\n", " ")
        assert item.byline in {AUTHOR, None}
        kind.found |= {
            "Source": kind.label, "Kind": item.kind, "Byline": item.byline or "the recipe's author",
            "Licence": item.licence or "", "Change": f"{len(text.split())} words",
        }  # fmt: skip
    assert not any("own" in url.split("/")[-1] for url in before if "127.0.0.1" in url), "noai"
    both = [item for item in before.values() if item.also_at]
    assert {item.title for item in both} == {"Both"}
    assert sorted(item.status for item in both) == [DocumentStatus.DUPLICATE, DocumentStatus.LIVE]
    with open_warehouse(settings) as warehouse:
        assert warehouse.documents_at(GUEST)[0].author_name == "Guy Guest"

    for kind in kinds:
        kind.write(2)
    done = run_crawl(settings, recipe)
    assert done.code == 0, done.error
    after = standing(settings)
    changes = {
        change["url"]: change["kind"]
        for one in json.loads(command("diff", "--recipe", str(recipe), "--json"))
        for change in one["changes"]
    }
    for kind in kinds:
        grown = len(after[kind.url].content.split()) - len(before[kind.url].content.split())
        kind.found |= {"Change": f"{grown} words more", "`diff`": changes[kind.url]}

    crawled = states(settings)
    drop(settings)
    command("replay", "--recipe", str(recipe))
    assert states(settings) == crawled
    for kind in kinds:
        kind.found["`replay`"] = "the same"

    for kind in kinds:
        command("forget", kind.url, "--recipe", str(recipe))
    # Of most sources that was all there was: to give nothing is an error.
    assert "none is an article" in run_crawl(settings, recipe, "--full").error
    left = standing(settings)
    CliRunner().invoke(app, ["crawl", "replay", "--recipe", str(recipe), "--full"])
    left |= standing(settings)
    for kind in kinds:
        kind.found["`forget`"] = "came back" if kind.url in left else "gone for good"
    compare(kinds)


def compare(kinds: list[Kind]) -> None:
    """The table of the documentation with what was found; a row of what could not be run stays."""
    rows = {kind.label: f"| {' | '.join(kind.found[name] for name in HEAD)} |" for kind in kinds}
    text = PAGE.read_text(encoding="utf-8")
    written = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    known = {line.split("|")[1].strip(): line for line in written[2:]}
    rows = {label: rows.get(label, line) for label, line in {**known, **rows}.items()}
    head = [f"| {' | '.join(HEAD)} |", f"|{' --- |' * len(HEAD)}"]
    table = "\n".join([*head, *(rows[label] for label in sorted(rows))]) + "\n"
    if os.environ.get("TWIN_WRITE_TABLES"):
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        return
    assert "\n".join(written) == table.strip()
