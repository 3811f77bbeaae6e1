"""How likely a model finds texts, kept in the file store so that no text is scored twice.

A few scores make a file, written as soon as they are there, so that a killed evaluation goes on
where it was, and several processes may score at once.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from twin.models.language_model import LanguageModel, Message, load_language_model, release_memory
from twin.settings import Settings
from twin.stores.files import FileStore

FOLDER = "evaluation/scores"
FORMAT = 3
BATCH = 8
"""Texts scored between two files and two steps of the progress bar; the model batches within."""

Score = tuple[float, int]
"""Sum of the log-probabilities (nats) of a text's tokens, and their number."""

log = structlog.get_logger("twin")


class KeptScores(BaseModel):
    """Scores by the key of their texts."""

    # A broken model's likelihoods may be no numbers.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    scores: dict[str, Score]


def score_texts(
    weights_digest: str,
    weights: Callable[[], Path],
    texts: Sequence[tuple[Sequence[Message], str]],
    *,
    settings: Settings,
    files: FileStore,
    advance: Callable[[int], None],
) -> list[Score]:
    """The score of each text as the answer to its conversation: kept, or made and kept.

    The model is let go of before this returns, so that one model at a time is in memory.

    Args:
        weights_digest: of the model.
        weights: gives its local folder; called only if the model must run.
        texts: conversations, each with what is scored as its answer.
        settings: of this machine.
        files: where scores are kept.
        advance: is told how many more texts are done.

    Raises:
        BadDataError: the weights are no model, or compute no numbers.
    """
    keys = [_key(conversation, text) for conversation, text in texts]
    folder = f"{FOLDER}/{weights_digest[:32]}"
    known = _read(files, folder)
    first = {key: place for place, key in reversed(list(enumerate(keys)))}
    missing = [place for key, place in sorted(first.items(), key=lambda item: item[1])
               if key not in known]  # fmt: skip
    advance(len(keys) - len(missing))
    if missing:
        model = load_language_model(weights(), settings)
        for start in range(0, len(missing), BATCH):
            places = missing[start : start + BATCH]
            made = _score(model, [texts[place] for place in places])
            batch = dict(zip((keys[place] for place in places), made, strict=True))
            name = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:32]
            files.write_text(f"{folder}/{name}.json", KeptScores(scores=batch).model_dump_json())
            known |= batch
            advance(len(places))
        del model
        release_memory()
    return [known[key] for key in keys]


def _score(model: LanguageModel, texts: Sequence[tuple[Sequence[Message], str]]) -> list[Score]:
    conversations = [conversation for conversation, _ in texts]
    return model.answer_log_likelihood(conversations, [text for _, text in texts])


def _key(conversation: Sequence[Message], text: str) -> str:
    said = json.dumps([FORMAT, list(conversation), text], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _read(files: FileStore, folder: str) -> dict[str, Score]:
    """What is kept; a file that cannot be read is as good as none."""
    known: dict[str, Score] = {}
    for name in filter(lambda each: each.endswith(".json"), files.names(folder)):
        try:
            known |= KeptScores.model_validate_json(files.read_bytes(f"{folder}/{name}")).scores
        except ValidationError:
            log.warning("unreadable scores are made again", path=f"{folder}/{name}")
    return known
