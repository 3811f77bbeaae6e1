"""What curves say: losses that do not fall, and gradients that jump."""

from twin.training.learning_check import FEWEST_POINTS, JUMP, learning_faults


def history(losses, norms=()):
    entries = [{"step": n + 1, "loss": loss} for n, loss in enumerate(losses)]
    for entry, norm in zip(entries, norms, strict=False):
        entry["grad_norm"] = norm
    return [*entries, {"step": len(entries), "eval_loss": 9.0}, {"step": 1, "train_loss": 1.0}]


def test_a_training_that_learns_has_no_faults():
    falling = [3 - n / 10 for n in range(20)]
    assert learning_faults(history(falling, [1.0 + n % 3 for n in range(20)])) == []
    assert learning_faults([]) == []


def test_a_loss_that_stays_or_rises_is_said_with_both_figures():
    (fault,) = learning_faults(history([2.0] * 20))
    assert "has not fallen: 2.000 in the first fifth of the steps, 2.000 in the last" in fault
    (fault,) = learning_faults(history([1.0 + n / 10 for n in range(20)]))
    assert "1.150" in fault
    assert "2.750" in fault


def test_few_points_say_nothing():
    assert learning_faults(history([2.0] * (FEWEST_POINTS - 1))) == []
    assert learning_faults(history([2.0] * FEWEST_POINTS)) != []


def test_gradients_that_explode_are_named_by_their_steps():
    falling = [3 - n / 10 for n in range(20)]
    norms = [1.0] * 20
    norms[4] = 99.0  # so early, nothing is known of their size
    norms[12] = JUMP * 1.01
    norms[15] = JUMP * 0.99
    (fault,) = learning_faults(history(falling, norms))
    assert "explode in steps 13:" in fault
    norms[16:] = [999.0, 1.0, 999.0, 999.0]
    (fault,) = learning_faults(history(falling, norms))
    assert "steps 13, 17, 19, 20:" in fault


def test_of_many_jumps_the_first_five_are_named():
    norms = [1.0, 1.0, 1.0] * 20
    for step in range(20, 60, 5):
        norms[step] = 500.0
    (fault,) = learning_faults(history([3 - n / 100 for n in range(60)], norms))
    assert "steps 21, 26, 31, 36, 41 and others:" in fault
