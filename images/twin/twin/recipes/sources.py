"""The kinds of sources a recipe may name: where the author's texts are."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, LocalPath
from twin.recipes.section import HostAndPort, HttpUrl, Pattern, Section, Slug

#: Files that folders and buckets are searched for. Not ``*.txt``: licences and lists of packages
#: are called so too.
TEXT_FILES = (
    "**/*.md", "**/*.html", "**/*.pdf", "**/*.docx", "**/*.ipynb", "**/*.vtt", "**/*.srt",
)  # fmt: skip
FilePatterns = Annotated[
    tuple[str, ...],
    Field(description="files by their relative path; ** stands for any folders, none included"),
]


GUESTS = (
    "texts under another name than the author's (byline, metadata): stored apart as that "
    "person's, so the twin leaves them out, or included as the author's own"
)


class SourceSection(Section):
    """What every kind of source says."""

    name: Slug
    # A file's metadata often name whoever made its template, or installed the word processor.
    guests: Literal["apart", "include"] = Field(default="include", description=GUESTS)
    drafts: bool = Field(
        default=False,
        description="take files that their site does not publish as well: drafts, posts dated in "
        "the future, expired ones",
    )


class FolderSource(SourceSection):
    """A local folder of files: Markdown, HTML, PDF, DOCX, notebooks, transcripts, plain text."""

    platform: ClassVar[str] = "files"

    kind: Literal["folder"]
    path: LocalPath = Field(description=RELATIVE)
    include: FilePatterns = TEXT_FILES
    url_prefix: str | None = Field(
        default=None,
        description="canonical URL of a file is this plus its relative path; "
        "unset means folder://<source name>/",
    )


class BucketSource(SourceSection):
    """Files of the same formats as a folder's, in an S3 bucket or below a prefix of its keys.

    The connection is that of the file store: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
    """

    platform: ClassVar[str] = "files"

    kind: Literal["bucket"]
    uri: str = Field(
        pattern=r"^s3://[^/\s]+(/.*)?$", description="s3://bucket or s3://bucket/prefix"
    )
    include: FilePatterns = TEXT_FILES
    url_prefix: str | None = Field(
        default=None,
        description="canonical URL of a file is this plus its key below the prefix; "
        "unset means the object's own s3:// address",
    )


class GithubSource(SourceSection):
    """Repositories of a GitHub user: their README, documentation, notebooks and source files."""

    platform: ClassVar[str] = "github"

    kind: Literal["github"]
    user: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,38}$")
    repositories: tuple[Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")], ...] = Field(
        default=(), description="names of these only; none means all public ones of the user"
    )
    forks: bool = False
    archived: bool = False
    code: bool = Field(default=True, description="source files too, not only texts about them")
    include: FilePatterns = Field(
        default=(), description="as for folders; none means documents, notebooks and source files"
    )
    exclude: FilePatterns = ()
    max_file_bytes: PositiveInt = 500_000
    max_repository_bytes: PositiveInt = Field(
        default=300_000_000, description="a clone that grows larger is given up"
    )
    clone_timeout_seconds: PositiveInt = 600
    hosts: dict[str, Annotated[str, Field(pattern=r"^(https?://[^/\s]+|file:///)")]] = Field(
        default_factory=dict,
        description="api.github.com or github.com to the base URL of a copy, which may be private",
    )


class LinkedInExportSource(SourceSection):
    """A member's own export of their LinkedIn data: the ZIP archive, or the folder it holds."""

    platform: ClassVar[str] = "linkedin"

    kind: Literal["linkedin_export"]
    path: LocalPath = Field(description=RELATIVE)
    posts: bool = True
    visibilities: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Z_]*$")], ...] = Field(
        default=(),
        description="values of the export's column Visibility (such as CONNECTIONS) of posts to "
        "take beside those that anyone may see",
    )
    articles: bool = True
    comments: bool = False


class WarehouseDumpSource(SourceSection):
    """A JSON list of the documents of an older system's warehouse."""

    platform: ClassVar[str] = "dump"

    kind: Literal["warehouse_dump"]
    path: LocalPath = Field(description=RELATIVE)
    authors: tuple[str, ...] = Field(
        default=(),
        description="author_id or author_full_name of what is the author's; "
        "none means the recipe's author by name",
    )
    max_bytes: PositiveInt = Field(default=2_000_000_000, description="a larger file is refused")


class SiteSource(SourceSection):
    """What every source says that is fetched from the web."""

    guests: Literal["apart", "include"] = Field(default="apart", description=GUESTS)
    exclude: tuple[Pattern, ...] = Field(
        default=(), description="regular expressions on the URL of pages that are not fetched"
    )
    hosts: dict[str, HttpUrl] = Field(
        default_factory=dict,
        description="host to base URL of a copy: pages are fetched there, named by the host; "
        "this allows that very address, private or not",
    )
    allow_private: tuple[HostAndPort, ...] = Field(
        default=(), description="host:port of private or loopback addresses that may be fetched"
    )
    javascript: bool = Field(
        default=False,
        description="read its pages with a browser (TWIN_CHROMIUM), for sites that are empty "
        "without JavaScript; slow",
    )

    @property
    @abstractmethod
    def entries(self) -> tuple[str, ...]:
        """URLs on the source's own hosts: it is never left for others."""


class WebSource(SiteSource):
    """A web site, entered by start URLs, archives, a sitemap or a feed."""

    platform: ClassVar[str] = "web"

    kind: Literal["web"]
    start_urls: tuple[HttpUrl, ...] = ()
    sitemaps: tuple[HttpUrl, ...] = ()
    feeds: tuple[HttpUrl, ...] = ()
    archives: tuple[HttpUrl, ...] = Field(
        default=(),
        description="lists of articles over several pages: the articles they link to are "
        "fetched, and their next pages as long as those lead to articles not seen yet",
    )
    include: tuple[Pattern, ...] = Field(
        default=(),
        description="regular expressions on the canonical URL of pages that become documents "
        "(such a page that is no article counts as failed); none means any article",
    )
    follow_links: bool = True
    complete: bool | None = Field(
        default=None,
        description="whether the entries lead to every page, so that a page which is in none of "
        "them is gone; unset means: if there are sitemaps. Otherwise known pages are asked for "
        "one by one",
    )
    feeds_have_full_text: bool | Literal["auto"] = Field(
        default="auto",
        description="whether feed items are the articles, and their pages are not fetched; "
        "auto: a long item that does not end in a link to its rest, if the source has no other "
        "entry (which would find the same pages again, and read another text from them)",
    )

    @property
    def entries(self) -> tuple[str, ...]:
        """URLs on the source's own hosts."""
        return (*self.start_urls, *self.archives, *self.sitemaps, *self.feeds)

    @model_validator(mode="after")
    def _has_an_entry(self) -> "WebSource":
        if not self.entries:
            raise ValueError("a web source needs start_urls, archives, sitemaps or feeds")
        return self


class SubstackSource(SiteSource):
    """A publication on Substack, under its own domain or substack.com's."""

    platform: ClassVar[str] = "substack"

    kind: Literal["substack"]
    url: HttpUrl = Field(description="of the publication, e.g. https://name.substack.com")
    posts: tuple[HttpUrl, ...] = Field(
        default=(), description="only these posts (…/p/slug); none means the whole archive"
    )

    @property
    def entries(self) -> tuple[str, ...]:
        """URLs on the source's own hosts."""
        return (self.url, *self.posts)


class MediumSource(SiteSource):
    """An author's profile or a publication on Medium, or either under a domain of its own."""

    platform: ClassVar[str] = "medium"

    kind: Literal["medium"]
    url: HttpUrl | None = Field(
        default=None,
        description="of the profile or publication, e.g. https://medium.com/@name; its feed has "
        "the last ten articles, its sitemap (on a domain of its own) all",
    )
    articles: tuple[HttpUrl, ...] = Field(
        default=(), description="articles that neither feed nor sitemap names"
    )

    @property
    def entries(self) -> tuple[str, ...]:
        """URLs on the source's own hosts."""
        return (*((self.url,) if self.url else ()), *self.articles)

    @model_validator(mode="after")
    def _has_an_entry(self) -> "MediumSource":
        if not self.entries:
            raise ValueError("a Medium source needs url or articles")
        return self


Source = Annotated[
    FolderSource
    | BucketSource
    | GithubSource
    | LinkedInExportSource
    | WarehouseDumpSource
    | WebSource
    | SubstackSource
    | MediumSource,
    Field(discriminator="kind"),
]

#: Kind, as recipes write it, to its model: a new kind gets a line here and one in `Source`.
SOURCE_KINDS: dict[str, type[Section]] = {
    "folder": FolderSource,
    "bucket": BucketSource,
    "github": GithubSource,
    "linkedin_export": LinkedInExportSource,
    "warehouse_dump": WarehouseDumpSource,
    "web": WebSource,
    "substack": SubstackSource,
    "medium": MediumSource,
}
