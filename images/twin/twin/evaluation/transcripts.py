"""What a model wrote and how likely it found the author's words: all that must be computed.

Both are kept in the file store, answer by answer (`twin.stores.kept_answers`) and a few scores at a
time (`scores`), under all that decides them: what was computed before is not computed again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pydantic import BaseModel, ConfigDict

from twin.evaluation.held_out import HeldOut
from twin.evaluation.scores import Score, score_texts
from twin.evaluation.served_answers import Contestant, Task, answers_of, questions_of
from twin.evaluation.site import Site
from twin.rag.prompt import format_passage
from twin.stores.files import FileStore
from twin.stores.kept_answers import KeptAnswer


class Transcript(BaseModel):
    """Per held-out sample, in order: the model's answer, and the author's passage scored.

    Attributes:
        answers: what the model wrote.
        scored: the sum of the log-probabilities (nats) of the passage's tokens, and their number.
        served: the answers with what the model was shown; empty where that is no longer known.
    """

    # A broken model's likelihoods may be no numbers.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    answers: tuple[str, ...]
    scored: tuple[Score, ...]
    served: tuple[KeptAnswer, ...] = ()

    def as_shown(self, held_out: HeldOut) -> HeldOut:
        """The questions with the passages that the model was shown in place of the data set's."""
        samples = tuple(
            sample.model_copy(update={"context": passages})
            for sample, passages in zip(held_out.samples, self.shown(held_out), strict=True)
        )
        return replace(held_out, samples=samples)

    def shown(self, held_out: HeldOut) -> list[tuple[str, ...]]:
        """The passages that the model was shown with each question, as its prompt has them.

        Where that is not known, those of the data set.
        """
        if not self.served:
            return [sample.context for sample in held_out.samples]
        return [tuple(map(format_passage, answer.sources)) for answer in self.served]

    def prompts(self, held_out: HeldOut) -> list[str]:
        """All that was shown with each question, as one text; with the data set's passages."""
        shown = zip(held_out.prompts, self.shown(held_out), strict=True)
        return ["\n".join((prompt, *passages)) for prompt, passages in shown]


def transcript_of(
    contestant: Contestant,
    held_out: HeldOut,
    site: Site,
    files: FileStore,
    advance: Callable[[int], None],
    ahead: Sequence[Task] = (),
) -> Transcript:
    """The transcript of a model: kept from before, or made and kept.

    What it is to write ``ahead`` is written and kept too, so that it is not loaded again for that.

    Raises:
        BadDataError: the weights are no model that can be measured, or a question is refused.
        TryAgainError: the engine or a store fails; what is done is kept.
    """
    pairs = list(zip(held_out.conversations, held_out.passages, strict=True))
    scored = score_texts(
        contestant.digest,
        contestant.weights,
        pairs,
        settings=site.settings,
        files=files,
        advance=advance,
    )
    questions = questions_of(held_out, site.recipe)
    served = answers_of(contestant, [*questions, *ahead], site, advance)
    return written(scored, served[: len(questions)])


def written(scored: Sequence[Score], served: Sequence[KeptAnswer]) -> Transcript:
    """The transcript of these scores and answers."""
    return Transcript(
        answers=tuple(answer.text for answer in served),
        scored=tuple(scored),
        served=tuple(served),
    )
