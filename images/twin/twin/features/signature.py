"""What of a document is compared with other documents: hashes, never its words.

A signature takes about a kilobyte, is made once a revision and kept in the warehouse, so that a
build after one change reads one text and the signatures of the rest.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from twin.features.markdown import Block, blocks_of
from twin.text.words import words as words_of

VERSION = 3
"""Raised whenever the same cleaned text would get another signature."""

PERMUTATIONS = 128
SEED = 1
SHINGLE_WORDS = 5

#: Kinds of blocks that may be left out of a document because others hold them.
_COMPARED = ("paragraph", "list", "other")

#: Those of which single lines may be left out: posts have footers that no blank line sets apart.
_LINED = ("paragraph", "other")

EDGE_LINES = 3
"""Lines at each end of a block that are compared by themselves; what recurs stands at an end."""

LEAST_LINE_WORDS = 4
"""Words of such a line: shorter ones ("For example:") recur for good reason."""


@dataclass(frozen=True)
class Signature:
    """Of one revision of a document.

    ``blocks`` and ``words`` go together: each different block of prose, or line at the end of one,
    and its words.
    ``minhash`` is a MinHash digest, 128 numbers of 4 bytes; empty for a text without words.
    """

    document_id: str
    revision: str
    text: str
    blocks: tuple[int, ...]
    words: tuple[int, ...]
    minhash: bytes


def signature_of(document_id: str, revision: str, cleaned: str) -> Signature:
    """The signature of a cleaned text."""
    words = words_of(cleaned.casefold())
    counted: dict[int, int] = {}
    for block in blocks_of(cleaned):
        if block.kind in _COMPARED:
            body = cleaned[block.start : block.end]
            if size := len(words_of(body)):
                counted[block_hash(body)] = size
            for line in _edges(body) if block.kind in _LINED else ():
                if (size := len(words_of(line))) >= LEAST_LINE_WORDS:
                    counted[block_hash(line)] = size
    return Signature(
        document_id=document_id,
        revision=revision,
        text=hashlib.sha256(" ".join(cleaned.split()).encode()).hexdigest() if words else "",
        blocks=tuple(counted),
        words=tuple(counted.values()),
        minhash=_minhash(words),
    )


def block_hash(text: str) -> int:
    """64 bits of a block's words and marks, whatever its blanks."""
    digest = hashlib.blake2b(" ".join(text.split()).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def without_blocks(cleaned: str, hashes: frozenset[int]) -> tuple[str, list[str]]:
    """The text without these blocks and lines, and what was left out of it.

    A heading goes along when all that stood under it goes.
    """
    if not hashes:
        return cleaned, []
    blocks = blocks_of(cleaned)
    leaving = [list(_leaving(cleaned, block, hashes)) for block in blocks]
    for place in reversed(range(len(blocks))):
        if blocks[place].kind == "heading":
            under = _under(blocks, place)
            if under and all(leaving[below] == [_whole(blocks[below])] for below in under):
                leaving[place] = [_whole(blocks[place])]
    parts, left_out, position = [], [], 0
    for start, end in (span for spans in leaving for span in spans):
        parts.append(cleaned[position:start])
        left_out.append(cleaned[start:end].strip("\n"))
        position = end
    parts.append(cleaned[position:])
    return "".join(parts).strip() + "\n", left_out


def _leaving(cleaned: str, block: Block, hashes: frozenset[int]) -> Iterator[tuple[int, int]]:
    """Spans of a block that go: all of it, or lines of it with the line ends before them."""
    if block.kind not in _COMPARED:
        return
    body = cleaned[block.start : block.end]
    lines = body.split("\n") if block.kind in _LINED else [body]
    gone = [block_hash(line) in hashes for line in lines]
    if block_hash(body) in hashes or all(gone):
        yield _whole(block)
        return
    start, stays = block.start, False
    for line, leaves in zip(lines, gone, strict=True):
        end = start + len(line)
        if leaves:  # with the line end before it, or after it if nothing before it stays
            yield (start - 1, end) if stays else (start, end + 1)
        stays = stays or not leaves
        start = end + 1


def _whole(block: Block) -> tuple[int, int]:
    return block.start, block.end


def _edges(body: str) -> list[str]:
    """The first and last lines of a block that has several."""
    lines = body.split("\n")
    if len(lines) == 1:
        return []
    return lines[:EDGE_LINES] + lines[max(EDGE_LINES, len(lines) - EDGE_LINES) :]


def _under(blocks: list[Block], place: int) -> range:
    """The blocks of a heading's part, deeper headings among them."""
    level = blocks[place].level
    end = place + 1
    while end < len(blocks) and (blocks[end].kind != "heading" or blocks[end].level > level):
        end += 1
    return range(place + 1, end)


def _minhash(words: list[str]) -> bytes:
    from rensa import RMinHash

    if not words:
        return b""
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    shingles = [" ".join(words[start : start + SHINGLE_WORDS]) for start in range(last)]
    sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
    sketch.update(shingles)
    return b"".join(number.to_bytes(4, "little") for number in sketch.digest())
