"""The curves of a training as a picture."""

from PIL import Image

from twin.training.curves import CURVES, draw_curves

SFT = [
    {"step": 1, "loss": 3.0, "learning_rate": 1e-4, "grad_norm": 2.0},
    {"step": 2, "eval_loss": 2.8},
    {"step": 2, "loss": 2.5, "learning_rate": 5e-5, "grad_norm": 1.0},
]


def width(path):
    with Image.open(path) as image:
        return image.width


def test_there_is_a_panel_for_whatever_was_logged(tmp_path):
    path = draw_curves(tmp_path, SFT)
    assert path == tmp_path / CURVES
    of_three = width(path)
    rewarded = [{**entry, "rewards/margins": 0.1, "rewards/chosen": 0.0} for entry in SFT]
    assert width(draw_curves(tmp_path, rewarded)) > of_three
    assert width(draw_curves(tmp_path, [{"step": 1, "loss": 1.0}])) < of_three / 2


def test_nothing_logged_is_no_picture(tmp_path):
    assert draw_curves(tmp_path, [{"step": 1, "epoch": 1.0}]) is None
    assert list(tmp_path.iterdir()) == []
