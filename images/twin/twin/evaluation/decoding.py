"""How a model should write: settings of decoding, chosen on validation questions, told on the test.

The best of many settings is best by luck, too: so they are compared on questions of the validation
split, and what the best one is worth, against what the recipe has now, is measured on the test
split, which chose nothing. It is a suggestion only where that gain is proved.

Quality is the mean of ROUGE-L, semantic similarity and, where passages are shown, faithfulness.
Diversity is the share of different word pairs. A setting whose answers are empty or end in loops
more often than the recipe's gate allows is not chosen, and neither is one that the recipe's engine
does not have: beam search, on most. Of settings that are as good (`TIE`) a faster one is chosen.
Other prompts (`twin.evaluation.prompt_arms`) stand in the same table, written greedily, and are
never chosen.

Sources: A. Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020 (nucleus);
A. Fan et al., "Hierarchical Neural Story Generation", ACL 2018 (top-k); M. Nguyen et al., "Turning
Up the Heat: Min-p Sampling for Creative and Coherent LLM Outputs", ICLR 2025; M. Freitag, Y.
Al-Onaizan, "Beam Search Strategies for Neural Machine Translation", 2017 (beams).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.evaluation.answers import distinct_pairs
from twin.evaluation.grounding import FAITHFULNESS, grounding
from twin.evaluation.held_out import HeldOut, document_groups, hold_out
from twin.evaluation.meaning import cosine_similarities
from twin.evaluation.overlap import rouge_l
from twin.evaluation.prompt_arms import PROMPTS, PromptArm, asked
from twin.evaluation.resampling import Estimate, Statistic, difference, estimate, mean_of
from twin.evaluation.soundness import examine
from twin.models.embedder import Embedder
from twin.models.language_model import LanguageModel, SamplingParams
from twin.rag.prompt import END_MARKS
from twin.rag.support import SupportVerifier
from twin.recipes import Recipe, ServingSection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEED = 13
PRESENT = "the recipe's"
TOLD = 2
"""Settings that write to the test questions at most: the best, and the recipe's."""

TIE = 0.005
"""Quality by which settings may differ and still count as equally good: what a table rounds off."""
AS_FAST = 0.9
"""Share of the fastest one's speed from which a setting counts as equally fast: clocks vary."""


@dataclass(frozen=True)
class Decoding:
    """Settings of `ServingSection` that say how an answer is drawn."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    beams: int = 1

    def params(self, max_new_tokens: int, repetition_penalty: float) -> SamplingParams:
        """As engines take them."""
        return SamplingParams(
            max_new_tokens=max_new_tokens,
            min_new_tokens=1,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            beams=self.beams,
            repetition_penalty=repetition_penalty,
            seed=SEED,
            stop=END_MARKS,
        )

    @property
    def as_recipe(self) -> dict[str, float]:
        """The keys of ``serving`` that make it so."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "beams": self.beams,
        }

    def is_servable(self, serving: ServingSection) -> bool:
        """Whether the recipe's engine has it."""
        try:
            ServingSection.model_validate(serving.model_dump() | self.as_recipe)
        except ValidationError:
            return False
        return True


CHOICES: Mapping[str, Decoding] = {
    "greedy": Decoding(),
    "temperature 0.7": Decoding(temperature=0.7),
    "nucleus 0.9, cool": Decoding(temperature=0.3, top_p=0.9),
    "nucleus 0.9": Decoding(temperature=0.7, top_p=0.9),
    "nucleus 0.9, hot": Decoding(temperature=1.0, top_p=0.9),
    "top-k 40": Decoding(temperature=0.7, top_k=40),
    "min-p 0.1": Decoding(temperature=0.7, min_p=0.1),
    "min-p 0.1, hot": Decoding(temperature=1.2, min_p=0.1),
    "4 beams": Decoding(beams=4),
}


class Row(BaseModel):
    """What one setting, or one prompt, makes of the same questions.

    ``servable`` says whether it may be chosen: a prompt is not, nor what the engine does not have.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    name: str
    kind: Literal["decoding", "prompt"] = "decoding"
    servable: bool = True
    settings: dict[str, float]
    quality: Estimate
    diversity: Estimate
    broken: float
    tokens_per_second: float


class Study(BaseModel):
    """The settings compared, the best, and what it gains.

    Attributes:
        validation: a row for each setting, best quality first.
        best: name of the one that is chosen.
        test: the chosen one and the recipe's, on the test questions.
        gain: in quality, of the chosen one over the recipe's, there.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    validation: tuple[Row, ...]
    best: str
    test: tuple[Row, ...]
    gain: Estimate

    @property
    def suggestion(self) -> dict[str, float] | None:
        """Keys of the recipe's ``serving``; None if what it has now is not proved to be worse."""
        if self.best == PRESENT or not self.gain.low > 0:
            return None
        return next(row.settings for row in self.test if row.name == self.best)


@dataclass(frozen=True)
class Written:
    """Answers of one setting, measured."""

    row: Row
    quality: Statistic


class Bench:
    """A model, and what its answers are measured by.

    Args:
        model: that writes.
        embedder: for what texts mean.
        recipe: whose refusal, limits and repetition penalty hold.
        advance: is told of each setting that is done.
    """

    def __init__(
        self,
        model: LanguageModel,
        embedder: Embedder,
        recipe: Recipe,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._model = model
        self._advance = advance
        self._embedder = embedder
        self._verifier = SupportVerifier(embedder)
        self._recipe = recipe

    def write(
        self, name: str, decoding: Decoding, held_out: HeldOut, prompt: PromptArm | None = None
    ) -> Written:
        """Answers to all questions by one setting, and by another prompt if one is given.

        ``held_out`` then holds the conversations of that prompt already.
        """
        recipe = self._recipe
        longer = prompt.longer if prompt else 1
        params = decoding.params(
            longer * (recipe.evaluation.max_new_tokens or recipe.serving.max_new_tokens),
            recipe.serving.repetition_penalty,
        )
        began = time.perf_counter()
        made = self._model.generate_batch(held_out.conversations, params)
        seconds = time.perf_counter() - began
        answers = [prompt.answer(each.text) if prompt else each.text for each in made]
        found = examine(answers, held_out.passages)
        quality = self._quality(answers, held_out)
        row = Row(
            name=name,
            kind="prompt" if prompt else "decoding",
            servable=prompt is None and decoding.is_servable(recipe.serving),
            settings=decoding.as_recipe,
            quality=estimate(quality, held_out.groups),
            diversity=estimate(distinct_pairs(answers), held_out.groups),
            broken=(found.empty + found.looping) / found.answers,
            tokens_per_second=sum(each.completion_tokens for each in made) / max(seconds, 1e-9),
        )
        self._advance(1)
        return Written(row, quality)

    def _quality(self, answers: Sequence[str], held_out: HeldOut) -> Statistic:
        import numpy as np

        likeness = [
            mean_of(rouge_l(answers, held_out.passages)),
            mean_of(cosine_similarities(self._embedder, answers, held_out.passages)),
        ]
        grounded = grounding(
            answers,
            held_out.samples,
            self._verifier,
            self._embedder,
            self._recipe.retrieval.dont_know,
        )
        parts = [*likeness, *(each for name, each in grounded.items() if name == FAITHFULNESS)]

        def of(weights: "NDArray[np.float64]") -> "NDArray[np.float64]":
            return np.asarray(np.mean([part.of(weights) for part in parts], axis=0))

        return Statistic(of)


def study(
    bench: Bench,
    validation: HeldOut,
    test: HeldOut,
    recipe: Recipe,
    train: Sequence[InstructSample] = (),
) -> Study:
    """Choose on one set of questions, and tell what the choice gains on another.

    Args:
        bench: writes and measures.
        validation: questions to choose on.
        test: questions to tell on.
        recipe: its settings are what is to be beaten; its gate says how many answers may be broken.
        train: samples from which other prompts take worked examples; without any, no other
            prompts are tried.
    """
    choices = {PRESENT: _decoding_of(recipe.serving), **CHOICES}
    rows = [bench.write(name, each, validation).row for name, each in choices.items()]
    best = chosen(rows, recipe.evaluation.gate.max_broken_share).name
    for name, arm in PROMPTS.items() if train else ():
        shown = asked(arm, validation, recipe.author.name, train, recipe.prompt)
        rows.append(bench.write(name, Decoding(), shown, arm).row)
    names = dict.fromkeys((best, PRESENT))
    told = {name: bench.write(name, choices[name], test) for name in names}
    gain = difference(told[best].quality, told[PRESENT].quality)
    return Study(
        validation=tuple(sorted(rows, key=lambda row: -row.quality.value)),
        best=best,
        test=tuple(each.row for each in told.values()),
        gain=estimate(gain, test.groups),
    )


def chosen(rows: Sequence[Row], limit: float) -> Row:
    """The best of what can be served and breaks no more answers than ``limit``; of equals a faster
    one, and of equally fast ones the best.

    What the recipe has now counts whatever it breaks: it is served already.
    """
    sound = [row for row in rows if row.servable and (row.broken <= limit or row.name == PRESENT)]
    best = max(row.quality.value for row in sound)
    equals = [row for row in sound if best - row.quality.value <= TIE]
    fast = AS_FAST * max(row.tokens_per_second for row in equals)
    return max(
        (row for row in equals if row.tokens_per_second >= fast), key=lambda row: row.quality.value
    )


def questions_of(
    samples: Sequence[InstructSample], split: Split, recipe: Recipe, most: int
) -> HeldOut:
    """Questions of a split, evenly over groups of documents.

    Raises:
        BadDataError: the split has none.
    """
    if not samples:
        raise BadDataError(
            f"the data set has no samples of the {split.value} split: crawl more documents, or "
            "raise its share in datasets, then run twin datasets make"
        )
    groups = document_groups(samples)
    return hold_out(
        samples, groups, recipe.author.name, max_samples=most, seed=recipe.evaluation.seed,
        split=split, prompt=recipe.prompt,
    )  # fmt: skip


def _decoding_of(serving: ServingSection) -> Decoding:
    return Decoding(serving.temperature, serving.top_p, serving.top_k, serving.min_p, serving.beams)
