"""Posts of Substack, as its API (`/api/v1/posts/SLUG`) gives them."""

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.crawl.formats.markdown import language, published, title_from_url
from twin.crawl.page import Article, PaywallError, UnusableError, whole

MEDIA_TYPE = "application/vnd.llm-twin.substack-post+json"
KINDS = {"newsletter": "article", "podcast": "podcast", "video": "video", "thread": "thread"}
#: Audiences that read without paying or signing in.
OPEN = frozenset({"everyone"})
# Words that Substack counts and a count of the HTML's words differ a little.
WHOLE_SHARE = 0.9
_TAG = re.compile(r"<[^>]+>")


class SubstackPost(BaseModel):
    """What we read of a post; Substack says much more."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    subtitle: str | None = None
    slug: str = ""
    type: str = "newsletter"
    audience: str = "everyone"
    canonical_url: str | None = None
    post_date: str | None = None
    updated_at: str | None = None
    body_html: str | None = None
    truncated_body_text: str | None = None
    wordcount: int | None = None
    language: str | None = None
    bylines: list[dict[str, Any]] = Field(default_factory=list, alias="publishedBylines")
    tags: list[dict[str, Any]] = Field(default_factory=list, alias="postTags")

    @property
    def is_paywalled(self) -> bool:
        """Whether we were given less than the whole text because we do not pay."""
        if self.audience in OPEN:
            return False
        if not self.body_html or not self.wordcount:
            return True
        return len(_TAG.sub(" ", self.body_html).split()) < self.wordcount * WHOLE_SHARE


def read_substack_post(text: str, url: str, *, links: bool = False) -> Article:
    """Read a post of the API; ``links``: keep links and images in the Markdown.

    Raises:
        PaywallError: only its beginning was given.
        UnusableError: it is no post, or has no text.
    """
    from twin.crawl.formats.html import read_fragment

    post = parse_post(text)
    if post.is_paywalled:
        raise PaywallError(f"behind a paywall (for {post.audience.replace('_', ' ')})")
    if not (post.body_html or "").strip():
        raise UnusableError("a post without text")
    return Article(
        title=whole(post.title) or title_from_url(url),
        content=read_fragment(post.body_html or "", url, title=post.title, links=links),
        subtitle=(post.subtitle or "").strip() or None,
        byline=_names(post.bylines) or None,
        published=published(post.post_date),
        modified=published(post.updated_at),
        language=language(post.language),
        tags=tuple(str(tag["name"]) for tag in post.tags if tag.get("name")),
        kind=KINDS.get(post.type, post.type),
    )


def parse_post(text: str) -> SubstackPost:
    """A post of the API.

    Raises:
        UnusableError: it is something else.
    """
    try:
        return SubstackPost.model_validate_json(text)
    except ValidationError:
        raise UnusableError("is no post of Substack's API") from None


def parse_archive(text: str) -> list[SubstackPost]:
    """A page of the archive: posts without their text.

    Raises:
        UnusableError: it is something else.
    """
    try:
        data = json.loads(text)
        if not isinstance(data, list):
            raise ValueError("no list")
        return [SubstackPost.model_validate(item) for item in data]
    except (ValueError, RecursionError):  # pydantic's errors are ValueErrors
        raise UnusableError("is no archive of Substack's API") from None


def _names(bylines: list[dict[str, Any]]) -> str:
    names = (str(person.get("name") or "").strip() for person in bylines)
    return ", ".join(name for name in names if name)
