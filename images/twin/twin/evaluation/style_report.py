"""The block of a report on the author's hand: what was learned, how well it tells, who scores what.

``report.json`` holds it as ``style``; `style_findings` makes it.
"""

from pydantic import BaseModel, ConfigDict, Field

from twin.evaluation.resampling import Estimate


class Separation(BaseModel):
    """How well a measure tells the author's test documents from authors that it has not seen.

    ``auc`` is over pieces of some eighty words and ``auc_documents`` over whole documents and
    authors: the chance that the author's scores higher than the other's. ``missed`` is the share of
    the author's pieces that count as others', ``mistaken`` that of others' that count as the
    author's, at even odds. Intervals are over documents and authors.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    pieces: int
    other_pieces: int
    auc: Estimate
    auc_documents: Estimate
    missed: Estimate
    mistaken: Estimate


class StyleMeasure(BaseModel):
    """One measure of the author's hand.

    ``scores`` is keyed by candidate, base, champion and reference (if there are) and author: how
    likely what they wrote is the author's, from 0 to 1. What a model copied does not count for it.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    label: str
    separation: Separation | None = Field(description="None: too little was held out to tell")
    scores: dict[str, Estimate]


class StylePoint(BaseModel):
    """What one wrote about one group of documents: measure to how likely it is the author's.

    ``who`` is as in `StyleMeasure.scores`, or ``others`` for an author that was left out.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    who: str
    scores: dict[str, float]


class StyleReport(BaseModel):
    """Whether the models write like the author, whatever they write about.

    Where ``absent`` says why there is none, everything after it is empty.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    absent: str = ""
    language: str = ""
    words: int = Field(default=0, description="of the author's, that it was learned from")
    other_words: int = 0
    others: tuple[str, ...] = Field(default=(), description="whom it was learned against")
    left_out: tuple[str, ...] = Field(default=(), description="others that it is checked with")
    measures: tuple[StyleMeasure, ...] = ()
    points: tuple[StylePoint, ...] = ()
