"""Trainings that are killed anywhere, against the same training undisturbed: equal, to the bit."""

import os
import signal

import pytest
import torch

from tests.twin.training.rows import instruct_rows, losses, section, tiny_trainer
from twin.domain.errors import BadDataError
from twin.training.interruption import Interrupted, on_sigterm

#: Two and a half epochs of seven batches, two batches a step; dropout draws random numbers.
RECIPE = section(epochs=3, max_steps=-1, gradient_accumulation=2, save_steps=4)
RECIPE = RECIPE.model_copy(update={"lora": RECIPE.lora.model_copy(update={"dropout": 0.1})})
STEPS = 12


@pytest.fixture
def trainer(tiny, tmp_path):
    made = []

    def make(recipe=RECIPE, **kwargs):
        made.append(None)
        return tiny_trainer(tiny, tmp_path / f"trainer-{len(made)}", recipe, **kwargs)

    return make


class KilledError(Exception):
    """What ends a training without a word, as far as it can tell."""


def adapter(trained):
    parameters = trained.model.named_parameters()
    return {name: value.detach().clone() for name, value in parameters if value.requires_grad}


@pytest.fixture
def undisturbed(trainer):
    trained = trainer()
    trained.train()
    assert sorted(losses(trained)) == list(range(1, STEPS + 1))
    return losses(trained), adapter(trained)


def count_batches(trained, act):
    """Have ``act`` called with the number of each batch, in its forward pass."""
    original, seen = trained.compute_loss, []

    def compute_loss(*args, **kwargs):
        seen.append(None)
        loss = original(*args, **kwargs)
        act(len(seen))
        return loss

    trained.compute_loss = compute_loss


def newest(trained):
    folders = os.scandir(trained.args.output_dir)
    return max((int(entry.name.split("-")[1]), entry.path) for entry in folders if entry.is_dir())


def test_a_training_killed_anywhere_ends_as_if_it_had_not_been(trainer, undisturbed):
    """By SIGTERM in the middle of a step (batches 3, 13, 20) and, without a word, after a
    checkpoint (batches 11, 18): in the first epoch, at its end, and in later ones."""
    curve, weights = undisturbed

    for batch, by_sigterm in [(3, True), (11, False), (13, True), (18, False), (20, True)]:
        trained = trainer()

        def kill(number, batch=batch, by_sigterm=by_sigterm):
            if number == batch:
                if not by_sigterm:
                    raise KilledError
                os.kill(os.getpid(), signal.SIGTERM)

        count_batches(trained, kill)
        ending = Interrupted if by_sigterm else KilledError
        with on_sigterm(trained.interruption), pytest.raises(ending):
            trained.train()
        reached = trained.state.global_step
        if by_sigterm:
            assert trained.save_last_step() == (reached > 0)
        step, folder = newest(trained)
        assert step == reached if by_sigterm else step <= reached
        resumed = trainer()
        resumed.train(resume_from_checkpoint=folder)
        assert losses(resumed) == curve
        for name, value in adapter(resumed).items():
            assert torch.equal(value, weights[name]), name


def test_what_is_saved_already_is_not_saved_again(trainer):
    trained = trainer(section(max_steps=4, save_steps=2))
    assert not trained.save_last_step(), "no step has been taken"
    trained.train()
    assert not trained.save_last_step()


def test_a_signal_between_two_batches_ends_the_training_at_the_next(trainer):
    trained = trainer(section(max_steps=6))
    count_batches(trained, lambda number: None)
    trained.interruption.request()
    with pytest.raises(Interrupted):
        trained.train()
    assert trained.state.global_step == 0


def test_sigterm_in_a_validation_is_heeded(trainer):
    trained = trainer(section(max_steps=4, save_steps=2), validation=instruct_rows(4, seed=2))
    evaluate = trained.prediction_step

    def prediction_step(*args, **kwargs):
        trained.interruption.requested = True
        return evaluate(*args, **kwargs)

    trained.prediction_step = prediction_step
    with pytest.raises(Interrupted):
        trained.train()
    assert trained.state.global_step == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_training_before_it_is_learned(trainer, value):
    trained = trainer(section(max_steps=6, save_steps=2, gradient_accumulation=2))
    original, seen = trained.compute_loss, []

    def compute_loss(*args, **kwargs):
        seen.append(None)
        return original(*args, **kwargs) * (value if len(seen) == 7 else 1.0)

    trained.compute_loss = compute_loss
    before = {}
    step = trained.get_batch_samples

    def get_batch_samples(*args, **kwargs):
        before.update(adapter(trained))
        return step(*args, **kwargs)

    trained.get_batch_samples = get_batch_samples
    with pytest.raises(BadDataError, match=rf"the loss is {value} in step 4.*learning rate") as bad:
        trained.train()
    assert bad.value.exit_code == 65
    assert newest(trained)[0] == 2
    for name, weight in adapter(trained).items():
        assert torch.equal(weight, before[name])


def test_gradients_that_are_no_numbers_end_the_training_before_a_weight_takes_them(trainer):
    trained = trainer(section(max_steps=6, save_steps=2))

    def spoil(number):
        if number == 4:
            _, weight = next(iter(adapter_parameters(trained)))
            weight.register_hook(lambda gradient: gradient * float("nan"))

    count_batches(trained, spoil)
    with pytest.raises(BadDataError, match="norm of the gradients is nan in step"):
        trained.train()
    assert all(torch.isfinite(weight).all() for weight in adapter(trained).values())


def adapter_parameters(trained):
    return [(n, p) for n, p in trained.model.named_parameters() if p.requires_grad]
