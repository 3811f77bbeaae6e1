"""The kinds of sources a recipe may name: where the author's texts are."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

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


class FolderSource(Section):
    """A local folder of files: Markdown, HTML, PDF, DOCX, notebooks, transcripts, plain text."""

    platform: ClassVar[str] = "files"

    kind: Literal["folder"]
    name: Slug
    path: Path = Field(description="relative to the working directory")
    include: FilePatterns = TEXT_FILES
    url_prefix: str | None = Field(
        default=None,
        description="canonical URL of a file is this plus its relative path; "
        "unset means folder://<source name>/",
    )


class BucketSource(Section):
    """Files of the same formats as a folder's, in an S3 bucket or below a prefix of its keys.

    The connection is that of the file store: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on.
    """

    platform: ClassVar[str] = "files"

    kind: Literal["bucket"]
    name: Slug
    uri: str = Field(
        pattern=r"^s3://[^/\s]+(/.*)?$", description="s3://bucket or s3://bucket/prefix"
    )
    include: FilePatterns = TEXT_FILES
    url_prefix: str | None = Field(
        default=None,
        description="canonical URL of a file is this plus its key below the prefix; "
        "unset means the object's own s3:// address",
    )


class GithubSource(Section):
    """Repositories of a GitHub user: their README, documentation, notebooks and source files."""

    platform: ClassVar[str] = "github"

    kind: Literal["github"]
    name: Slug
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


class LinkedInExportSource(Section):
    """A member's own export of their LinkedIn data: the ZIP archive, or the folder it holds."""

    platform: ClassVar[str] = "linkedin"

    kind: Literal["linkedin_export"]
    name: Slug
    path: Path = Field(description="relative to the working directory")
    posts: bool = True
    articles: bool = True
    comments: bool = False


class WarehouseDumpSource(Section):
    """A JSON list of the documents of an older system's warehouse."""

    platform: ClassVar[str] = "dump"

    kind: Literal["warehouse_dump"]
    name: Slug
    path: Path = Field(description="relative to the working directory")
    authors: tuple[str, ...] = Field(
        default=(),
        description="author_id or author_full_name of what is the author's; "
        "none means the recipe's author by name",
    )
    max_bytes: PositiveInt = Field(default=2_000_000_000, description="a larger file is refused")


class WebSource(Section):
    """A web site, entered by start URLs, a sitemap or a feed; never left for another host."""

    platform: ClassVar[str] = "web"

    kind: Literal["web"]
    name: Slug
    start_urls: tuple[HttpUrl, ...] = ()
    sitemaps: tuple[HttpUrl, ...] = ()
    feeds: tuple[HttpUrl, ...] = ()
    include: tuple[Pattern, ...] = Field(
        default=(),
        description="regular expressions on the canonical URL of pages that become documents "
        "(such a page that is no article counts as failed); none means any article",
    )
    exclude: tuple[Pattern, ...] = Field(
        default=(), description="regular expressions on the URL of pages that are not fetched"
    )
    follow_links: bool = True
    hosts: dict[str, HttpUrl] = Field(
        default_factory=dict,
        description="host to base URL of a copy: pages are fetched there, named by the host; "
        "this allows that very address, private or not",
    )
    allow_private: tuple[HostAndPort, ...] = Field(
        default=(), description="host:port of private or loopback addresses that may be fetched"
    )

    @model_validator(mode="after")
    def _has_an_entry(self) -> "WebSource":
        if not (self.start_urls or self.sitemaps or self.feeds):
            raise ValueError("a web source needs start_urls, sitemaps or feeds")
        return self


Source = Annotated[
    FolderSource
    | BucketSource
    | GithubSource
    | LinkedInExportSource
    | WarehouseDumpSource
    | WebSource,
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
}
