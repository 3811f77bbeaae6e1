"""The texts that a base model is trained on from nothing, and those that it is measured on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample, Split
from twin.recipes.places import BESIDE_RECIPE
from twin.stores.sample_sets import SampleSets

ENDINGS = (".md", ".txt")


@dataclass(frozen=True)
class Texts:
    """Documents to learn and documents to measure perplexity on; none is in both."""

    learned: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 (first 12 hex digits) of all of it."""
        content = json.dumps([self.learned, self.held_out])
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def texts_of_folder(folder: Path, held_out_share: float, seed: int) -> Texts:
    """The files of a folder and of those in it; a share of them is held out.

    A folder of one file has the end of its text held out.

    Raises:
        BadDataError: no such folder, no text in it, or a file that is no UTF-8.
    """
    if not folder.is_dir():
        raise BadDataError(f"training.own_base.corpus: {folder} is no folder {BESIDE_RECIPE}")
    paths = [path for path in folder.rglob("*") if path.suffix in ENDINGS and path.is_file()]
    named = {path.relative_to(folder).as_posix(): _read(path) for path in paths}
    texts = {name: text for name, text in named.items() if text.strip()}
    if not texts:
        raise BadDataError(f"{folder} holds no text: files ending with {' or '.join(ENDINGS)}")
    if len(texts) == 1:
        (text,) = texts.values()
        end = round(len(text) * (1 - held_out_share))
        return Texts((text[:end],), (text[end:],))
    drawn = sorted(texts, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    count = max(1, round(held_out_share * len(drawn)))
    held_out = set(drawn[:count])
    return Texts(
        tuple(texts[name] for name in sorted(texts) if name not in held_out),
        tuple(texts[name] for name in sorted(held_out)),
    )


def texts_of_samples(sets: SampleSets) -> Texts:
    """The author's passages, word for word, of the newest samples: those of the training split.

    They are measured on those of the validation split. The test split is no model's to learn.

    Raises:
        BadDataError: there are no samples, or no passages in a split.
    """
    version = sets.latest().version
    learned, held_out = (
        _passages(sets.instruct(version, split)) for split in (Split.TRAIN, Split.VALIDATION)
    )
    if not learned or not held_out:
        lacking = "validation" if learned else "training"
        raise BadDataError(
            f"the {lacking} split of samples {version} has no passage of the author: name a folder "
            "of texts in training.own_base.corpus"
        )
    return Texts(learned, held_out)


def _passages(samples: Sequence[InstructSample]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(sample.answer for sample in samples if sample.is_verbatim))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"{path} can't be read: {error}") from None
