"""Q4_K_M for llama.cpp's converter, which writes plain types only.

Blocks are packed by llama.cpp itself: the library in `xllamacpp` exports ggml's own function for
it. Which tensor gets which type is decided as in llama.cpp's `llama-quantize`: four bits for most,
six for the head and for half of the value and down projections, where few bits do most harm.

Runs in the converter's process (`twin.models.engines.gguf_converter`), whose `gguf` this changes.
"""

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import gguf
import numpy as np  # noqa: TID253 - of the converter's process

Types = gguf.GGMLQuantizationType

BLOCK = 256
"""Numbers of a row that these formats pack together; rows of another width get a plainer one."""

_PLAINER = {Types.Q4_K: Types.Q5_0, Types.Q5_K: Types.Q8_0, Types.Q6_K: Types.Q8_0}


def load_quantiser() -> Any:
    """ggml's function that packs rows of floats.

    Raises:
        SystemExit: the installed llama.cpp has none.
    """
    found = importlib.util.find_spec("xllamacpp")
    folder = Path(found.origin).parent if found is not None and found.origin else Path()
    try:
        (library,) = folder.glob("xllamacpp*.so")
        pack = ctypes.CDLL(str(library)).ggml_quantize_chunk
    except (ValueError, OSError, AttributeError):
        raise SystemExit(
            "the installed llama.cpp (xllamacpp) brings no quantiser: set "
            "llama_cpp.quantisation to q8_0, f16 or bf16"
        ) from None
    floats, integer = ctypes.POINTER(ctypes.c_float), ctypes.c_int64
    pack.argtypes = [
        ctypes.c_int, floats, ctypes.c_void_p, integer, integer, integer, floats,
    ]  # fmt: skip
    pack.restype = ctypes.c_size_t
    return pack


def teach_converter() -> None:
    """Let the converter's `gguf` write Q4_K, Q5_K and Q6_K."""
    pack = load_quantiser()
    for kind in (Types.Q4_K, Types.Q5_K, Types.Q6_K):
        _BLOCKS[kind].quantize_blocks = classmethod(_packer(pack, kind))


#: `gguf`'s classes of formats, by what they are called there.
_BLOCKS = {
    Types.Q4_K: gguf.quants.Q4_K,
    Types.Q5_K: gguf.quants.Q5_K,
    Types.Q6_K: gguf.quants.Q6_K,
}


def _packer(pack: Any, kind: gguf.GGMLQuantizationType) -> Any:
    size = gguf.GGML_QUANT_SIZES[kind][1]

    def quantize_blocks(_cls: Any, blocks: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        values = np.ascontiguousarray(blocks, dtype=np.float32)
        packed = np.empty((len(values), size), dtype=np.uint8)
        source = values.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        written = pack(int(kind), source, packed.ctypes.data, 0, len(values), BLOCK, None)
        if written != packed.nbytes:
            raise SystemExit(
                f"llama.cpp packed {written} bytes of {kind.name}, not {packed.nbytes}"
            )
        return packed

    return quantize_blocks


def q4_k_m(name: str, width: int, layer: int | None, layers: int, *, tied: bool) -> Any:
    """The type of a matrix.

    Args:
        name: of the tensor in a GGUF file.
        width: of its rows.
        layer: its number, if it is of one.
        layers: of the model.
        tied: the embedding is the head as well.
    """
    kind = Types.Q4_K
    part = name.removesuffix(".weight").rpartition(".")[2]
    if (
        part == "output"
        or (part == "token_embd" and tied)
        or (part in ("attn_v", "ffn_down") and layer is not None and _gets_more(layer, layers))
    ):
        kind = Types.Q6_K
    elif part == "attn_qkv":
        kind = Types.Q5_K
    if width % BLOCK == 0:
        return kind
    return _PLAINER[kind] if width % 32 == 0 else Types.F16


def _gets_more(layer: int, layers: int) -> bool:
    """The first and last eighth of the layers, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
