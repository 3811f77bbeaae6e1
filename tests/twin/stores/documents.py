"""Documents for tests of the warehouse."""

from datetime import UTC, datetime

from twin.domain.document import Document, document_id, revision_of


def document(path: str, content: str = "Some text.", author: str = "ann", **fields) -> Document:
    """A document at ``path`` of an author's site, as a crawl would make it now."""
    url = f"https://{author}.example/{path}"
    now = datetime.now(UTC)
    title = fields.pop("title", path.title())
    return Document.model_validate(
        {
            "id": document_id(author, url),
            "author_id": author,
            "author_name": author.title(),
            "source": "blog",
            "url": url,
            "title": title,
            "content": content,
            "revision": revision_of(title, content),
            "first_seen": now,
            "last_changed": now,
            **fields,
        }
    )
