"""The data set's card as one page for a browser: plots, sources, what is left out, examples."""

import statistics
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from twin.datasets.card import few_documents
from twin.datasets.copies import shows_answer
from twin.datasets.keyphrases import phrases
from twin.datasets.plots import draw_copies, draw_kinds, draw_lengths, kind_of
from twin.domain.sample import InstructSample, Split, draw_key
from twin.pages import page
from twin.stores.sample_sets import SampleSetManifest
from twin.text.words import count_words

EXAMPLES = 3
"""Samples shown of each kind."""
MOST_DOCUMENTS = 100
"""Documents listed, those of most samples first."""
MOST_TOPICS = 20
"""Topics listed, those of most documents first."""

TOPIC_DOCUMENTS = 1_000
"""Documents, as they come, whose topics are counted: all phrases of all would fill the memory."""

_TEMPLATE = "card.html.jinja"


@dataclass(frozen=True)
class DocumentRow:
    """A document of the list of sources. ``link`` is empty where its address is no web page."""

    title: str
    link: str
    split: str
    samples: int


@dataclass(frozen=True)
class Example:
    """A sample to read. ``copied`` says that a passage shown has its answer verbatim."""

    sample: InstructSample
    link: str
    copied: bool


class _Figures:
    """What the page shows of samples, gathered in one pass: numbers, and some samples to read."""

    def __init__(self, samples: Iterable[InstructSample]) -> None:
        self.samples: Counter[Split] = Counter()
        self.grounded: Counter[Split] = Counter()
        self.kinds: Counter[tuple[str, Split]] = Counter()
        self.sites: Counter[str] = Counter()
        self.lengths: dict[str, dict[Split, array[int]]] = {
            part: {split: array("i") for split in Split} for part in _PARTS
        }
        self.of_document: Counter[str] = Counter()
        self.named: dict[str, tuple[str, str, Split]] = {}
        self.trained: Counter[str] = Counter()
        self.phrases: dict[str, set[str]] = defaultdict(set)
        self.phrase_samples: Counter[str] = Counter()
        self.examples: dict[str, list[tuple[str, InstructSample]]] = defaultdict(list)
        for sample in samples:
            self._add(sample)

    def _add(self, sample: InstructSample) -> None:
        split, kind = sample.split, kind_of(sample)
        self.samples[split] += 1
        self.grounded[split] += bool(sample.context)
        self.kinds[kind, split] += 1
        self.sites[_site(sample.url)] += 1
        for part, measure in _PARTS.items():
            if (words := measure(sample)) > 0:
                self.lengths[part][split].append(words)
        self.of_document[sample.document_id] += 1
        self.named.setdefault(sample.document_id, (sample.title, sample.url, split))
        if len(self.named) <= TOPIC_DOCUMENTS:
            for phrase in set(phrases(sample.answer)):
                self.phrases[phrase].add(sample.document_id)
                self.phrase_samples[phrase] += 1
        if split is Split.TRAIN:
            self.trained[kind] += 1
            drawn = [*self.examples[kind], (draw_key(sample.id, 0), sample)]
            self.examples[kind] = sorted(drawn, key=lambda entry: entry[0])[:EXAMPLES]


_PARTS: dict[str, Callable[[InstructSample], int]] = {
    "question": lambda sample: count_words(sample.instruction),
    "passages shown": lambda sample: sum(map(count_words, sample.context)),
    "answer": lambda sample: count_words(sample.answer),
}
"""Parts of a sample, and what counts their words."""


def render_page(manifest: SampleSetManifest, samples: Iterable[InstructSample]) -> str:
    """The page in HTML; everything that samples and titles say is escaped."""
    return page.render_page("twin.datasets", _TEMPLATE, **_values(manifest, _Figures(samples)))


def _values(manifest: SampleSetManifest, figures: _Figures) -> dict[str, Any]:
    documents = _documents(figures)
    return {
        "manifest": manifest,
        "warning": few_documents(manifest),
        "splits": list(_splits(manifest, figures)),
        "kinds": page.embedded_image(draw_kinds(figures.kinds)),
        "lengths": page.embedded_image(draw_lengths(figures.lengths)),
        "medians": list(_medians(figures.lengths)),
        "copies": page.embedded_image(draw_copies(manifest.copy_share)),
        "topics": _topics(figures),
        "sites": figures.sites.most_common(),
        "documents": documents[:MOST_DOCUMENTS],
        "more_documents": len(documents) - MOST_DOCUMENTS,
        "left_out": [(head, counts) for head, counts in _left_out(manifest) if counts],
        "examples": list(_examples(figures)),
    }


def _splits(manifest: SampleSetManifest, figures: _Figures) -> Iterator[tuple[str, int, int, int]]:
    """Split, its documents, its samples, and how many of them show passages."""
    documents = Counter(manifest.documents.values())
    for split in Split:
        yield split.value, documents[split], figures.samples[split], figures.grounded[split]


def _medians(
    lengths: Mapping[str, Mapping[Split, Sequence[int]]],
) -> Iterator[tuple[str, int, float, int]]:
    """Part, and the words of the shortest, the middle and the longest."""
    for part, by_split in lengths.items():
        words = [each for held in by_split.values() for each in held]
        if words:
            yield part, min(words), statistics.median(words), max(words)


def _documents(figures: _Figures) -> list[DocumentRow]:
    rows = [
        DocumentRow(title, page.web_link(url), split.value, figures.of_document[document_id])
        for document_id, (title, url, split) in figures.named.items()
    ]
    return sorted(rows, key=lambda row: (-row.samples, row.title))


def _topics(figures: _Figures) -> list[tuple[str, int, int]]:
    """Phrases that several documents' answers hold: the documents, and the samples of these."""
    held = figures.phrase_samples
    shared = [(name, len(of), held[name]) for name, of in figures.phrases.items() if len(of) > 1]
    return sorted(shared, key=lambda row: (-row[1], -row[2], row[0]))[:MOST_TOPICS]


def _left_out(manifest: SampleSetManifest) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """What is not in the samples, each with the reasons and how many, most frequent first."""
    yield "Samples that people have left out", Counter(manifest.refused).most_common()
    yield "Samples that did not pass a gate", Counter(manifest.rejected).most_common()
    if manifest.teacher:
        yield "What became of each task of the teacher", list(manifest.teacher.outcomes.items())
    yield "Chunks that no sample was made of", Counter(manifest.skipped).most_common()
    yield "Written questions that are not used", Counter(manifest.set_aside).most_common()
    redacted = [(f"[{kind}]", count) for kind, count in Counter(manifest.redacted).most_common()]
    yield "Personal data replaced by a placeholder, by places in passages", redacted


def _examples(figures: _Figures) -> Iterator[tuple[str, list[Example]]]:
    """Some samples of each kind that is trained on, drawn; the most frequent kind first."""
    for kind, _ in figures.trained.most_common():
        drawn = [sample for _, sample in figures.examples[kind]]
        yield kind, [Example(each, page.web_link(each.url), shows_answer(each)) for each in drawn]


def _site(url: str) -> str:
    """The host of an address; what has none is a file."""
    try:
        return urlsplit(url).hostname or "files"
    except ValueError:  # brackets that are no IPv6 address
        return "files"
