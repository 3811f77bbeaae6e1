"""What of a document is compared with other documents: hashes, never its words.

A signature takes about a kilobyte, is made once a revision and kept in the warehouse, so that a
build after one change reads one text and the signatures of the rest.
"""

import hashlib
import re
from dataclasses import dataclass

from twin.features.markdown import Block, blocks_of

VERSION = 1
"""Raised whenever the same cleaned text would get another signature."""

PERMUTATIONS = 128
SEED = 1
SHINGLE_WORDS = 5

#: A word, or one character of a script that is written without spaces.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

#: Kinds of blocks that may be left out of a document because others hold them.
_COMPARED = ("paragraph", "list", "other")


@dataclass(frozen=True)
class Signature:
    """Of one revision of a document.

    ``blocks`` and ``words`` go together: each different block of prose, and its words.
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
    words = _WORD.findall(cleaned.casefold())
    counted: dict[int, int] = {}
    for block in blocks_of(cleaned):
        if block.kind in _COMPARED:
            body = cleaned[block.start : block.end]
            if size := len(_WORD.findall(body)):
                counted[block_hash(body)] = size
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
    """The text without these blocks, and what was left out of it.

    A heading goes along when all that stood under it goes.
    """
    if not hashes:
        return cleaned, []
    blocks = blocks_of(cleaned)
    gone = [
        block.kind in _COMPARED and block_hash(cleaned[block.start : block.end]) in hashes
        for block in blocks
    ]
    for place in reversed(range(len(blocks))):
        if blocks[place].kind == "heading":
            under = _under(blocks, place)
            gone[place] = bool(under) and all(gone[below] for below in under)
    parts, left_out, position = [], [], 0
    for block, leaves in zip(blocks, gone, strict=True):
        if leaves:
            parts.append(cleaned[position : block.start])
            left_out.append(cleaned[block.start : block.end])
            position = block.end
    parts.append(cleaned[position:])
    return "".join(parts).strip() + "\n", left_out


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
