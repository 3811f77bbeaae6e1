"""The section `retrieval:` of a recipe."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from twin.recipes.places import RELATIVE, ModelName
from twin.recipes.section import Fraction, Section
from twin.text.personal_data import PersonalDataKind


class RetrievalSection(Section):
    """How the passages for a question are found, chosen and shown.

    The defaults were chosen by `make bench-retrieval` on one set of questions and measured on
    another (332, in other words than the passage's, and keywords): nDCG@10 of dense alone 0.486, of
    BM25 alone 0.416, of both by reciprocal rank 0.500, by the weights below 0.551, which is 0.065
    more than dense alone (95 % interval 0.039 to 0.092). BM25's own constants, a vector mixed with
    its neighbours' and other chunk sizes made no difference.

    ``rerank: maxsim`` finds more still (0.587, which is 0.036 [0.016, 0.056] more). It is off
    because twenty passages that it has not met make a question wait 0.3 s on two idle cores, and
    longer on busy ones. It keeps what it has encoded, and then takes 10 ms: a recipe with some
    hundred passages should turn it on. What the demo's language model adds is not proven, at many
    seconds a question (24 of them, on busy cores): other wordings -0.026 [-0.060, 0.000], a likely
    answer -0.022 [-0.053, 0.003], reranking 0.023 [-0.030, 0.077]. A larger model may do better;
    measure it.
    """

    arms: Literal["hybrid", "dense", "sparse"] = "hybrid"
    fusion: Literal["weighted", "rrf"] = Field(
        default="weighted",
        description="how dense and sparse hits become one list: by their scores, each arm's scaled "
        "to 0..1, or by reciprocal rank",
    )
    dense_weight: Fraction = Field(
        default=0.7,
        description="of the dense arm in the weighted fusion, where no passage holds a word of the "
        "question",
    )
    dense_weight_matched: Fraction = Field(
        default=0.3,
        description="of the same where one passage holds every word of the question, as for names "
        "and error codes; between the two by the square of the share that is held",
    )
    candidates: int = Field(
        default=50, ge=1, le=1_000, description="chunks that each arm brings to the fusion"
    )
    self_query: bool = Field(
        default=True,
        description='read filters from the question by rules ("since March 2024")',
    )
    expansion: Literal["off", "multi_query", "hyde"] = Field(
        default="off", description="ask a language model for other wordings, or for a likely answer"
    )
    expansion_queries: PositiveInt = Field(default=3, description="other wordings asked for")
    parts: PositiveInt = Field(
        default=1,
        le=8,
        description="questions that a question in several parts is searched by, at most; each part "
        "by itself, told by rules. 1: it is searched as a whole, since what parts gain is not "
        "proven: tests/bench/test_parts.py measures it",
    )
    follow_ups: bool = Field(
        default=True,
        description='search a later turn that does not stand alone ("and why?") with the question '
        "that it goes on from; otherwise by its own words, and it is always answered",
    )
    rerank: ModelName = Field(
        default="off",
        min_length=1,
        description="off, maxsim (the embedder's own token vectors), trained (what `twin features "
        "train-reranker` has made, where it wins), language-model, or a sentence-transformers "
        f"cross-encoder: a folder ({RELATIVE}) or hub id",
    )
    rerank_candidates: PositiveInt = Field(default=20, description="best chunks that are reranked")
    mmr_lambda: Fraction = Field(
        default=1.0, description="1: by relevance alone; lower: passages less alike"
    )
    context: Literal["chunk", "neighbours", "parent"] = Field(
        default="chunk",
        description="what is shown of a hit: itself, with the chunks beside it, "
        "or the section that it is in",
    )
    neighbours: PositiveInt = Field(default=1, description="chunks shown to each side of a hit")
    leave_out: tuple[PersonalDataKind, ...] = Field(
        default=(),
        description="passages that hold personal data of these kinds are neither found nor shown, "
        "e.g. SECRET_KEY; names are those of datasets.personal_data",
    )
    min_score: float | None = Field(
        default=None,
        ge=0.0,
        le=1.0,
        description="cosine of the best passage below which the answer is that the texts say "
        "nothing of it; 0: never; none: as it was found when the index was built",
    )
    dont_know: str = Field(default="I have not written about that.", min_length=1)

    @model_validator(mode="after")
    def _threshold_has_its_arm(self) -> "RetrievalSection":
        if self.min_score and self.arms == "sparse":
            raise ValueError("min_score is a cosine: it needs arms = hybrid or dense")
        return self

    @model_validator(mode="after")
    def _no_more_is_reranked_than_found(self) -> "RetrievalSection":
        if self.rerank != "off" and self.rerank_candidates > 2 * self.candidates:
            raise ValueError("rerank_candidates exceeds what the arms bring: raise candidates")
        return self
