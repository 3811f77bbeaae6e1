"""The card of a set of preference pairs: what a person should know before training on it."""

from collections.abc import Mapping, Sequence

from twin.domain.sample import PreferencePair
from twin.stores.pair_sets import PREFERENCES, PairSetManifest

SHOWN = 5
"""Pairs that are shown, from the hardest to the easiest."""


def render_pair_card(manifest: PairSetManifest, pairs: Sequence[PreferencePair]) -> str:
    """The card in Markdown, with Hugging Face's front matter so that `datasets` can load it."""
    return "\n".join(
        [
            *_front_matter(manifest),
            f"# Preference pairs of {manifest.author_name}",
            "",
            f"Version `{manifest.version}` of recipe `{manifest.recipe}`, made of samples "
            f"`{manifest.dataset_version}`. Chosen is the author's answer, rejected what the model "
            f"after SFT wrote to the same prompt: {manifest.rejected_by}.",
            *(
                [f"The judge `{manifest.judge}` finds each rejected text worse, in both orders."]
                if manifest.judge
                else []
            ),
            "",
            f"Pairs: {manifest.pairs}, of {manifest.samples} training samples and "
            f"{manifest.candidates} texts that the model wrote to them.",
            *(
                [f"Held out: {manifest.held_out} pairs of test samples, to measure training on."]
                if manifest.held_out
                else []
            ),
            "",
            *_people(manifest),
            *_figures(manifest),
            *_counts("Texts that are in no pair:", manifest.dropped),
            *_counts("Samples that were passed over:", manifest.passed_over),
            *_examples(pairs),
        ]
    )


def _front_matter(manifest: PairSetManifest) -> list[str]:
    # `datasets` cannot read a Parquet file without rows, so an empty set is not offered.
    if not manifest.pairs:
        return []
    splits = ("train", "test") if manifest.held_out else ("train",)
    lines = [
        f"- config_name: {PREFERENCES}",
        "  data_files:",
        *(f"  - {{split: {split}, path: {PREFERENCES}/{split}.parquet}}" for split in splits),
    ]
    return ["---", "configs:", *lines, "---", ""]


def _people(manifest: PairSetManifest) -> list[str]:
    if manifest.made is None:
        return []
    return [
        f"People have reviewed the pairs `{manifest.made}`; {manifest.feedback} of these are "
        "callers' feedback on answers, each with the id of the answer (`answer_id`).",
        "",
        *_counts("What their verdicts have done:", manifest.reviewed),
    ]


def _figures(manifest: PairSetManifest) -> list[str]:
    if manifest.length_auc is None or manifest.likeness is None:
        return ["No pair is left: there is nothing to learn from preferences.", ""]
    return [
        f"AUC of length alone: {manifest.length_auc:.2f} (0.5 tells nothing). Likeness of the two "
        f"texts, by their words in order: {manifest.likeness:.2f} in the mean.",
        "",
    ]


def _counts(head: str, counts: Mapping[str, int]) -> list[str]:
    if not counts:
        return []
    return [head, "", *(f"- {reason}: {count}" for reason, count in counts.items()), ""]


def _examples(pairs: Sequence[PreferencePair]) -> list[str]:
    if not pairs:
        return []
    ranked = sorted(pairs, key=lambda pair: (-(pair.likeness or 0.0), pair.id))
    step = max(1, len(ranked) // SHOWN)
    lines = ["## Examples, the hardest first", ""]
    for pair in ranked[::step][:SHOWN]:
        lines += [
            f"**{_cell(pair.instruction)}** (likeness {pair.likeness or 0.0:.2f})",
            "",
            "| chosen | rejected |",
            "|---|---|",
            f"| {_cell(pair.chosen)} | {_cell(pair.rejected)} |",
            "",
        ]
    return lines


def _cell(text: str) -> str:
    """A text in one cell of a table: no line breaks, no bars, no tags."""
    escaped = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return "<br>".join(escaped.splitlines())
