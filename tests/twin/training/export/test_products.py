"""Figures of products: how much worse a file is than the weights, and how sure that is."""

import math

import pytest
from PIL import Image

from twin.training.export.products import Product, _perplexity, _worse, draw, table


def test_perplexity_is_of_all_tokens_together():
    scores = [(-2.0, 1), (-4.0, 3)]
    assert _perplexity(scores, scores) == pytest.approx(math.exp(6 / 4))
    assert _perplexity([], []) is None
    # Of another tokenizer: per token of the version's own, so that the two can be compared.
    assert _perplexity([(-3.0, 2), (-5.0, 9)], scores) == pytest.approx(math.exp(8 / 4))


def test_worse_is_relative_and_its_margin_grows_with_what_documents_differ_by():
    before = [(-10.0, 10)] * 6
    documents = ["a", "a", "b", "b", "c", "c"]
    alike = [(-10.5, 10)] * 6
    worse, margin = _worse(before, alike, documents)
    assert worse == pytest.approx(math.exp(0.05) - 1)
    assert margin == pytest.approx(0.0, abs=1e-9)
    uneven = [(-10.0, 10)] * 2 + [(-10.5, 10)] * 2 + [(-11.0, 10)] * 2
    same, wider = _worse(before, uneven, documents)
    assert same == pytest.approx(worse)
    rises = [math.exp(nats) - 1 for nats in (0.025, 0.05, 0.075)]  # without c, b, a
    error = math.sqrt(2 / 3 * sum((each - sum(rises) / 3) ** 2 for each in rises))
    assert wider == pytest.approx(4.302653 * error), "Student's t of two degrees of freedom"
    assert _worse(before, alike, ["a"] * 6) == (pytest.approx(worse), None)
    better, _ = _worse(alike, before, documents)
    assert better == pytest.approx(math.exp(-0.05) - 1)
    assert _worse([], [], []) == (None, None)


PRODUCTS = [
    Product("weights", 2_000_000, 10.0, style=0.8123),
    Product("q8_0", 1_060_000, 10.1, 0.01, 0.002, 50.04, 400.4, 3e8),
]


def test_a_table_says_what_is_known_and_no_more():
    lines = table(PRODUCTS).splitlines()
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[2] == "| `weights` | 2.0 MB |  |  |  | 10.000 |  | 0.812 |"
    assert lines[3] == "| `q8_0` | 1.1 MB | 300 MB | 50.0 | 400 | 10.100 | +1.00% ± 0.20% |  |"


def test_a_picture_has_a_panel_for_each_measure(tmp_path):
    draw(tmp_path / "products.png", PRODUCTS)
    with Image.open(tmp_path / "products.png") as image:
        assert image.width > 3 * image.height
