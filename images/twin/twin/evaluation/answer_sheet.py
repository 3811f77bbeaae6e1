"""What each model answered, question by question: ``answers.json`` beside the report.

It is what versions are compared by that were never measured together. It holds what models wrote,
and of the author's texts nothing but which samples they are: those are read from the data set, so
that a document that is forgotten there is not kept here.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from twin.evaluation.held_out import HeldOut
from twin.evaluation.transcripts import Transcript
from twin.models.language_model import Message


class SheetRow(BaseModel):
    """One question.

    Attributes:
        sample: id of the test sample.
        document: id of the one that it was made from, and is forgotten with.
        group: of documents that it belongs to.
        asked: digest of the prompt and of the author's passage.
        answers: role to what that model wrote.
        scored: role to the log-probability (nats) of the passage's tokens, and their number.
        kept: role to the key under which the answer is kept with what the model was shown.
    """

    # A broken model's likelihoods may be no numbers.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    sample: str
    document: str
    group: str
    asked: str
    answers: dict[str, str]
    scored: dict[str, tuple[float, int]]
    kept: dict[str, str] = {}


class AnswerSheet(BaseModel):
    """All questions of an evaluation, with the data set whose test samples they are."""

    model_config = ConfigDict(frozen=True)

    dataset_version: str
    rows: tuple[SheetRow, ...]


def sheet_of(
    dataset_version: str, held_out: HeldOut, transcripts: Mapping[str, Transcript]
) -> AnswerSheet:
    """The sheet of transcripts, by role, of the held-out samples."""
    shown = zip(held_out.samples, held_out.groups, held_out.conversations, strict=True)
    rows = (
        SheetRow(
            sample=sample.id,
            document=sample.document_id,
            group=group,
            asked=digest_of_question(conversation, sample.answer),
            answers={role: made.answers[place] for role, made in transcripts.items()},
            scored={role: made.scored[place] for role, made in transcripts.items()},
            kept={
                role: made.served[place].key for role, made in transcripts.items() if made.served
            },
        )
        for place, (sample, group, conversation) in enumerate(shown)
    )
    return AnswerSheet(dataset_version=dataset_version, rows=tuple(rows))


def digest_of_question(conversation: Sequence[Message], passage: str) -> str:
    """What two answers must have in common to be compared: the prompt and the author's passage."""
    said = json.dumps([list(conversation), passage], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:24]
