"""The data set's card: what a person should know before training on it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain

from twin.datasets.reviews import ANSWER_EDITED
from twin.domain.sample import InstructSample, Maker, Split, TeacherKind
from twin.stores.sample_sets import INSTRUCT, REJECTED, SampleSetManifest, TeacherRecord

_SHOWN = 3

FEW_DOCUMENTS = 3
"""A split with fewer says more about its documents than about their author."""


def render_card(manifest: SampleSetManifest, samples: Iterable[InstructSample]) -> str:
    """The card in Markdown, with Hugging Face's front matter so that `datasets` can load it."""
    grounded, examples = _read(samples)
    return "\n".join(
        [
            *_front_matter(manifest),
            f"# Samples of {manifest.author_name}",
            "",
            f"Version `{manifest.version}` of recipe `{manifest.recipe}`, made from index "
            f"`{manifest.index_fingerprint}`. Each sample carries the ids of its document, "
            f"revision and chunks. {_origin(manifest)}",
            "",
            *_table(manifest, grounded),
            "",
            *([f"Mind that {warning}.", ""] if (warning := few_documents(manifest)) else []),
            "Documents are split as a whole. Passages that occur in several documents are kept "
            "once, on the side that is measured on. What is trained on shows passages of training "
            "documents only.",
            "",
            *_copies(manifest),
            *_written(manifest),
            *_teacher(manifest),
            *_verdicts(manifest),
            *_rejected(manifest),
            *_left_out(manifest),
            *_redacted(manifest),
            *_examples(examples),
        ]
    )


def few_documents(manifest: SampleSetManifest) -> str:
    """Which splits have fewer than `FEW_DOCUMENTS` documents, and what to do; "" if none has.

    Shares cut exactly would do without this, but would move documents from one split to another
    whenever one is added (`twin.datasets.splits`). A split that is not wanted has no documents.
    """
    held = Counter(manifest.documents.values())
    few = [
        f"the {split.value} split has only {held[split]} of {len(manifest.documents)} documents"
        for split in Split
        if 0 < held[split] < FEW_DOCUMENTS
    ]
    if not few:
        return ""
    return f"{', '.join(few)}: crawl more, or deal them anew with datasets.split_seed"


def _front_matter(manifest: SampleSetManifest) -> list[str]:
    # `datasets` cannot read a Parquet file without rows, so empty splits are not offered.
    held = [split.value for split in Split if manifest.counts[INSTRUCT][split.value]]
    files = [f"  - {{split: {name}, path: {INSTRUCT}/{name}.parquet}}" for name in held]
    lines = [f"- config_name: {INSTRUCT}", "  data_files:", *files]
    return ["---", "configs:", *lines, "---", ""]


def _read(
    samples: Iterable[InstructSample],
) -> tuple[Counter[Split], dict[Maker, list[InstructSample]]]:
    """How many samples of each split show passages, and some of each maker that are trained on."""
    grounded: Counter[Split] = Counter()
    examples: dict[Maker, list[InstructSample]] = {maker: [] for maker in Maker}
    for sample in samples:
        grounded[sample.split] += bool(sample.context)
        if sample.split is Split.TRAIN and len(examples[sample.maker]) < _SHOWN:
            examples[sample.maker].append(sample)
    return grounded, examples


def _table(manifest: SampleSetManifest, grounded: Mapping[Split, int]) -> list[str]:
    lines = [
        "| split | documents | samples | of them grounded |",
        "|---|---|---|---|",
    ]
    for split in Split:
        documents = sum(1 for place in manifest.documents.values() if place is split)
        instruct = manifest.counts[INSTRUCT][split.value]
        lines.append(f"| {split.value} | {documents} | {instruct} | {grounded[split]} |")
    return lines


def _origin(manifest: SampleSetManifest) -> str:
    name = manifest.author_name
    passages = (
        f"Answers are passages by {name}, word for word; their instructions come from titles, "
        "headings and the passages' key phrases."
    )
    if manifest.written:
        questions = sum(manifest.written.values())
        passages += f" {questions} questions were written with their answers."
    if edited := manifest.verdicts.get(ANSWER_EDITED):
        passages += f" {edited} answers were edited by people."
    if manifest.teacher is None:
        return f"{passages} No other model wrote any of them."
    return f"{passages} {_taught(manifest.teacher)}"


def _taught(teacher: TeacherRecord) -> str:
    """What the teacher wrote, in a sentence."""
    wrote = {
        TeacherKind.INSTRUCTION: "the instruction of",
        TeacherKind.QUESTION: "question and answer of",
        TeacherKind.REWRITE: "the plain text of",
    }
    parts = [
        f"{what} {count}"
        for kind, what in wrote.items()
        if (count := teacher.samples.get(kind.value))
    ]
    return f"The model {teacher.model} wrote {', '.join(parts) or 'nothing that is used'}."


def _copies(manifest: SampleSetManifest) -> list[str]:
    shares = ", ".join(f"{share:.1%} of {split}" for split, share in manifest.copy_share.items())
    return [f"Samples whose prompt shows their answer verbatim: {shares}.", ""]


def _written(manifest: SampleSetManifest) -> list[str]:
    lines = []
    for head, counts in (
        ("Written questions, by what they ask for:", manifest.written),
        ("Written questions that are not used:", manifest.set_aside),
    ):
        if counts:
            lines += [head, "", *(f"- {name}: {n}" for name, n in sorted(counts.items())), ""]
    if manifest.withheld:
        lines += [
            f"{manifest.withheld} of them are asked once more without the passages that answer "
            "them; the answer is the refusal.",
            "",
        ]
    return lines


def _teacher(manifest: SampleSetManifest) -> list[str]:
    teacher = manifest.teacher
    if teacher is None:
        return []
    money = "" if teacher.money is None else f", {teacher.money:g} by the recipe's prices"
    ended = " The budget ended before all was asked." if teacher.budget_ended else ""
    lines = [f"- {outcome}: {count}" for outcome, count in teacher.outcomes.items()]
    return [
        f"What {teacher.model} was asked for ({teacher.tokens:,} tokens{money}).{ended}",
        "",
        *lines,
        "",
    ]


def _rejected(manifest: SampleSetManifest) -> list[str]:
    if not manifest.rejected:
        return []
    lines = [f"- {reason}: {count}" for reason, count in manifest.rejected.items()]
    return [f"Samples that did not pass a gate (each is in `{REJECTED}`):", "", *lines, ""]


def _verdicts(manifest: SampleSetManifest) -> list[str]:
    lines = []
    for head, counts in (
        ("What people have said of samples:", manifest.verdicts),
        ("Samples that people have left out:", manifest.refused),
    ):
        if counts:
            lines += [head, "", *(f"- {name}: {n}" for name, n in counts.items()), ""]
    return lines


def _left_out(manifest: SampleSetManifest) -> list[str]:
    if not manifest.skipped:
        return []
    lines = [f"- {reason}: {count}" for reason, count in sorted(manifest.skipped.items())]
    return ["Chunks left out:", "", *lines, ""]


def _redacted(manifest: SampleSetManifest) -> list[str]:
    if not manifest.redacted:
        return ["No personal data was found, or none was looked for.", ""]
    lines = [f"- `[{kind}]`: {count}" for kind, count in manifest.redacted.items()]
    return ["Personal data replaced by a placeholder, by places in passages:", "", *lines, ""]


def _examples(samples: Mapping[Maker, Iterable[InstructSample]]) -> list[str]:
    """Some samples of each maker."""
    lines = ["## Examples", ""]
    for sample in chain(*samples.values()):
        shown = f"{len(sample.context)} passages shown" if sample.context else "from memory"
        kind = shown if sample.maker is Maker.PASSAGE else f"{sample.maker.value}, {shown}"
        quoted = sample.answer.replace("\n", "\n> ")
        lines += [f"**{sample.instruction}** ({kind}; from “{sample.title}”)", "", f"> {quoted}"]
        lines.append("")
    return lines
