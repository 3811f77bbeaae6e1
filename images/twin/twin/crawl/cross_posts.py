"""Cross-posts: one article on two platforms is one document, with both URLs.

A crawl stores every page as a document of its own. Then, with all of an author's documents at
hand, those of one text are found and one of them is kept live; the others are marked as
duplicates, which every later stage leaves out. What is marked depends on the documents alone, not
on the order in which they were crawled or on what was marked before, so this may be run at any
time, twice, or not at all after a kill: the next crawl does it. A duplicate whose kept twin is
gone is live again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations

import structlog

from twin.crawl.web.urls import host_of, page_key
from twin.domain.document import Document, DocumentStatus
from twin.domain.errors import TryAgainError
from twin.stores.warehouse import Warehouse
from twin.text.words import words as words_of

log = structlog.get_logger("twin.crawl")

#: Share of common shingles (Jaccard) from which two texts are one. A platform's own footer or a
#: corrected sentence stays far above; two articles on one topic stay far below.
NEAR_IDENTICAL = 0.8
#: The same where a page says which URL is its original: it might say so of every page it has.
SAID_TO_BE_THE_SAME = 0.5
SHINGLE_WORDS = 5
PERMUTATIONS = 128
BANDS = 32
ATTEMPTS = 5
# Files of two repositories may well be equal (licences, generated code) and are no articles.
NOT_COMPARED = frozenset({"code"})
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class CrossPosts:
    """What was found.

    Attributes:
        texts: articles that stand at more than one place.
        duplicates: their other places.
        changed: documents whose mark had to be changed.
    """

    texts: int = 0
    duplicates: int = 0
    changed: int = 0


def unite_cross_posts(
    warehouse: Warehouse, author_id: str, source_order: Sequence[str] = ()
) -> CrossPosts:
    """Find an author's cross-posts and mark them in the warehouse.

    Args:
        source_order: names of sources; of two places of a text that neither a canonical link
            nor a date tells apart, the one of the earlier source is kept.

    Raises:
        TryAgainError: the warehouse is away, or other crawls keep changing the documents.
    """
    if not _may_have_any(warehouse, author_id):
        return CrossPosts()
    changed = 0
    for _ in range(ATTEMPTS):
        documents = warehouse.standing(author_id)
        groups = [keep_first(group, source_order) for group in _groups(warehouse, documents)]
        wanted = _marks(groups)
        marks = []
        for item in documents:
            status, also_at = wanted.get(item.id, (DocumentStatus.LIVE, ()))
            if (item.status, item.also_at) != (status, also_at):
                marks.append((item, status, also_at))
        done = warehouse.mark_cross_posts(marks)
        changed += done
        # Another crawl may be at it: what it changed is judged anew.
        if done == len(marks):
            duplicates = sum(len(group) - 1 for group in groups)
            return CrossPosts(len(groups), duplicates, changed)
    raise TryAgainError(f"documents of {author_id} keep being changed by other crawls")


def _may_have_any(warehouse: Warehouse, author_id: str) -> bool:
    """Whether there are documents of two places, or marks from when there were; by reading
    little, since most authors have one place and may have many documents."""
    places = set()
    for source, url, is_marked in warehouse.standing_places(author_id):
        places.add((source, host_of(url)))
        if is_marked or len(places) > 1:
            return True
    return False


def keep_first(group: Iterable[Document], source_order: Sequence[str]) -> list[Document]:
    """Documents of one text, the one to keep first: what the others call their original, else
    what was published earlier, else the earlier source's."""
    items = list(group)
    order = {name: place for place, name in enumerate(source_order)}
    called = [page_key(item.original_url) for item in items if item.original_url]

    def rank(item: Document) -> tuple[bool, bool, datetime, int, str]:
        is_original = page_key(item.url) in called
        return (
            not is_original,
            # Who names another place as the original is none, whether we have that place or not.
            bool(item.original_url),
            item.published or _NEVER,
            order.get(item.source, len(order)),
            item.url,
        )

    return sorted(items, key=rank)


def _marks(
    groups: Iterable[list[Document]],
) -> dict[str, tuple[DocumentStatus, tuple[str, ...]]]:
    """Document id to its state and the other URLs of its text."""
    marks = {}
    for kept, *others in groups:
        urls = tuple(sorted({item.url for item in others} - {kept.url}))
        marks[kept.id] = (DocumentStatus.LIVE, urls)
        for item in others:
            marks[item.id] = (DocumentStatus.DUPLICATE, (kept.url,))
    return marks


def _groups(warehouse: Warehouse, documents: Sequence[Document]) -> list[list[Document]]:
    """Documents of one text each, two or more."""
    items = {item.id: item for item in documents if item.kind not in NOT_COMPARED}
    parent = {name: name for name in items}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for one, other in _same_texts(warehouse, items):
        parent[max(root(one), root(other))] = min(root(one), root(other))
    groups = defaultdict(list)
    for name in sorted(items):
        groups[root(name)].append(items[name])
    return [group for group in groups.values() if len(group) > 1]


def _place(item: Document) -> tuple[str, str]:
    """Texts of one place are the author's own separate texts, however alike."""
    return item.source, host_of(item.url)


def _same_texts(warehouse: Warehouse, items: dict[str, Document]) -> list[tuple[str, str]]:
    """Pairs of documents of one text, at different places."""
    likely = dict.fromkeys(_likely_pairs(warehouse, items), NEAR_IDENTICAL)
    for pair in _said_pairs(items):
        likely[pair] = SAID_TO_BE_THE_SAME
    needed = {name for pair in likely for name in pair}
    # Of all candidates at once: few documents are any, and each may be in several pairs.
    shingles = {name: shingles_of(text) for name, text in warehouse.texts(needed)}
    return [
        (one, other)
        for (one, other), cut in likely.items()
        if one in shingles and other in shingles and _jaccard(shingles[one], shingles[other]) >= cut
    ]


def _said_pairs(items: dict[str, Document]) -> set[tuple[str, str]]:
    """Pairs of which one page names the other as its original."""
    at = defaultdict(list)
    for name, item in items.items():
        at[page_key(item.url)].append(name)
    return {
        (min(name, other), max(name, other))
        for name, item in items.items()
        if item.original_url
        for other in at.get(page_key(item.original_url), ())
        if _place(items[other]) != _place(item)
    }


def _likely_pairs(warehouse: Warehouse, items: dict[str, Document]) -> set[tuple[str, str]]:
    """Pairs of equal texts, and of those that MinHash finds alike."""
    from rensa import RMinHash, RMinHashLSH

    lsh = RMinHashLSH(threshold=NEAR_IDENTICAL, num_perm=PERMUTATIONS, num_bands=BANDS)
    names: list[str] = []
    equal = defaultdict(list)
    pairs = set()
    for name, text in warehouse.texts(items):
        words = words_of(text.casefold())
        equal[hashlib.sha256(" ".join(words).encode()).digest()].append(name)
        minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
        minhash.update(sorted(_shingles(words)))
        for number in lsh.query(minhash):
            pairs.add((names[number], name))
        lsh.insert(len(names), minhash)
        names.append(name)
    for same in equal.values():
        pairs.update(combinations(same, 2))
    return {(one, other) for one, other in pairs if _place(items[one]) != _place(items[other])}


def shingles_of(text: str) -> set[str]:
    """Every run of `SHINGLE_WORDS` words of a text, without case, marks and Markdown."""
    return _shingles(words_of(text.casefold()))


def _shingles(words: list[str]) -> set[str]:
    last = max(len(words) - SHINGLE_WORDS + 1, 1)
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(last)}


def _jaccard(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(len(one | other), 1)
