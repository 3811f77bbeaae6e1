"""What a model wrote and how likely it found the author's words: all that must be computed.

Base and champion meet the same test samples again and again, so transcripts are kept in the file
store under a hash of everything that decides them: weights, prompts, passages, and how to write.
"""

import gc
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from twin.evaluation.held_out import HeldOut
from twin.models.language_model import LanguageModel, SamplingParams, load_language_model
from twin.settings import Settings
from twin.stores.files import FileStore

#: 2: the repetition penalty spares the prompt's words.
FORMAT = 2
#: Samples between two steps of the progress bar; the model batches within.
_BATCH = 8

log = structlog.get_logger("twin")


class Transcript(BaseModel):
    """Per held-out sample, in order: the model's answer, and the author's passage scored.

    ``scored`` holds the sum of the log-probabilities (nats) of the passage's tokens, and their
    number.
    """

    # A broken model's likelihoods may be no numbers.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    answers: tuple[str, ...]
    scored: tuple[tuple[float, int], ...]


def transcript_of(
    weights_digest: str,
    weights: Callable[[], Path],
    held_out: HeldOut,
    params: SamplingParams,
    *,
    settings: Settings,
    files: FileStore,
    advance: Callable[[int], None],
) -> Transcript:
    """The transcript of the model with these weights: from the file store, or made and kept.

    ``weights`` gives the local folder and is called only if the model must run. The model is
    let go of before this returns, so that one model at a time is in memory.
    """
    path = f"evaluation/transcripts/{_key(weights_digest, held_out, params)}.json"
    if (known := _read(files, path)) is not None:
        advance(len(held_out.samples))
        return known
    model = load_language_model(weights(), settings)
    made = transcribe(model, held_out, params, advance)
    del model
    gc.collect()
    files.write_text(path, made.model_dump_json())
    return made


def transcribe(
    model: LanguageModel,
    held_out: HeldOut,
    params: SamplingParams,
    advance: Callable[[int], None],
) -> Transcript:
    """Let the model answer every prompt, and score the author's passages."""
    answers: list[str] = []
    scored: list[tuple[float, int]] = []
    for start in range(0, len(held_out.samples), _BATCH):
        conversations = held_out.conversations[start : start + _BATCH]
        passages = held_out.passages[start : start + _BATCH]
        answers += [made.text for made in model.generate_batch(conversations, params)]
        scored += model.answer_log_likelihood(conversations, passages)
        advance(len(passages))
    return Transcript(answers=tuple(answers), scored=tuple(scored))


def _key(weights_digest: str, held_out: HeldOut, params: SamplingParams) -> str:
    """SHA-256 of everything that decides a transcript."""
    parts = {
        "format": FORMAT,
        "weights": weights_digest,
        "conversations": held_out.conversations,
        "passages": held_out.passages,
        "params": asdict(params),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _read(files: FileStore, path: str) -> Transcript | None:
    """A kept transcript; one that cannot be read is as good as none."""
    if not files.exists(path):
        return None
    try:
        return Transcript.model_validate_json(files.read_text(path))
    except ValidationError:
        log.warning("unreadable transcript made again", path=path)
        return None
