"""The data set's card as one page for a browser: plots, sources, what is left out, examples."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def render_page(manifest: SampleSetManifest, samples: Sequence[InstructSample]) -> str:
    """The page in HTML; everything that samples and titles say is escaped."""
    return page.render_page("twin.datasets", _TEMPLATE, **_values(manifest, samples))


def _values(manifest: SampleSetManifest, samples: Sequence[InstructSample]) -> dict[str, Any]:
    lengths = _lengths(samples)
    documents = _documents(samples)
    return {
        "manifest": manifest,
        "warning": few_documents(manifest),
        "splits": list(_splits(manifest, samples)),
        "kinds": page.embedded_image(
            draw_kinds([(kind_of(sample), sample.split) for sample in samples])
        ),
        "lengths": page.embedded_image(draw_lengths(lengths)),
        "medians": list(_medians(lengths)),
        "copies": page.embedded_image(draw_copies(manifest.copy_share)),
        "topics": _topics(samples),
        "sites": Counter(_site(sample.url) for sample in samples).most_common(),
        "documents": documents[:MOST_DOCUMENTS],
        "more_documents": len(documents) - MOST_DOCUMENTS,
        "left_out": [(head, counts) for head, counts in _left_out(manifest) if counts],
        "examples": list(_examples(samples)),
    }


def _splits(
    manifest: SampleSetManifest, samples: Sequence[InstructSample]
) -> Iterator[tuple[str, int, int, int]]:
    """Split, its documents, its samples, and how many of them show passages."""
    documents = Counter(manifest.documents.values())
    for split in Split:
        held = [sample for sample in samples if sample.split is split]
        yield split.value, documents[split], len(held), sum(1 for each in held if each.context)


def _lengths(samples: Sequence[InstructSample]) -> dict[str, dict[Split, list[int]]]:
    parts: dict[str, Callable[[InstructSample], int]] = {
        "question": lambda sample: count_words(sample.instruction),
        "passages shown": lambda sample: sum(map(count_words, sample.context)),
        "answer": lambda sample: count_words(sample.answer),
    }
    return {
        part: {
            split: [
                words for each in samples if each.split is split and (words := measure(each)) > 0
            ]
            for split in Split
        }
        for part, measure in parts.items()
    }


def _medians(
    lengths: Mapping[str, Mapping[Split, Sequence[int]]],
) -> Iterator[tuple[str, int, float, int]]:
    """Part, and the words of the shortest, the middle and the longest."""
    for part, by_split in lengths.items():
        words = [each for held in by_split.values() for each in held]
        if words:
            yield part, min(words), statistics.median(words), max(words)


def _documents(samples: Sequence[InstructSample]) -> list[DocumentRow]:
    of_document: dict[str, list[InstructSample]] = defaultdict(list)
    for sample in samples:
        of_document[sample.document_id].append(sample)
    rows = [
        DocumentRow(held[0].title, page.web_link(held[0].url), held[0].split.value, len(held))
        for held in of_document.values()
    ]
    return sorted(rows, key=lambda row: (-row.samples, row.title))


def _topics(samples: Sequence[InstructSample]) -> list[tuple[str, int, int]]:
    """Phrases that several documents' answers hold: the documents, and the samples of these."""
    documents: dict[str, set[str]] = defaultdict(set)
    held: Counter[str] = Counter()
    for sample in samples:
        for phrase in set(phrases(sample.answer)):
            documents[phrase].add(sample.document_id)
            held[phrase] += 1
    shared = [(name, len(of), held[name]) for name, of in documents.items() if len(of) > 1]
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


def _examples(samples: Sequence[InstructSample]) -> Iterator[tuple[str, list[Example]]]:
    """Some samples of each kind that is trained on, drawn; the most frequent kind first."""
    of_kind: dict[str, list[InstructSample]] = defaultdict(list)
    for sample in samples:
        if sample.split is Split.TRAIN:
            of_kind[kind_of(sample)].append(sample)
    for kind, held in sorted(of_kind.items(), key=lambda entry: -len(entry[1])):
        drawn = sorted(held, key=lambda sample: draw_key(sample.id, 0))[:EXAMPLES]
        yield kind, [Example(each, page.web_link(each.url), shows_answer(each)) for each in drawn]


def _site(url: str) -> str:
    """The host of an address; what has none is a file."""
    try:
        return urlsplit(url).hostname or "files"
    except ValueError:  # brackets that are no IPv6 address
        return "files"
