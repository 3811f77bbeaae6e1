"""The chunker: a document becomes passages that its embedder can take whole."""

import re
from collections.abc import Iterator
from functools import cache

from twin.domain.chunk import Chunk, chunk_id
from twin.domain.document import Document
from twin.domain.errors import BadDataError
from twin.features.clean import clean
from twin.features.markdown import Section, blocks_of, sections_of
from twin.features.packing import Path, Span, UnitsOfSection, pack
from twin.features.splitting import units_of
from twin.models.embedder import Embedder

VERSION = 2
"""Raised whenever the same document would be cleaned or chunked otherwise."""

_WORD = re.compile(r"[^\W_]")


class Chunker:
    """Cuts documents on their Markdown tree into chunks of at most ``budget`` tokens.

    The tokens are those of `Chunk.embedded_text`, title and headings included, by the embedder's
    own tokenizer: no chunk is truncated, and every word of the cleaned text is in one.

    Raises:
        BadDataError: the budget is more than the embedder takes.
    """

    def __init__(self, embedder: Embedder, budget: int) -> None:
        if budget > embedder.max_tokens:
            raise BadDataError(
                f"features.chunk_tokens = {budget}: the embedder {embedder.id} takes at most "
                f"{embedder.max_tokens} tokens; more would be cut off"
            )
        self.budget = budget
        self._embedder = embedder
        self._special = embedder.count_tokens("")

    @property
    def version(self) -> str:
        """Version and settings; the embedder is among them, since its tokenizer decides."""
        return f"markdown-{VERSION}/{self.budget}/{self._embedder.id}"

    def chunks(self, document: Document) -> list[Chunk]:
        """The document's chunks, in order; none if it has no words."""
        text = clean(document.content)
        title = self._short_title(" ".join(clean(document.title).split()))
        spans = [span for span in self._fitting(text, title) if _WORD.search(_slice(text, span))]
        return [
            self._chunk(document, title, ordinal, span.path, _slice(text, span))
            for ordinal, span in enumerate(spans)
        ]

    def _chunk(self, document: Document, title: str, ordinal: int, path: Path, text: str) -> Chunk:
        return Chunk(
            id=chunk_id(document.id, document.revision, ordinal, self.version),
            document_id=document.id,
            revision=document.revision,
            author_id=document.author_id,
            ordinal=ordinal,
            url=document.url,
            title=title,
            headings=path,
            text=text,
            token_count=self._count_embedded(title, path, text),
            chunker=self.version,
            kind=document.kind,
            source=document.source,
            language=document.language,
            published=document.published,
        )

    def _fitting(self, text: str, title: str) -> list[Span]:
        """Spans that fit when counted as they will be embedded.

        Packing adds up the tokens of parts, which is exact for WordPiece and nearly so for
        others; where a sum was too low, it is done again with some tokens less.
        """
        for spare in range(0, self.budget // 4, max(1, self.budget // 32)):
            spans = self._spans(text, title, self.budget - spare)
            if all(
                self._count_embedded(title, span.path, _slice(text, span)) <= self.budget
                for span in spans
            ):
                return spans
        raise BadDataError(f"{title!r:.80} can't be cut into chunks of {self.budget} tokens")

    def _spans(self, text: str, title: str, budget: int) -> list[Span]:
        @cache
        def tokens_of(path: Path) -> int:
            return self._count_embedded(title, path, "")

        def fits(path: Path) -> bool:
            # Half the budget at least is for the text.
            return tokens_of(_below_title(path, title)) <= budget // 2

        # A heading over nothing but a rule leads nowhere, and must not go with it.
        blocks = [b for b in blocks_of(text) if b.heading or _WORD.search(text[b.start : b.end])]
        sections = sections_of(blocks, fits)
        return pack(list(self._units(text, title, sections, budget)), budget, tokens_of)

    def _units(
        self, text: str, title: str, sections: list[Section], budget: int
    ) -> Iterator[UnitsOfSection]:
        end_before = 0
        for section in sections:
            path = _below_title(section.path, title)
            room = budget - self._count_embedded(title, path, "")
            units = [
                unit
                for block in section.blocks
                for unit in units_of(text, block, room, self._count)
            ]
            headings = section.headings[len(section.path) - len(path) :]
            near = [heading for heading in headings if heading.start >= end_before]
            yield UnitsOfSection(
                path=path,
                units=units,
                heading_starts=tuple(heading.start for heading in near),
                heading_tokens=sum(self._count(text[h.start : h.end]) for h in near),
            )
            end_before = section.blocks[-1].end

    def _count(self, text: str) -> int:
        """Tokens of a part, without the special ones."""
        return self._embedder.count_tokens(text) - self._special

    def _count_embedded(self, title: str, path: Path, text: str) -> int:
        return self._embedder.count_tokens(embedded_text(title, path, text))

    def _short_title(self, title: str) -> str:
        """The title, cut where it would take more than a quarter of every chunk."""
        limit = self.budget // 4
        short = title
        while (tokens := self._count(short)) > limit:
            short = short[: max(1, len(short) * limit // (tokens + 1))]
        return short if short == title else f"{short.rstrip()}…"


def embedded_text(title: str, path: Path, text: str) -> str:
    """What `Chunk.embedded_text` will be."""
    return f"{' > '.join((title, *path))}\n{text}"


def _below_title(path: Path, title: str) -> Path:
    """The path without a first heading that repeats the title."""
    same = bool(path) and path[0].casefold() == title.casefold()
    return path[1:] if same else path


def _slice(text: str, span: Span) -> str:
    return text[span.start : span.end]
