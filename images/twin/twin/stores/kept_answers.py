"""What models have written in evaluations, answer by answer, in the file store.

Base and champion meet the same questions again and again, and a killed evaluation goes on where it
was: each answer is a file of its own from the moment it is there, named by a digest of everything
that decides it. Any number of processes may keep answers at once; what two of them keep under one
name is the same. An answer goes with the documents that it was written from.
"""

from collections.abc import Collection

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twin.domain.answer import Passage
from twin.stores.files import FileStore

FOLDER = "evaluation/answers"

log = structlog.get_logger("twin")


class KeptAnswer(BaseModel):
    """An answer, with what its model was shown and how long it took."""

    model_config = ConfigDict(frozen=True)

    key: str = Field(description="digest of everything that decides the answer")
    text: str
    finish_reason: str = Field(description="stop, or length where the budget of tokens ended it")
    prompt_tokens: int = Field(ge=0)
    answer_tokens: int = Field(ge=0)
    first_word_seconds: float = Field(ge=0, description="from the question to the first word")
    seconds: float = Field(ge=0, description="from the question to the whole answer")
    together: int = Field(ge=1, description="answers that were written at once")
    sources: tuple[Passage, ...] = Field(default=(), description="what the model was shown")
    expected: str = Field(
        default="", description="of a text that was to be gone on with: how it goes on"
    )
    about: tuple[str, ...] = Field(description="ids of the documents that it is forgotten with")


class KeptAnswers:
    """All answers that are kept.

    ``written`` counts those that were kept through this object.
    """

    def __init__(self, files: FileStore) -> None:
        self._files = files
        self.written = 0

    def find(self, key: str) -> KeptAnswer | None:
        """The answer of this key; one that cannot be read is as good as none."""
        path = f"{FOLDER}/{key}.json"
        if not self._files.exists(path):
            return None
        try:
            return KeptAnswer.model_validate_json(self._files.read_bytes(path))
        except ValidationError:
            log.warning("an unreadable answer is written again", path=path)
            return None

    def keep(self, answer: KeptAnswer) -> None:
        """Keep an answer, whole or not at all."""
        self._files.write_text(f"{FOLDER}/{answer.key}.json", answer.model_dump_json())
        self.written += 1

    def forget(self, document_ids: Collection[str]) -> int:
        """Erase the answers that were written from these documents; returns how many.

        One that cannot be read is erased too: nobody can tell what it holds.
        """
        gone = set(document_ids)
        keys = [name.removesuffix(".json") for name in self._files.names(FOLDER)]
        erased = 0
        for key in keys:
            answer = self.find(key)
            if answer is None or gone & set(answer.about):
                self._files.remove(f"{FOLDER}/{key}.json")
                erased += 1
        return erased
