"""A sentence-transformers folder as an ONNX model in 8-bit integers, for processors.

Converting needs torch and takes seconds; it is done once for each set of weights, and what runs
afterwards needs neither torch nor transformers.
"""

import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadConfigurationError
from twin.models.encoders import CONVERSION, simple_pooling
from twin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "model.onnx"

OPSET = 17


def prepare_int8(folder: Path, digest: str, settings: Settings) -> Path:
    """The converted model; made if it is not there yet, in one step that cannot be half done.

    Args:
        folder: of the embedder.
        digest: of what decides its vectors; names the converted one.
        settings: where prepared models are.

    Raises:
        BadConfigurationError: the folder asks for more than a transformer and a simple pooling.
    """
    if simple_pooling(folder) is None:
        raise BadConfigurationError(
            f"embedder {folder.name!r} can't run in 8-bit integers, for it is more than a "
            "transformer and its mean or first vector: leave :int8 out of features.embedder"
        )
    target = settings.models_root / "onnx" / f"{digest[:16]}-{CONVERSION}"
    if not (target / MODEL).is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _convert(folder, Path(scratch) / "float.onnx", made / MODEL)
            try:
                made.rename(target)
            except OSError:  # another process was quicker, with the same result
                if not (target / MODEL).is_file():
                    shutil.rmtree(target, ignore_errors=True)
                    made.rename(target)
    return target / MODEL


def _convert(folder: Path, plain: Path, quantised: Path) -> None:
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel
    from transformers.utils.logging import disable_progress_bar

    class States(torch.nn.Module):
        """The model with its two inputs by place, as the exporter gives them."""

        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(
                str(folder),
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation="eager",
            )

        def forward(self, ids: Any, mask: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    disable_progress_bar()
    example = torch.ones((2, 8), dtype=torch.int64)
    axes = {0: "texts", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the older exporter, which the newer one needs more for
        torch.onnx.export(
            States().eval(),
            (example, example),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=["states"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "states": axes},
            opset_version=OPSET,
            dynamo=False,
        )
    quantize_dynamic(str(plain), str(quantised), weight_type=QuantType.QInt8, per_channel=True)


class OnnxEncoder:
    """Runs a converted model with onnxruntime; pooling as the folder says, in float32."""

    def __init__(self, folder: Path, model: Path, max_tokens: int, threads: int | None) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._pooling = simple_pooling(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self.dimension = int(self._session.get_outputs()[0].shape[-1])

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors, text by text."""
        import numpy as np

        vectors = []
        for text in texts:
            states = self._states(text)
            pooled = states[0] if self._pooling == "cls" else states.mean(axis=0)
            length = max(float(np.linalg.norm(pooled)), 1e-12)
            vectors.append((pooled / length).tolist())
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text the unit vectors of its tokens, special ones included."""
        import numpy as np

        found = [self._states(text) for text in texts]
        return [s / np.maximum(np.linalg.norm(s, axis=1, keepdims=True), 1e-12) for s in found]

    def _states(self, text: str) -> "NDArray[np.float32]":
        import numpy as np

        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        states: NDArray[np.float32] = self._session.run(None, given)[0][0]
        return states
