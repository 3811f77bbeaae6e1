"""The plots of a sample set's page, as PNG images.

They hold no word of a sample or a title (`twin.pages.canvas` says why).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from twin.domain.sample import InstructSample, Split
from twin.pages.canvas import BLUE, GREEN, ORANGE, new_canvas, panels_of, png_of

_COLOURS = {Split.TRAIN: BLUE, Split.VALIDATION: ORANGE, Split.TEST: GREEN}
_BINS = 24

Lengths = Mapping[str, Mapping[Split, Sequence[int]]]
"""Part of a sample to split to the words of that part, sample by sample."""


def draw_lengths(lengths: Lengths) -> bytes:
    """A histogram of each part's words, the splits upon one another."""
    canvas = new_canvas(3.3 * len(lengths), 2.6)
    for place, (axes, (part, by_split)) in enumerate(
        zip(panels_of(canvas, len(lengths)), lengths.items(), strict=True)
    ):
        held = {split: list(by_split[split]) for split in Split if by_split[split]}
        if held:
            axes.hist(
                list(held.values()),
                bins=_BINS,
                stacked=True,
                color=[_COLOURS[split] for split in held],
                label=[split.value for split in held],
            )
        axes.set_title(part, fontsize=9)
        axes.set_xlabel("words", fontsize=8)
        axes.tick_params(labelsize=8)
        if place == 0:
            axes.set_ylabel("samples", fontsize=8)
            axes.legend(fontsize=8, frameon=False)
    return png_of(canvas)


def draw_kinds(counts: Mapping[tuple[str, Split], int]) -> bytes:
    """A bar for each kind of sample, most frequent first, in the colours of its splits."""
    totals: Counter[str] = Counter()
    for (name, _), count in counts.items():
        totals[name] += count
    order = [name for name, _ in totals.most_common()]
    canvas = new_canvas(7.0, 0.9 + 0.28 * max(1, len(order)))
    (axes,) = panels_of(canvas, 1)
    starts = [0] * len(order)
    for split in Split:
        widths = [counts.get((name, split), 0) for name in order]
        axes.barh(order, widths, left=starts, color=_COLOURS[split], label=split.value)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("samples", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    return png_of(canvas)


def draw_copies(share: Mapping[str, float]) -> bytes:
    """A bar for each split: the share of its samples that show their answer."""
    canvas = new_canvas(7.0, 0.7 + 0.28 * max(1, len(share)))
    (axes,) = panels_of(canvas, 1)
    names = list(share)
    axes.barh(names, [share[name] for name in names], color=[_COLOURS[Split(n)] for n in names])
    for position, name in enumerate(names):
        axes.text(share[name] + 0.01, position, f"{share[name]:.1%}", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of samples whose prompt shows their answer verbatim", fontsize=8)
    axes.tick_params(labelsize=8)
    return png_of(canvas)


def kind_of(sample: InstructSample) -> str:
    """What a sample is, in a few words: who made it, what it asks for, what it shows."""
    kind = f"{sample.maker.value}, {sample.kind}" if sample.kind else sample.maker.value
    return kind if sample.context else f"{kind}, from memory"
