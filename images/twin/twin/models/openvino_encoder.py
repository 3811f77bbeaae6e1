"""A sentence-transformers folder on OpenVINO: what runs an embedder on processors.

Its kernels multiply in bfloat16 or 8-bit integers where the processor does, in half to two thirds
of the time that torch takes. Converting needs torch and takes seconds; it is done once for each
set of weights, and what runs afterwards needs neither torch nor transformers.
"""

import functools
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.domain.errors import BadConfigurationError
from twin.models.encoders import CONVERSION, read_configuration, simple_pooling
from twin.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# With this package OpenVINO reports to its makers that it was imported, from a thread of its own.
# A module that is None cannot be imported; OpenVINO then goes without.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

MODEL = "model.xml"

FLOATS = "float-1"
"""Version of the conversion that keeps floats; no part of an id, since its vectors are the same."""

OPSET = 17

GROUP = 128
"""Numbers of an activation that share a scale in 8-bit integers: with one scale for all of a
token's, vectors are half as near to the floats' again, for 4 % more speed."""

PAD_TO = 8
"""Lengths of batches are multiples of this: few shapes, whose kernels are kept."""

NVIDIA_DRIVER = Path("/proc/driver/nvidia")


def runs_here(folder: Path) -> bool:
    """Whether OpenVINO is installed, takes the folder, and no GPU would be left idle."""
    if find_spec("openvino") is None or simple_pooling(folder) is None:
        return False
    if not NVIDIA_DRIVER.exists():
        return True  # without importing torch to ask it, which takes seconds
    import torch

    return not torch.cuda.is_available()


def prepare(folder: Path, digest: str, settings: Settings, *, int8: bool = False) -> Path:
    """The converted model; made if it is not there yet, in one step that cannot be half done.

    Args:
        folder: of the embedder.
        digest: of what decides its vectors; names the converted one.
        settings: where prepared models are. Where nothing can be written there (weights that are
            mounted), the converted one goes to the home folder.
        int8: with weights in 8-bit integers.

    Raises:
        BadConfigurationError: the folder asks for more than a transformer and a simple pooling, or
            OpenVINO is not installed.
    """
    if simple_pooling(folder) is None:
        raise BadConfigurationError(
            f"embedder {folder.name!r} can't run in 8-bit integers, for it is more than a "
            "transformer and its mean or first vector: leave :int8 out of features.embedder"
        )
    if find_spec("openvino") is None:
        raise BadConfigurationError(
            "OpenVINO is not installed here: pip install openvino, or leave :int8 out of "
            "features.embedder"
        )
    target = _converted(settings) / f"{digest[:16]}-{CONVERSION if int8 else FLOATS}"
    if not (target / MODEL).is_file():
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            _convert(folder, Path(scratch) / "float.onnx", made / MODEL, int8=int8)
            try:
                made.rename(target)
            except OSError:  # another process was quicker, with the same result
                if not (target / MODEL).is_file():
                    shutil.rmtree(target, ignore_errors=True)
                    made.rename(target)
    return target / MODEL


def _converted(settings: Settings) -> Path:
    """The folder of converted models."""
    for root in (settings.models_root, settings.home.resolve() / "models"):
        folder = root / "openvino"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise BadConfigurationError(
        f"the embedder can't be converted: neither {settings.models_root} nor {settings.home} can "
        "be written to; set TWIN_HOME to a folder that can"
    )


def _convert(folder: Path, plain: Path, target: Path, *, int8: bool) -> None:
    """By way of ONNX: OpenVINO's converter of torch models reports its use to its makers."""
    import openvino

    _export(folder, plain)
    model = _core().read_model(plain)
    if int8:
        _to_int8(model)
    openvino.save_model(model, target)  # floats as float16, which costs nothing: see the tests


def _export(folder: Path, plain: Path) -> None:
    import torch
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


def _to_int8(model: Any) -> None:
    """Weights of linear layers as 8-bit integers, with a scale for each output."""
    import numpy as np
    from openvino import opset13

    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        given = node.input_value(1).get_node()
        if given.get_type_name() != "Constant":
            continue
        weights = given.get_data().astype(np.float32)
        if not node.get_attributes()["transpose_b"]:
            weights = weights.T
        scales = np.maximum(np.abs(weights).max(axis=1, keepdims=True), 1e-12) / 127
        integers = opset13.constant(np.rint(weights / scales).astype(np.int8))
        product = opset13.multiply(opset13.convert(integers, "f32"), opset13.constant(scales))
        linear = opset13.matmul(node.input_value(0), product, False, True)
        node.output(0).replace(linear.output(0))


def _own_processors() -> int:
    """What OMP_NUM_THREADS says, as Ray sets it to each actor's share; else all there are."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else len(os.sched_getaffinity(0))


@functools.cache
def _core() -> Any:
    """OpenVINO, once in a process.

    Each of its cores gives the thread a stack for signals and unmaps it at its own end. Of two,
    the second to end puts the first one's back: the next signal then ends the process by SIGSEGV,
    whatever handles it (SIGTERM of a job, a test's timeout).
    """
    import openvino

    return openvino.Core()


class OpenVinoEncoder:
    """Runs a converted model; pooling as the folder says, in float32. Safe to share by threads.

    Floats are multiplied in bfloat16 where that is native (cosine to float32 at least 0.9999).
    Of an 8-bit model activations become integers too, `GROUP` by `GROUP`, so that the vector of a
    text does not depend on its company (cosine at least 0.998); attention stays in floats.
    """

    batch_tokens = 1_024

    def __init__(
        self, folder: Path, model: Path, max_tokens: int, threads: int | None, *, int8: bool = False
    ) -> None:
        from tokenizers import Tokenizer

        core = _core()
        native = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        half = "BF16" in native
        self._model: Any = core.compile_model(
            core.read_model(model),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
                "INFERENCE_NUM_THREADS": threads or _own_processors(),
                "NUM_STREAMS": 1,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP if int8 else 0,
                "ENABLE_CPU_PINNING": False,  # several such processes would share the first cores
            },
        )
        self._requests = threading.local()
        self._pooling = simple_pooling(folder)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        # Some models count positions from the tokens that are no padding.
        padding = read_configuration(folder / "config.json").get("pad_token_id") or 0
        self._tokenizer.enable_padding(pad_id=padding, pad_to_multiple_of=PAD_TO)
        self.dimension = int(self._model.output(0).partial_shape[2].get_length())
        # OpenVINO's bindings look NumPy up at their first arrays, and threads that do so at the
        # same time wait for one another for ever (with the interpreter's lock): so one does it now.
        self._states(["."])

    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """Unit vectors of one batch."""
        import numpy as np

        states, mask = self._states(texts)
        if self._pooling == "cls":
            pooled = states[:, 0]
        else:
            weights = (mask / mask.sum(axis=1, keepdims=True)).astype(np.float32)
            pooled = np.matmul(weights[:, None, :], states)[:, 0]
        lengths = np.linalg.norm(pooled, axis=1, keepdims=True)
        vectors: list[list[float]] = (pooled / np.maximum(lengths, 1e-12)).tolist()
        return vectors

    def token_vectors(self, texts: Sequence[str]) -> "list[NDArray[np.float32]]":
        """For each text of one batch the unit vectors of its tokens, special ones included."""
        import numpy as np

        states, mask = self._states(texts)
        units = states / np.maximum(np.linalg.norm(states, axis=2, keepdims=True), 1e-12)
        return [own[kept.astype(bool)] for own, kept in zip(units, mask, strict=True)]

    def _states(self, texts: Sequence[str]) -> "tuple[NDArray[np.float32], NDArray[np.int64]]":
        import numpy as np

        encodings = self._tokenizer.encode_batch(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        if not hasattr(self._requests, "own"):
            self._requests.own = self._model.create_infer_request()
        found = self._requests.own.infer({"input_ids": ids, "attention_mask": mask})
        states: NDArray[np.float32] = found["states"]
        return states, mask
