"""Section of a recipe: how to crawl."""

from pydantic import Field, PositiveInt

from twin.recipes.section import Fraction, Section


class CrawlSection(Section):
    """How politely and how far to crawl."""

    max_pages: PositiveInt = Field(
        default=5_000,
        description="of a source in one crawl; a file, post or item of a dump is a page as well",
    )
    max_page_bytes: PositiveInt = Field(default=10_000_000, description="a larger page is refused")
    min_words: int = Field(
        default=50,
        ge=0,
        description="a shorter page is no article and goes to quarantine; of a post ten words are "
        "enough, of a source file three lines",
    )
    keep_links: bool = Field(
        default=False,
        description="keep links and images with their addresses in the stored text; the model is "
        "trained on that text, so it then learns to write addresses",
    )
    max_bytes: PositiveInt = Field(
        default=2_000_000_000,
        description="what a source may send in one crawl, pages and all; of files on "
        "this machine, what is read",
    )
    max_seconds: PositiveInt = Field(
        default=6 * 3600, description="how long one crawl of a source may fetch or read"
    )
    download_timeout_seconds: PositiveInt = 30
    retries: int = Field(default=3, ge=0, description="of a request that failed but may not again")
    backoff_seconds: float = Field(
        default=1.0, ge=0, description="before the first retry; doubles each time"
    )
    max_wait_seconds: PositiveInt = Field(
        default=120,
        description="the longest a host may ask to wait (Retry-After, Crawl-delay) and be waited "
        "for; one that asks for more is left for the next crawl",
    )
    delay_seconds: float = Field(default=0.5, ge=0, description="AutoThrottle's first delay")
    concurrency_per_host: PositiveInt = 2
    user_agent: str | None = Field(
        default=None,
        min_length=1,
        description="how the crawl names itself, with a way to reach you; unset: this program's "
        "name and TWIN_CONTACT",
    )
    obey_robots: bool = True
    gone_after: PositiveInt = Field(
        default=3,
        description="crawls in a row that must miss a page (404, or not in a complete listing) "
        "before its document is gone; 410 and deleted files count at once",
    )
    snapshots: bool = Field(default=True, description="keep raw pages as WARC files, for replay")
    snapshot_crawls: PositiveInt | None = Field(
        default=None,
        description="newest crawls of a source of which all raw pages are kept; of older ones only "
        "what a replay needs to end with the same documents: the newest of each page. Not given: "
        "all of all crawls",
    )
    max_failed_share: Fraction = Field(
        default=0.2, description="a crawl with a larger share of failed pages fails"
    )
