"""The chunker: a document becomes passages that its embedder can take whole."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import groupby

from twin.domain.chunk import FIGURE, Chunk, chunk_id
from twin.domain.document import Document
from twin.domain.errors import BadDataError
from twin.features.clean import clean
from twin.features.figures import figures_of
from twin.features.frames import framed
from twin.features.markdown import Section, blocks_of, sections_of
from twin.features.overlap import overlapping
from twin.features.packing import Path, Span, UnitsOfSection, pack
from twin.features.quality import quality_of, reason_to_leave_out
from twin.features.signature import without_blocks
from twin.features.splitting import units_of
from twin.models.embedder import Embedder
from twin.recipes import FeaturesSection, Recipe
from twin.stores.index_release import chunker_of
from twin.text.language import document_language, passage_language
from twin.text.personal_data import PersonalDataDetector

VERSION = 5
"""Raised whenever the same document would be cleaned or chunked otherwise."""

REMEMBERED = 1_024
"""Texts whose tokens are not counted again: every chunk is counted when it is cut and when it is
made, headings and titles once for each."""

_WORD = re.compile(r"[^\W_]")

NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Cut:
    """A document in chunks, and what is in none of them."""

    text: str
    chunks: list[Chunk]
    left_out: list[str]
    """Blocks that other documents hold too."""
    refused: list[tuple[str, str]]
    """Passages that fail a threshold of the recipe, each with the reason."""
    personal_data: Mapping[str, int] = field(default_factory=dict)
    """How many items of each kind title and text hold."""
    unknown: int = 0
    """Tokens of its chunks that the embedder has no meaning for."""


class Chunker:
    """Cuts documents on their Markdown tree into chunks within the budget of their kind.

    The tokens are those of `Chunk.embedded_text`, title and headings included, by the embedder's
    own tokenizer: no chunk is truncated, and every word of the cleaned text is in one.

    Args:
        embedder: whose tokens are counted.
        budget: of tokens; the recipe's kinds of documents may have others.
        knobs: the recipe's section.
        detector: notes personal data; it changes no text.

    Raises:
        BadDataError: the budget is more than the embedder takes.
    """

    def __init__(
        self,
        embedder: Embedder,
        budget: int,
        knobs: FeaturesSection | None = None,
        detector: PersonalDataDetector | None = None,
    ) -> None:
        self.budget = budget
        self.detector = detector or PersonalDataDetector()
        self.knobs = (knobs or FeaturesSection()).model_copy(update={"chunk_tokens": budget})
        for kind in (None, *self.knobs.kinds):
            tokens = self.knobs.chunking(kind).chunk_tokens or 0
            if tokens > embedder.max_tokens:
                raise BadDataError(
                    f"features.{f'kinds.{kind}.' if kind else ''}chunk_tokens = {tokens}: the "
                    f"embedder {embedder.id} takes at most {embedder.max_tokens} tokens; more "
                    "would be cut off"
                )
        self._embedder = embedder
        self._count_tokens = lru_cache(REMEMBERED)(embedder.count_tokens)
        self._special = embedder.count_tokens("")

    @property
    def version(self) -> str:
        """Version and settings; the embedder is among them, since its tokenizer decides."""
        parts = (f"markdown-{VERSION}", str(self.budget), self._embedder.id)
        return "/".join(filter(None, (*parts, self.knobs.cut_otherwise)))

    def clean(self, text: str) -> str:
        """A document's text as it is cut, before blocks are left out."""
        return clean(text, keep_emoji=self.knobs.emoji == "keep")

    def chunks(
        self, document: Document, left_out: frozenset[int] = NOTHING, variant: str = ""
    ) -> list[Chunk]:
        """The document's chunks, in order; none if it has no words.

        Args:
            document: live, with its text.
            left_out: hashes of blocks to leave out (`Curation.left_out`).
            variant: the name of these (`Curation.variant`); it is part of the chunks' ids.
        """
        return self.cut(document, left_out, variant).chunks

    def cut(self, document: Document, left_out: frozenset[int] = NOTHING, variant: str = "") -> Cut:
        """The document's chunks, and what is in none of them (see `chunks`)."""
        text, gone = without_blocks(self.clean(document.content), left_out)
        settings = self.knobs.chunking(document.kind)
        budget, overlap = settings.chunk_tokens or self.budget, settings.overlap_tokens or 0
        title = self._short_title(" ".join(self.clean(document.title).split()), budget)
        found = self._fitting(text, title, budget, overlap)
        spans = [span for span in found if says_something(_slice(text, span))]
        texts = len(spans)
        spans += self._figures(text, title, budget) if self.knobs.figures else []
        qualities = {passage: quality_of(passage) for passage in (_slice(text, s) for s in spans)}
        unfit = {
            passage: reason
            for passage, quality in qualities.items()
            if (reason := reason_to_leave_out(quality, self.knobs.quality))
        }
        refused = [
            (passage, unfit[passage]) for s in spans if (passage := _slice(text, s)) in unfit
        ]
        figures = [span for span in spans[texts:] if _slice(text, span) not in unfit]
        spans = [span for span in spans[:texts] if _slice(text, span) not in unfit]
        placed = [*zip(spans, _sections(spans), strict=True)]
        placed += [(span, (place, place)) for place, span in enumerate(figures, len(spans))]
        language = document_language(document.language, text) if placed else None
        chunker = chunker_of(self.version, variant)

        @cache
        def held_above(path: Path) -> Counter[str]:
            return self.detector.counts(title, *path, language=language)

        chunks = [
            self._chunk(document, title, span.path, _slice(text, span)).model_copy(
                update={
                    "quality": qualities[_slice(text, span)],
                    "id": chunk_id(document.id, document.revision, ordinal, chunker),
                    "ordinal": ordinal,
                    "chunker": chunker,
                    "section": section,
                    "chunks_of_document": max(len(spans), ordinal + 1),
                    "kind": document.kind if ordinal < len(spans) else FIGURE,
                    "language": passage_language(_slice(text, span), language),
                    "personal_data": _listed(
                        held_above(span.path)
                        + self.detector.counts(_slice(text, span), language=language)
                    ),
                }
            )
            for ordinal, (span, section) in enumerate(placed)
        ]
        return Cut(
            text,
            chunks,
            gone,
            refused,
            dict(self.detector.counts(title, text, language=language)),
            sum(self._embedder.count_unknown(chunk.embedded_text) for chunk in chunks),
        )

    def _chunk(self, document: Document, title: str, path: Path, text: str) -> Chunk:
        return Chunk(
            id="",
            document_id=document.id,
            revision=document.revision,
            author_id=document.author_id,
            ordinal=0,
            url=document.url,
            title=title,
            headings=path,
            text=text,
            token_count=self._count_embedded(title, path, text),
            chunker=self.version,
            kind=document.kind,
            platform=document.platform,
            source=document.source,
            published=document.published,
        )

    def _fitting(self, text: str, title: str, budget: int, overlap: int) -> list[Span]:
        """Spans that fit when counted as they will be embedded.

        Packing adds up the tokens of parts, which is exact for WordPiece and nearly so for
        others; where a sum was too low, it is done again with some tokens less.
        """
        for spare in range(0, budget // 4, max(1, budget // 32)):
            spans = self._spans(text, title, budget - overlap - spare)
            spans = overlapping(text, spans, overlap, self._count)
            spans = framed(text, spans, blocks_of(text), budget, self._count)
            if all(
                self._count_embedded(title, span.path, _slice(text, span)) <= budget
                for span in spans
            ):
                return spans
        raise BadDataError(f"{title!r:.80} can't be cut into chunks of {budget} tokens")

    def _spans(self, text: str, title: str, budget: int) -> list[Span]:
        sections = self._sections(text, title, budget)
        units = list(self._units(text, title, sections, budget))
        return pack(units, budget, cache(lambda path: self._count_embedded(title, path, "")))

    def _sections(self, text: str, title: str, budget: int) -> list[Section]:
        @cache
        def fits(path: Path) -> bool:
            # Half the budget at least is for the text.
            return self._count_embedded(title, _below_title(path, title), "") <= budget // 2

        # A heading over nothing but a rule leads nowhere, and must not go with it.
        blocks = [b for b in blocks_of(text) if b.heading or _WORD.search(text[b.start : b.end])]
        return sections_of(blocks, fits)

    def _figures(self, text: str, title: str, budget: int) -> list[Span]:
        """Each figure once; one over the budget is in its passage of the text alone."""
        found: dict[str, Span] = {}
        for figure in figures_of(text, self._sections(text, title, budget)):
            span = Span(figure.start, figure.end, _below_title(figure.path, title))
            if self._count_embedded(title, span.path, _slice(text, span)) <= budget:
                found.setdefault(_slice(text, span), span)
        return list(found.values())

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
        return self._count_tokens(text) - self._special

    def _count_embedded(self, title: str, path: Path, text: str) -> int:
        return self._count_tokens(embedded_text(title, path, text))

    def _short_title(self, title: str, budget: int) -> str:
        """The title, cut where it would take more than a quarter of every chunk."""
        limit = budget // 4
        short = title
        while (tokens := self._count(short)) > limit:
            short = short[: max(1, len(short) * limit // (tokens + 1))]
        return short if short == title else f"{short.rstrip()}…"


def chunker_of_recipe(recipe: Recipe, embedder: Embedder) -> Chunker:
    """The chunker that a recipe wants, with the names that it lists."""
    detector = PersonalDataDetector(recipe.datasets.personal_data.names, recipe.author.name)
    return Chunker(embedder, recipe.features.chunk_tokens, recipe.features, detector)


#: What alone is no passage: images, rules, comments and tags.
_NO_WORDS = re.compile(
    r"!\[[^\]\n]{0,1000}\]\([^)\n]{0,4000}\)|!\[[^\]\n]{0,1000}\]\[[^\]\n]{0,200}\]"
    r"|<!--(?:(?!<!--|-->).){0,4000}-->|</?[A-Za-z][^<>]{0,1000}>",
    re.DOTALL,
)

#: A link by itself, an image in it or not, or an address.
_LINK = re.compile(
    r"[\s>*+-]*(?:\[[^\]\n]{0,1000}\]\([^)\n]{0,4000}\)|<?https?://[^\s<>]{1,4000}>?)[\s.:]*"
)


def says_something(passage: str) -> bool:
    """Whether a passage holds a word besides images, rules and one lonely link."""
    rest = _NO_WORDS.sub(" ", passage)
    return _WORD.search(rest) is not None and _LINK.fullmatch(rest) is None


def embedded_text(title: str, path: Path, text: str) -> str:
    """What `Chunk.embedded_text` will be."""
    return f"{' > '.join((title, *path))}\n{text}"


def _below_title(path: Path, title: str) -> Path:
    """The path without a first heading that repeats the title."""
    same = bool(path) and path[0].casefold() == title.casefold()
    return path[1:] if same else path


def _sections(spans: list[Span]) -> Iterator[tuple[int, int]]:
    """For each chunk the first and last of those in a row that have the same headings over them."""
    first = 0
    for _, run in groupby(spans, key=lambda span: span.path):
        last = first + len(list(run)) - 1
        yield from ((first, last) for _ in range(first, last + 1))
        first = last + 1


def _listed(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(counts.elements()))


def _slice(text: str, span: Span) -> str:
    return f"{span.opening}{text[span.start : span.end]}{span.closing}"
