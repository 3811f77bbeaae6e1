"""The documents of one source: what the warehouse has of them, and what articles add to them."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from twin.crawl.authorship import Authorship
from twin.crawl.books import Books
from twin.crawl.known_pages import KnownPages, packed_digest
from twin.crawl.page import Article
from twin.crawl.platforms import names_of_site, platform_of
from twin.crawl.web.urls import page_number
from twin.domain.crawl import Change
from twin.domain.document import Document, document_id, revision_of
from twin.job import Job
from twin.recipes import Source
from twin.stores.holding import Holder
from twin.stores.warehouse import Warehouse
from twin.stores.warehouse_documents import Upsert


class SourceDocuments:
    """Safe to share between threads. Methods raise `TwinError` if the warehouse is away.

    Args:
        rules: see `twin.crawl.rules`.
        full: nothing counts as read before.

    Attributes:
        forgotten: ids of documents that were erased on demand.
        guests: ids of documents of other writers than the author.
    """

    def __init__(
        self,
        job: Job,
        warehouse: Warehouse,
        source: Source,
        books: Books,
        pages: KnownPages,
        *,
        rules: str,
        full: bool,
    ) -> None:
        self._job = job
        self._author = job.recipe.author
        self._source = source
        self._rules = rules
        forgotten = warehouse.forgotten(self._author.id)
        self.forgotten = forgotten.keys()
        stored = warehouse.urls_of(self._author.id, source.name)
        erased = [item.url for item in forgotten.values()]
        self._names = {page_number(url): url for url in (*stored, *erased)}
        self._authorship = Authorship(
            self._author, guests_included=source.guests == "include", nobody=names_of_site(source)
        )
        self.guests = books.guests(pages)
        self._fetched: dict[str, bytes | str] = {}
        if not full:
            found = warehouse.fetched_digests(self._author.id, source.name)
            found |= warehouse.fetched_of(self.guests)
            self._fetched = {one: packed_digest(digest) for one, digest in found.items()}
        holder = Holder(self._author.id, source.name)
        self._upsert = partial(warehouse.upsert_all, note=books.note, holder=holder)

    def name(self, url: str) -> str:
        """The URL that a page is stored under: whichever way it is linked now, it keeps it."""
        return self._names.get(page_number(url), url)

    def has_name(self, url: str) -> bool:
        """Whether a document was stored, or erased, under this name or one that is like it."""
        return page_number(url) in self._names

    def keep_name(self, url: str) -> None:
        """Note the name of a document that other pages may call otherwise."""
        self._names.setdefault(page_number(url), url)

    def digest(self, body_digest: str) -> str:
        """What a document remembers of the bytes it was made from, and of who read them."""
        return hashlib.sha256(f"{self._rules}\n{body_digest}".encode()).hexdigest()

    def is_made_of(self, identity: str | None, digest: str) -> bool:
        """Whether a document stands and was made of bytes of this `digest`, by these rules."""
        return self._fetched.get(identity or "") == packed_digest(digest)

    def draft(self, url: str, article: Article, fetched: datetime) -> Document:
        """The document that an article is."""
        writer = self._authorship.of(article.byline)
        return Document(
            id=document_id(writer.id, url),
            author_id=writer.id,
            author_name=writer.name,
            source=self._source.name,
            url=url,
            original_url=article.original_url,
            platform=article.platform or platform_of(self._source, url),
            kind=article.kind,
            title=article.title,
            subtitle=article.subtitle,
            byline=article.byline,
            published=article.published,
            modified=article.modified,
            language=article.language,
            tags=article.tags,
            licence=article.licence or self._job.recipe.rights.licence,
            consent=self._job.recipe.rights.consent,
            reserved=article.reserved,
            content=article.content,
            revision=revision_of(article.title, article.content),
            first_seen=fetched,
            last_changed=fetched,
        )

    def store(self, documents: Sequence[tuple[Document, str]]) -> list[Change]:
        """Store documents as they stand now, each with what it was made of (`digest`)."""
        changes = self._upsert([Upsert(document, digest) for document, digest in documents])
        for document, digest in documents:
            self._fetched[document.id] = packed_digest(digest)
        return changes

    def drop(self, identity: str) -> None:
        """Note that a document no longer stands: the same bytes make it anew."""
        self._fetched.pop(identity, None)
