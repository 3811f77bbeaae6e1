"""How much of its hardware a training uses, and what it costs: MFU, utilisation, price."""

from dataclasses import dataclass
from typing import Any

from twin.settings import Settings

TERA = 1e12

PEAK_TFLOPS = {
    "B200": 2250.0,
    "H200": 989.0,
    "H100 PCIe": 756.0,
    "H100": 989.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L40": 181.0,
    "A10G": 70.0,
    "L4": 121.0,
}
"""Dense bf16, by a part of the GPU's name, the first that fits; of NVIDIA's data sheets."""


def peak_tflops(settings: Settings) -> float | None:
    """Peak of one GPU in dense bf16: the setting, else by the GPU's name; None if unknown."""
    import torch

    if settings.gpu_tflops is not None:
        return settings.gpu_tflops
    if not torch.cuda.is_available():
        return None
    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAK_TFLOPS.items() if part in name), None)


def flops_per_token(model: Any, *, referred: bool = False) -> float:
    """Floating-point operations that training takes for a token, of the matrix products of weights.

    Two for each weight in the forward pass, two for the gradient of what goes through it, and two
    for its own gradient where it is trained. Attention's own products and what gradient
    checkpointing computes again are left out (Chowdhery et al., 2022, arXiv:2204.02311, appendix
    B), and so is an input embedding that is no head at the same time: it is looked up, and only
    the rows that were looked up have a gradient.

    Args:
        model: as the trainer has it, with or without adapters.
        referred: whether a reference model reads each token too (DPO, KTO).
    """
    trained = sum(_size(weight) for weight in model.parameters() if weight.requires_grad)
    weights = sum(_size(weight) for weight in model.parameters())
    embedding = getattr(model.get_input_embeddings(), "weight", None)
    head = getattr(model.get_output_embeddings(), "weight", None)
    if embedding is not None and embedding is not head:
        weights -= _size(embedding)
        trained -= _size(embedding) if embedding.requires_grad else 0
    return float((6 if referred else 4) * weights + 2 * trained)


def _size(weight: Any) -> int:
    """Numbers in a weight; those of four bits lie two in a byte."""
    packed = type(weight).__name__ == "Params4bit"
    return int(weight.numel() * weight.element_size() * 2 if packed else weight.numel())


@dataclass(frozen=True)
class Meter:
    """Turns speed and time of a training into MFU and price.

    Attributes:
        flops_per_token: of `flops_per_token`.
        units: GPUs at work; 1 without any.
        peak_tflops: of one of them; None if nobody knows.
        price_per_hour: of one of them; None if nobody has said.
    """

    flops_per_token: float
    units: int
    peak_tflops: float | None
    price_per_hour: float | None

    def mfu(self, tokens_per_second: float) -> dict[str, float]:
        """Model FLOPs utilisation: the share of the hardware's peak that the training uses."""
        if self.peak_tflops is None:
            return {}
        at_work = tokens_per_second * self.flops_per_token
        return {"mfu": at_work / (self.units * self.peak_tflops * TERA)}

    def cost(self, seconds: float) -> dict[str, float]:
        """What so many seconds cost, in the currency of the setting."""
        if self.price_per_hour is None:
            return {}
        return {"cost": seconds / 3600 * self.units * self.price_per_hour}


def meter_of(trainer: Any, settings: Settings) -> Meter:
    """The meter of a trainer of TRL."""
    referred = getattr(trainer, "ref_model", None) is not None or "ref" in getattr(
        trainer.model, "peft_config", {}
    )
    return Meter(
        flops_per_token(trainer.model, referred=referred),
        max(1, trainer.args.world_size),
        peak_tflops(settings),
        settings.gpu_price_per_hour,
    )


class MachineMonitor:
    """Utilisation of processors, memory and GPUs, by MLflow's own monitors and names.

    MLflow's UI shows them under *System metrics*. Its monitoring thread is not used: it ends for
    good when MLflow is away once.
    """

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

        self._monitors: list[Any] = [CPUMonitor()]
        try:
            self._monitors.append(GPUMonitor())
        except (ImportError, RuntimeError):  # no NVIDIA GPU here
            return

    def measures(self) -> dict[str, float]:
        """What is used now; of processors, since the last time."""
        found: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            found |= {f"system/{name}": float(v) for name, v in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        return found
