"""What sources hand over (pages) and what readers make of it (articles)."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})
MARKDOWN_TYPES = frozenset({"text/markdown", "text/x-markdown"})

#: Of an article that came as no page: of an export, a dump or a repository.
ARTICLE_TYPE = "application/vnd.llm-twin.article+json"


class UnusableError(Exception):
    """A page that cannot become a document; its text is the reason, in plain words."""


class ListingError(UnusableError):
    """A page that is no article but leads to some: tags, archives, a home page."""


class DraftError(UnusableError):
    """A page that its site does not publish: a draft, dated in the future, or expired."""


class PaywallError(UnusableError):
    """A page that gives only the beginning of its article."""


def now() -> datetime:
    """The time to the millisecond, which is as fine as the stores keep it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class Exchange:
    """How a page came over HTTP: kept with its raw snapshot, and asked about at the next crawl."""

    status: int
    request_headers: tuple[tuple[str, str], ...] = ()
    response_headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """A header of the response, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.response_headers if key.lower() == wanted), None)

    def without_validators(self) -> "Exchange":
        """The exchange, without what asks for news only."""
        names = {"etag", "last-modified", "content-type"}
        kept = tuple(one for one in self.response_headers if one[0].lower() not in names)
        return Exchange(self.status, self.request_headers, kept)


@dataclass(frozen=True)
class Page:
    """A page or file as it was fetched.

    Attributes:
        url: canonical URL.
        body: the bytes, decompressed.
        media_type: without parameters, e.g. ``text/html``.
        encoding: as declared by the server or the page; None means UTF-8.
        expected: the recipe says that this is an article, so being none is a failure.
        reserved: uses that the server's headers or the site forbid machines.
        has_siblings: the source can fetch the page that this one calls its canonical one.
        stands_alone: it is not the page that it calls its canonical one.
        fetched: when; what becomes of the page bears this time.
        exchange: how it came, if over HTTP.
        links: pages of the site that it leads to; None if they were not looked for.
        drafts: the recipe takes what is not published as well.
    """

    url: str
    body: bytes
    media_type: str
    encoding: str | None = None
    expected: bool = True
    has_siblings: bool = False
    stands_alone: bool = False
    reserved: tuple[str, ...] = ()
    fetched: datetime = field(default_factory=now)
    exchange: Exchange | None = None
    links: tuple[str, ...] | None = None
    drafts: bool = False


@dataclass(frozen=True)
class Article:
    """The text of a page, as Markdown without its title, and what is known about it.

    Attributes:
        byline: who wrote it, as the page says.
        kind: article, post, code, transcript, …
        platform: where it was published, if that is not said by the kind of its source.
        licence: URL or SPDX name.
        reserved: uses that the page forbids machines (`Document.reserved`).
        canonical_url: what the page calls itself, on its own host.
        original_url: what it calls itself on another host: the text was published there first.
        expires: from when on it is not published any more.
        continues: the page before, if this one says that its article began there.
    """

    title: str
    content: str
    subtitle: str | None = None
    byline: str | None = None
    published: datetime | None = None
    modified: datetime | None = None
    language: str | None = None
    tags: tuple[str, ...] = ()
    kind: str = "article"
    platform: str | None = None
    licence: str | None = None
    reserved: tuple[str, ...] = ()
    canonical_url: str | None = None
    original_url: str | None = None
    expires: datetime | None = None
    continues: str | None = None


def article_json(article: Article) -> bytes:
    """An article as a raw snapshot has it that came as no page."""
    from pydantic import TypeAdapter

    return TypeAdapter(Article).dump_json(article)


def article_of_json(body: bytes) -> Article:
    """The article of `article_json`; fields that it lacks have their defaults."""
    from pydantic import TypeAdapter

    return TypeAdapter(Article).validate_json(body)


def decode(page: Page) -> str:
    """The text of a page.

    Strict, because a replacement character in a training text is silent damage.

    Raises:
        UnusableError: it is not in the encoding it claims, or see `whole`.
    """
    encoding = page.encoding or _by_mark(page.body) or "utf-8"
    if encoding.replace("_", "-").lower() in {"utf-8", "utf8"}:
        encoding = "utf-8-sig"  # takes a byte order mark off
    try:
        return whole(page.body.decode(encoding))
    except UnicodeError as error:  # some codecs raise it without saying where
        name = encoding.removesuffix("-sig")
        raise UnusableError(f"invalid {name} at byte {getattr(error, 'start', 0)}") from None
    except LookupError:
        raise UnusableError(f"unknown encoding {encoding!r}") from None


def _by_mark(body: bytes) -> str | None:
    """UTF-16, if a byte order mark says so."""
    return "utf-16" if body.startswith((b"\xff\xfe", b"\xfe\xff")) else None


def whole(text: str) -> str:
    r"""Text in whole characters: surrogates that make a pair (``\ud83d\ude00``) become one.

    Raises:
        UnusableError: half of a pair stands alone, so the text has no UTF-8.
    """
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise UnusableError("holds half a character (a surrogate without its pair)") from None
