"""The forms of a trained twin that can be registered as a version."""

from enum import StrEnum

TAG = "form"
"""Of a version that is not the trained twin itself."""
KEPT = "pruned_to"
"""Of a version that pruning has a part in: what is left."""


class Form(StrEnum):
    """What is packaged."""

    TRAINED = "trained"
    """The adapter, or all weights, as preference training leaves them."""
    DISTILLED = "distilled"
    """The student that the trained twin has taught."""
    PRUNED = "pruned"
    """What pruning leaves of the trained twin."""
