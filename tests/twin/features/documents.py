"""Documents for tests of the features stage."""

from datetime import UTC, datetime

from twin.domain.document import Document, document_id, revision_of

WHEN = datetime(2024, 5, 1, tzinfo=UTC)


def make(title: str, content: str, *, author: str = "ann", **fields: object) -> Document:
    """A live document at a URL made of its title."""
    url = f"https://example.org/{title.replace(' ', '-').lower()}"
    return Document(
        id=document_id(author, url),
        author_id=author,
        author_name="Ann",
        source="site",
        url=url,
        title=title,
        content=content,
        revision=revision_of(title, content),
        first_seen=WHEN,
        last_changed=WHEN,
        **fields,
    )
