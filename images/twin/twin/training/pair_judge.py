"""Texts that a judge does not find worse than the author's answer are rejected in no pair.

A right answer in other words, or a better one, teaches the wrong thing when it is rejected; rules
see only what they were written for. The recipe's ``judge`` sees the rest, where it names one.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

from twin.job import Job
from twin.models.engines.remote import RemoteModel
from twin.rag.judge import Comparison, Judge, Winner
from twin.recipes.engines import JudgeSection
from twin.stores.files import FileStore
from twin.stores.kept_replies import KeptReplies
from twin.training.pair_choice import Choice, Reason, Rejected

ORDERS = 2
"""Replies to a comparison: one for each order of its answers."""


def worse_only(
    job: Job, judge: JudgeSection, files: FileStore, replies: str, choices: Sequence[Choice]
) -> tuple[list[Choice], list[Reason]]:
    """The choices with those options only that the judge finds worse than the author's answer.

    Args:
        job: shows progress.
        judge: the recipe's.
        files: keep the replies, so that a retry asks for none of them again.
        replies: their folder.
        choices: what rules have left.

    Returns:
        Choices that have an option left, and why each other option was dropped.
    """
    options = [(choice, option) for choice in choices for option in choice.options]
    with (
        closing(RemoteModel(judge, job.settings.judge_api_key)) as model,
        job.progress("judging", ORDERS * len(options)) as advance,
    ):
        winners = Judge(model, KeptReplies(files, replies)).compare(
            [_comparison(choice, option) for choice, option in options], advance
        )
    worse = {
        (choice.sample.id, option.text)
        for (choice, option), winner in zip(options, winners, strict=True)
        if winner is Winner.FIRST
    }
    better = [
        replace(choice, options=left)
        for choice in choices
        if (left := tuple(o for o in choice.options if (choice.sample.id, o.text) in worse))
    ]
    return better, [_WHY[winner] for winner in winners if winner is not Winner.FIRST]


_WHY = {
    Winner.SECOND: Reason.NOT_WORSE,
    Winner.TIE: Reason.NOT_WORSE,
    Winner.NONE: Reason.NO_VERDICT,
}


def _comparison(choice: Choice, option: Rejected) -> Comparison:
    """The author's answer first, a text of the model second."""
    sample = choice.sample
    return Comparison(sample.instruction, sample.context, sample.answer, option.text)
