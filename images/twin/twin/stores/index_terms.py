"""The terms of passages and questions for BM25, which both stores of the index search by."""

import re
import unicodedata
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from twin.domain.chunk import Chunk
from twin.text.words import spaced

if TYPE_CHECKING:
    from qdrant_edge import Bm25, SparseVector

AVERAGE_TERMS = 100.0
"""Terms of an average chunk, stop words left out: about half of the 200 tokens of its budget."""

#: Runs of Chinese, Japanese and Korean, whose compounds a search must find in part.
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0002ffff]{2,}"
)


def sparse_passage(chunk: Chunk) -> "SparseVector":
    """BM25 term weights of a chunk in its context; the store adds the inverse frequencies."""
    return _bm25().embed_document(_folded(chunk.embedded_text))


def sparse_question(text: str) -> "SparseVector":
    """The terms of a question, each of weight 1; empty if it has none but stop words."""
    return _bm25().embed_query(_folded(text))


def _folded(text: str) -> str:
    """What words are taken of: NFKC, so that CO2 is found however its 2 is set, and bigrams."""
    return _with_bigrams(unicodedata.normalize("NFKC", text))


def _with_bigrams(text: str) -> str:
    """Chinese, Japanese and Korean runs as overlapping pairs of characters, as Lucene has them;
    Thai, Lao, Khmer and Burmese ones as words.

    The engine's word tokenizer takes such a run for one word; its multilingual one knows these
    scripts but drops numbers, and "exit code 75" must find the passage with the 75.
    """
    pieces, end = [], 0
    for run in _UNSPACED.finditer(text):
        pieces.append(spaced(text[end : run.start()]))
        pieces += [one + two for one, two in pairwise(run.group())]
        end = run.end()
    return " ".join([*pieces, spaced(text[end:])])


@cache
def _bm25() -> "Bm25":
    from qdrant_edge import Bm25, Bm25Config, TokenizerType

    return Bm25(Bm25Config(tokenizer=TokenizerType.Word, avg_len=AVERAGE_TERMS))
