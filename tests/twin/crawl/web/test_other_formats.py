"""Web sources whose pages are no HTML."""

from nbformat import v4, writes

from tests.twin.crawl.crawls import Crawl, web
from tests.twin.crawl.formats.pages import words
from tests.twin.crawl.formats.pdfs import bytes_of, report, scan
from tests.twin.crawl.site_server import Answer, serve, sitemap
from tests.twin.crawl.sources.jobs import documents, held
from twin.settings import Settings


def test_pdf_plain_text_and_others_are_read(stores_settings: Settings, crawl: Crawl) -> None:
    book = writes(v4.new_notebook(cells=[v4.new_markdown_cell(f"# Sums\n\n{words()}")]))
    vague = "application/octet-stream"
    routes = {
        "/report.pdf": Answer(bytes_of(report()), media_type="application/pdf"),
        "/get?id=7": Answer(bytes_of(report(outline=True)), media_type=vague),
        "/notes.txt": Answer(f"Old Notes\n\n{words()}", media_type="text/plain; charset=utf-8"),
        "/README.md": Answer(f"# Read me\n\n{words()}", media_type="text/plain"),
        "/talk.vtt": Answer(
            f"WEBVTT\n\n00:00.000 --> 00:09.000\n{words()}\n", media_type="text/vtt"
        ),
        "/sums.ipynb": Answer(book, media_type=vague),
        "/scan.pdf": Answer(scan(), media_type="application/pdf"),
        "/pixels.png": Answer(b"\x89PNG", media_type="image/png"),
    }
    with serve(dict(routes)) as site:
        site.routes["/sitemap.xml"] = sitemap(*(f"{site.url}{path}" for path in routes))
        source = web(site.url, sitemaps=[f"{site.url}/sitemap.xml"], include=["."])
        done = crawl(source, max_failed_share=0.5)
        assert done.code == 0, done.error
        found = {
            url.removeprefix(site.url): (item.title, item.kind, item.platform)
            for url, item in documents(stores_settings).items()
        }
        reasons = {url.removeprefix(site.url): why for url, why in held(stores_settings).items()}
    assert found == {
        "/report.pdf": ("On the Making of Tests", "article", "web"),
        "/get?id=7": ("On the Making of Tests", "article", "web"),
        "/notes.txt": ("Old Notes", "article", "web"),
        "/README.md": ("Read me", "article", "web"),
        "/talk.vtt": ("talk", "transcript", "web"),
        "/sums.ipynb": ("Sums", "notebook", "web"),
    }
    assert reasons.pop("/pixels.png").startswith("image/png: neither HTML, Markdown nor")
    assert reasons == {"/scan.pdf": "no text on its 2 pages: a scan?"}
