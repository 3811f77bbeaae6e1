"""The order in which samples are trained on: a function of seed and epoch, of nothing else.

transformers draws it from the process's random state, which after a resumption in a later epoch is
another one, and so is the order then (transformers 5.23).
"""

from collections.abc import Iterator, Sequence

import torch  # noqa: TID253 - imported by the training functions only
from torch.utils.data import Sampler  # noqa: TID253 - as torch
from transformers.trainer_pt_utils import (  # noqa: TID253 - as torch
    get_length_grouped_indices,
)


class SampleOrder(Sampler[int]):
    """Shuffled indices, the same for the same seed and epoch.

    Args:
        lengths: tokens of each sample.
        seed: of the recipe.
        group: samples that are trained on in one step, to be of like length; None leaves them
            shuffled.
    """

    def __init__(self, lengths: Sequence[int], seed: int, group: int | None = None) -> None:
        self._lengths = list(lengths)
        self._seed = seed
        self._group = group
        self.epoch = 0

    def __len__(self) -> int:
        """Samples of an epoch."""
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        """Indices of this epoch."""
        drawn = torch.Generator().manual_seed(self._seed + self.epoch)
        if self._group is None:
            return iter(torch.randperm(len(self._lengths), generator=drawn).tolist())
        return iter(get_length_grouped_indices(self._lengths, self._group, generator=drawn))

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch is iterated over next."""
        self.epoch = epoch
