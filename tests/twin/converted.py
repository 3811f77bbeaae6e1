"""Embedders that OpenVINO runs, converted once for all tests.

A home of its own would have the embedder converted anew, which imports torch and takes five seconds
of a processor. `tests/twin/models/test_openvino_encoder.py` has that; the others share a folder.
"""

from tests.conftest import ROOT
from twin.settings import Settings


def share_converted(settings: Settings) -> None:
    """Have the home of these settings take converted embedders from the folder of all tests."""
    shared = Settings(home=ROOT / ".twin").models_root / "openvino"
    shared.mkdir(parents=True, exist_ok=True)
    own = settings.models_root / "openvino"
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(shared)
