"""The order of samples: by seed and epoch alone, each sample once, like lengths together."""

import random

import torch

from twin.training.sample_order import SampleOrder

LENGTHS = random.Random(7).choices(range(5, 500), k=96)


def order(epoch=0, seed=3, group=None):
    made = SampleOrder(LENGTHS, seed, group)
    made.set_epoch(epoch)
    return list(made)


def test_it_depends_on_seed_and_epoch_and_nothing_else():
    for group in (None, 8):
        first = order(group=group)
        torch.manual_seed(99)
        torch.rand(5)
        assert order(group=group) == first
        assert order(epoch=1, group=group) != first
        assert order(seed=4, group=group) != first


def test_each_sample_comes_once_an_epoch():
    assert len(SampleOrder(LENGTHS, 3)) == len(LENGTHS)
    for group in (None, 8):
        assert sorted(order(epoch=2, group=group)) == list(range(len(LENGTHS)))


def test_groups_are_of_like_length():
    def spread(indices):
        groups = [[LENGTHS[i] for i in indices[n : n + 8]] for n in range(0, len(indices), 8)]
        return sum(max(group) - min(group) for group in groups)

    assert spread(order(group=8)) < spread(order()) / 2
