"""The retrieval set over real chunks: see README.md beside this."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.conftest import ROOT
from twin.crawl.page import Page
from twin.crawl.read_article import read_article
from twin.domain.chunk import Chunk
from twin.domain.document import Document, document_id, revision_of
from twin.features.chunker import Chunker
from twin.recipes import CrawlSection

FOLDER = Path(__file__).parent
HANDBOOK = ROOT / "include" / "handbook"
SITES = Path(os.environ.get("TWIN_SAMPLE_SITES", ROOT.parent / "shared" / "sites"))
BLOG = SITES / "lilianweng.github.io" / "posts"
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Question:
    """A question, the document that answers it, and the ids of the right chunks; none for a
    negative. ``keywords``: typed by somebody who knows what the thing is called."""

    text: str
    document: str = ""
    relevant: frozenset[str] = frozenset()
    keywords: bool = False


def handbook() -> list[Document]:
    """The articles of the handbook, read as a crawl reads them."""
    return [_document(path.stem, path, "text/markdown") for path in sorted(HANDBOOK.glob("*.md"))]


def blog() -> list[Document]:
    """The posts of the blog's copy."""
    pages = sorted(BLOG.glob("*/index.html"))
    return [_document(path.parent.name, path, "text/html") for path in pages]


def _document(slug: str, path: Path, media_type: str) -> Document:
    url = f"https://sample.example/{slug}/"
    article = read_article(Page(url, path.read_bytes(), media_type), CrawlSection())
    return Document(
        id=document_id("sample", url),
        author_id="sample",
        author_name="Sample",
        source="site",
        url=url,
        title=article.title,
        content=article.content,
        published=article.published,
        revision=revision_of(article.title, article.content),
        first_seen=WHEN,
        last_changed=WHEN,
    )


def chunks_of(documents: list[Document], chunker: Chunker) -> list[list[Chunk]]:
    """The chunks of each document."""
    return [chunker.chunks(document) for document in documents]


def load(name: str, chunks: list[Chunk], split: str = "dev") -> list[Question]:
    """The questions of a corpus, ``handbook`` or ``lilianweng``, over its chunks.

    Args:
        name: of the corpus.
        chunks: all of it.
        split: ``dev``, on which settings may be chosen, or ``test``, which is only reported.

    Raises:
        ValueError: a passage is no longer in the corpus.
    """
    data = yaml.safe_load((FOLDER / split / f"{name}.yaml").read_text(encoding="utf-8"))
    found = []
    for kind in ("answered", "keywords"):
        for slug, questions in data.get(kind, {}).items():
            own = [chunk for chunk in chunks if chunk.url.rstrip("/").endswith(f"/{slug}")]
            for text, passage in questions.items():
                right = _right(own, passage, by_heading=name != "handbook")
                if not right:
                    raise ValueError(f"{split}/{name}: no chunk of {slug} holds {passage!r}")
                found.append(Question(text, slug, frozenset(right), kind == "keywords"))
    return found + [Question(text) for text in data["unanswered"]]


def _right(chunks: list[Chunk], passage: str, *, by_heading: bool) -> list[str]:
    if by_heading:
        return [c.id for c in chunks if any(passage in heading for heading in c.headings)]
    # Words that a cut runs through are in both chunks in part: then the one with most of them.
    words = " ".join(passage.split())
    whole = [c.id for c in chunks if words in " ".join(c.text.split())]
    return whole or [c.id for c in chunks if _half(words, " ".join(c.text.split()))]


def _half(words: str, text: str) -> bool:
    middle = len(words) // 2
    return text.endswith(words[:middle].strip()) or text.startswith(words[middle:].strip())
