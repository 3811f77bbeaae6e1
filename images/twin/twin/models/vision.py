"""Pictures: what is on them in words, and where words are on them; one protocol, optional models.

No model of it is installed or used unless somebody names one: a folder of `transformers` on this
disk, in safetensors. Two kinds are known, by what they are asked for:

* a dual encoder (CLIP, SigLIP: Radford et al., "Learning Transferable Visual Models From Natural
  Language Supervision", ICML 2021) puts pictures and words into one space: classes without training
  and search for a picture by words;
* a model that writes about a picture (BLIP, LLaVA and others): captions and answers.

What a model writes of a picture is data, as every text that is read is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from twin.domain.errors import BadConfigurationError, BadDataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PIXELS = 50_000_000
"""Of a picture; a small file can unfold to more memory than there is."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""That are opened: others have decoders that few people test."""
NEW_TOKENS = 40
"""Of a caption or an answer, at most."""


class PictureSearch(Protocol):
    """Pictures and words in one space."""

    def pictures(self, paths: Sequence[Path]) -> "NDArray[np.float32]":
        """Unit vectors of pictures (shape: pictures by dimension).

        Raises:
            BadDataError: one is no picture, or too large.
        """

    def words(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors of words in the same space (shape: texts by dimension)."""

    def classes(self, path: Path, names: Sequence[str]) -> list[float]:
        """How likely each class is, in their order; the sum is 1.

        Raises:
            BadDataError: it is no picture, or there are fewer than two classes.
        """


class PictureWriter(Protocol):
    """Words about a picture."""

    def caption(self, path: Path) -> str:
        """What is on it."""

    def answer(self, path: Path, question: str) -> str:
        """An answer to a question about it, or about the layout of a page."""


class DualEncoder:
    """A folder with a CLIP-like model.

    Args:
        folder: in safetensors, with processor and tokenizer.

    Raises:
        BadConfigurationError: it is no such model, or a library is missing.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoProcessor

        self._torch = torch
        self._model, self._processor = _loaded(folder, AutoModel, AutoProcessor)
        if not hasattr(self._model, "get_image_features"):
            raise BadConfigurationError(f"{folder}: no model that puts pictures and words together")

    def pictures(self, paths: Sequence[Path]) -> "NDArray[np.float32]":
        """Unit vectors of pictures (shape: pictures by dimension)."""
        given = self._processor(images=[_opened(path) for path in paths], return_tensors="pt")
        return self._unit(self._model.get_image_features, given)

    def words(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Unit vectors of words in the same space (shape: texts by dimension)."""
        given = self._processor(
            text=list(texts), return_tensors="pt", padding=True, truncation=True
        )
        return self._unit(self._model.get_text_features, given)

    def classes(self, path: Path, names: Sequence[str]) -> list[float]:
        """How likely each class is: cosines by the model's own scale, as a softmax."""
        import numpy as np

        if len(names) < 2:
            raise BadDataError("a picture is told from two classes at least")
        scale = float(self._model.logit_scale.detach().exp())
        cosines = scale * (self.words(names) @ self.pictures([path])[0])
        shares = np.exp(cosines - cosines.max())
        return [float(share) for share in shares / shares.sum()]

    def _unit(self, features: Any, given: Any) -> "NDArray[np.float32]":
        with self._torch.inference_mode():
            made = features(**given)
            made = getattr(made, "pooler_output", made)
            vectors: NDArray[np.float32] = self._torch.nn.functional.normalize(
                made.float(), dim=1
            ).numpy()
        return vectors


class Writer:
    """A folder with a model that writes about pictures.

    Args:
        folder: in safetensors, with its processor.

    Raises:
        BadConfigurationError: it is no such model, or a library is missing.
    """

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._torch = torch
        self._model, self._processor = _loaded(folder, AutoModelForImageTextToText, AutoProcessor)

    def caption(self, path: Path) -> str:
        """What is on it."""
        return self._written(path, None)

    def answer(self, path: Path, question: str) -> str:
        """An answer to a question about it."""
        return self._written(path, question)

    def _written(self, path: Path, question: str | None) -> str:
        words = {} if question is None else {"text": question}
        given = self._processor(images=_opened(path), return_tensors="pt", **words)
        with self._torch.inference_mode():
            made = self._model.generate(**given, max_new_tokens=NEW_TOKENS, do_sample=False)
        text: str = self._processor.decode(made[0], skip_special_tokens=True)
        return text.removeprefix(question or "").strip()


def _loaded(folder: Path, model: Any, processor: Any) -> tuple[Any, Any]:
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    if not list(folder.glob("*.safetensors")):
        raise BadConfigurationError(f"{folder}: no folder with a model in safetensors")
    try:
        made = model.from_pretrained(str(folder), local_files_only=True, use_safetensors=True)
        return made.eval(), processor.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadConfigurationError(f"{folder}: not loaded: {reason}") from None


def _opened(path: Path) -> Any:
    """A picture as red, green and blue; of several frames the first."""
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadDataError(f"{path}: a picture of more than {MOST_PIXELS:,} pixels")
            return picture.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadDataError(
            f"{path}: no picture that can be read ({type(error).__name__})"
        ) from None
