"""The kinds of sources a recipe may name: where the author's texts are."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from twin.recipes.section import HostAndPort, HttpUrl, Pattern, Section, Slug


class FolderSource(Section):
    """A local folder of Markdown or HTML files."""

    kind: Literal["folder"]
    name: Slug
    path: Path = Field(description="relative to the working directory")
    include: tuple[str, ...] = ("**/*.md", "**/*.html")
    url_prefix: str | None = Field(
        default=None,
        description="canonical URL of a file is this plus its relative path; "
        "unset means folder://<source name>/",
    )


class WebSource(Section):
    """A web site, entered by start URLs, a sitemap or a feed; never left for another host."""

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
    complete: bool | None = Field(
        default=None,
        description="whether the entries lead to every page, so that a page which is in none of "
        "them is gone; unset means: if there are sitemaps. Otherwise known pages are asked for "
        "one by one",
    )
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


Source = Annotated[FolderSource | WebSource, Field(discriminator="kind")]

#: Kind, as recipes write it, to its model: a new kind gets a line here and one in `Source`.
SOURCE_KINDS: dict[str, type[Section]] = {"folder": FolderSource, "web": WebSource}
