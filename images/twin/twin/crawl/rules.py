"""What decides, besides its bytes, what becomes of a page."""

import hashlib
import json
from importlib.metadata import version

from twin.crawl.read_article import READER_VERSION
from twin.recipes import Recipe, Source

#: How a source is reached, which says nothing about what becomes of its pages.
_REACHED_BY = {"hosts", "allow_private", "path"}


def rules_of(recipe: Recipe, source: Source) -> str:
    """The readers, and what the recipe says of this source's pages, as a short text.

    A page of the same bytes becomes the same under the same rules.
    """
    told = source.model_dump(mode="json", exclude=_REACHED_BY)
    author = recipe.author.model_dump(mode="json")
    text = json.dumps([told, author, recipe.digest("rights")], sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    knobs = f"{recipe.crawl.min_words} {recipe.crawl.keep_links}"
    return f"{READER_VERSION} {version('trafilatura')} {knobs} {digest}"
