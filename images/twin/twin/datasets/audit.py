"""An audit of a data set: what would spoil a model that is trained on it, with examples."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from twin.datasets.audit_rows import Row
from twin.datasets.audit_texts import (
    has_special_token,
    holds_personal_data,
    is_in_another_language,
    is_unfilled,
    speaks_as_assistant,
)
from twin.domain.length_bias import length_auc
from twin.domain.sample import Split
from twin.domain.written import plain
from twin.rag.support import SupportVerifier
from twin.recipes.datasets import AuditSection

EXAMPLES = 5
"""Rows that are named for each finding."""

VERIFIED = 400
"""Rows whose answers are verified by the passages that they show: some milliseconds each."""

SHINGLE = 8
"""Words in a row that count as copied, as for the house's own passages."""

NEAR = 0.5
"""Share of an answer's shingles in held-out answers above which it is nearly one of them."""


class Finding(BaseModel):
    """A figure, the limit it has to keep to, and where to look."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    limit: float
    examples: tuple[str, ...] = Field(default=(), description="file and row of some")

    @property
    def passed(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit


class AuditReport(BaseModel):
    """What an audit found."""

    model_config = ConfigDict(frozen=True)

    rows: dict[str, int] = Field(description="split to rows; rows of no known split are other")
    pairs: int
    length_auc: float | None = Field(
        description="chance that the chosen text is the longer one; None without pairs"
    )
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> list[Finding]:
        """What passes its limit."""
        return [finding for finding in self.findings if not finding.passed]


@dataclass(frozen=True)
class _Held:
    """What the rows that are measured on hold."""

    answers: set[str]
    instructions: set[str]
    sources: set[str]
    shingles: set[tuple[str, ...]]


def audit(
    rows: Sequence[Row],
    limits: AuditSection,
    *,
    verifier: SupportVerifier | None = None,
    refusal: str = "",
) -> AuditReport:
    """Audit rows of one data set; its cost and memory grow with its words.

    Args:
        rows: of all splits.
        limits: of the recipe.
        verifier: of support; None where no row shows passages.
        refusal: the right answer where the passages say nothing, which nothing has to support.
    """
    pairs = [row for row in rows if row.rejected is not None]
    auc = length_auc([(len(row.answer), len(row.rejected or "")) for row in pairs])
    train, held = _sides(rows)
    equal = [row for row in pairs if plain(row.answer) == plain(row.rejected or "")]
    findings = (
        _share(
            "share of answers that stand verbatim in their prompt", rows, _copied, limits.copies
        ),
        _share("share of samples that occur twice", rows, _repeats(rows), limits.duplicates),
        _share("share of empty answers", rows, lambda row: not row.answer.strip(), limits.empty),
        _count("placeholders that nothing was filled into", filter(is_unfilled, rows), limits),
        _count("special tokens of a model family", filter(has_special_token, rows), limits),
        _count("answers that speak as an assistant", filter(speaks_as_assistant, rows), limits),
        _share(
            "share of samples that hold personal data",
            rows,
            holds_personal_data(),
            limits.personal_data,
        ),
        _share(
            "share of answers in another language than most",
            rows,
            is_in_another_language(rows),
            limits.other_languages,
        ),
        _unsupported(rows, verifier, refusal, limits.unsupported),
        _count("pairs whose texts are equal", equal, limits),
        _count("training answers that are held out too", _leaks(train, held, _same_answer), limits),
        _count(
            "training instructions that are held out too", _leaks(train, held, _same_ask), limits
        ),
        _count("training answers that are nearly held out", _leaks(train, held, _near), limits),
        _count("training rows of held-out sources", _leaks(train, held, _same_source), limits),
        Finding(
            name="how far length alone tells chosen from rejected (0 not at all, 0.5 always)",
            value=round(abs((auc if auc is not None else 0.5) - 0.5), 4),
            limit=limits.length_bias,
        ),
    )
    counts = Counter(row.split.value if row.split else "other" for row in rows)
    return AuditReport(
        rows=dict(sorted(counts.items())), pairs=len(pairs), length_auc=auc, findings=findings
    )


def render_audit(report: AuditReport) -> str:
    """The report in Markdown."""
    rows = ", ".join(f"{count} {split}" for split, count in report.rows.items())
    lines = [f"# Audit of {sum(report.rows.values())} rows ({rows}; {report.pairs} pairs)", ""]
    if report.length_auc is not None:
        lines += [f"AUC of length alone: {report.length_auc:.2f}.", ""]
    lines += ["| what | found | limit | verdict |", "|---|---|---|---|"]
    for each in report.findings:
        verdict = "kept" if each.passed else "**passed over**"
        lines.append(f"| {each.name} | {each.value:g} | {each.limit:g} | {verdict} |")
    shown = [each for each in report.findings if each.examples]
    for each in shown:
        lines += ["", f"{each.name}, for instance:", "", *(f"- {place}" for place in each.examples)]
    return "\n".join(lines)


def _share(name: str, rows: Sequence[Row], is_one: Callable[[Row], bool], limit: float) -> Finding:
    those = [row for row in rows if is_one(row)]
    return Finding(
        name=name,
        value=round(len(those) / len(rows), 4) if rows else 0.0,
        limit=limit,
        examples=tuple(row.place for row in those[:EXAMPLES]),
    )


def _count(name: str, rows: Iterable[Row], limits: AuditSection) -> Finding:
    places = [row.place for row in rows]
    return Finding(
        name=name, value=len(places), limit=limits.faults, examples=tuple(places[:EXAMPLES])
    )


def _unsupported(
    rows: Sequence[Row], verifier: SupportVerifier | None, refusal: str, limit: float
) -> Finding:
    shown = [row for row in rows if row.passages and plain(row.answer) != plain(refusal)]
    # Evenly spread, so that the first file is not all that is looked at.
    drawn = shown[:: -(-len(shown) // VERIFIED)] if verifier else []
    sentences, places = 0, {}
    for row in drawn:
        verdicts = verifier.verify(row.answer, row.passages) if verifier else []
        sentences += len(verdicts)
        if missing := sum(not verdict.is_supported for verdict in verdicts):
            places[row.place] = missing
    return Finding(
        name="share of sentences that no passage shown supports",
        value=round(sum(places.values()) / sentences, 4) if sentences else 0.0,
        limit=limit,
        examples=tuple(places)[:EXAMPLES],
    )


def _copied(row: Row) -> bool:
    answer = plain(row.answer)
    return bool(answer) and answer in plain(row.prompt)


def _repeats(rows: Sequence[Row]) -> Callable[[Row], bool]:
    """Whether a row says the same as an earlier one."""
    first: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        first.setdefault(_said(row), row)
    return lambda row: first[_said(row)] is not row


def _said(row: Row) -> tuple[str, str, str]:
    return plain(row.prompt).casefold(), plain(row.answer).casefold(), plain(row.rejected or "")


def _sides(rows: Sequence[Row]) -> tuple[list[Row], _Held]:
    by_split: dict[Split | None, list[Row]] = defaultdict(list)
    for row in rows:
        by_split[row.split].append(row)
    held = [*by_split[Split.VALIDATION], *by_split[Split.TEST]]
    shingles: set[tuple[str, ...]] = set()
    for row in held:
        shingles |= _shingles(row.answer)
    return by_split[Split.TRAIN], _Held(
        answers={_key(row.answer) for row in held if _telling(row.answer)},
        instructions={_key(row.instruction) for row in held if _telling(row.instruction)},
        sources={row.source for row in held if row.source},
        shingles=shingles,
    )


def _leaks(train: Sequence[Row], held: _Held, leaks: Callable[[Row, _Held], bool]) -> Iterable[Row]:
    return (row for row in train if leaks(row, held))


def _same_answer(row: Row, held: _Held) -> bool:
    return _key(row.answer) in held.answers


def _same_ask(row: Row, held: _Held) -> bool:
    return _key(row.instruction) in held.instructions


def _same_source(row: Row, held: _Held) -> bool:
    return row.source in held.sources


def _near(row: Row, held: _Held) -> bool:
    shingles = _shingles(row.answer)
    if not shingles or _same_answer(row, held):
        return False
    return len(shingles & held.shingles) / len(shingles) > NEAR


def _telling(text: str) -> bool:
    """Whether a text is long enough that it is not the same by accident ("Yes.", a refusal)."""
    return len(_words(text)) >= SHINGLE


def _key(text: str) -> str:
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
