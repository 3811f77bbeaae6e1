"""The head that never keeps its logits, against the plain formula and its gradient."""

import pytest
import torch

from twin.models.output_head import OutputHead
from twin.models.token_log_probabilities import BLOCK, scored_tokens, token_log_probabilities


def example(dtype, positions=2 * BLOCK + 3, words=997):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(positions, 32, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(words, 32, generator=generator).to(dtype)
    targets = torch.randint(words, (positions,), generator=generator)
    scale = torch.rand(positions, generator=generator)
    return hidden, weight, targets, scale


def plain(hidden, weight, targets):
    steps = torch.log_softmax(hidden @ weight.t(), -1)
    return steps.gather(1, targets[:, None]).squeeze(1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1)])
def test_values_and_gradients_are_those_of_the_plain_formula(dtype, tolerance):
    hidden, weight, targets, scale = example(dtype)
    exact = hidden.detach().double().requires_grad_()
    expected = plain(exact, weight.double(), targets)
    (expected * scale).sum().backward()
    found = token_log_probabilities(hidden, OutputHead(weight), targets)
    (found * scale).sum().backward()
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), expected, atol=tolerance)
    assert (found <= 0).all()
    error = (hidden.grad.double() - exact.grad).norm() / exact.grad.norm()
    assert error < (1e-5 if dtype == torch.float32 else 0.02)


def test_a_word_it_is_sure_of_has_hardly_a_gradient():
    """The target's share, p - 1, would vanish or jump if it were rounded with the others."""
    weight = torch.eye(64, dtype=torch.bfloat16) * 8
    hidden = torch.eye(64, dtype=torch.bfloat16)[:1].clone().requires_grad_()
    target = torch.tensor([0])
    token_log_probabilities(hidden, OutputHead(weight), target).sum().backward()
    exact = hidden.detach().double().requires_grad_()
    plain(exact, weight.double(), target).sum().backward()
    assert torch.allclose(hidden.grad.double(), exact.grad, rtol=0.08, atol=1e-3)


def test_without_gradients_nothing_is_kept():
    hidden, weight, targets, _ = example(torch.float32)
    with torch.no_grad():
        assert torch.allclose(
            token_log_probabilities(hidden, OutputHead(weight), targets),
            plain(hidden, weight, targets),
            atol=1e-4,
        )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
def test_a_head_that_is_trained_gets_the_gradient_of_the_plain_formula(dtype, tolerance):
    """Weight and bias of a capped and scaled head, over several blocks; float32 parameters."""
    hidden, weight, targets, worth = example(dtype)
    generator = torch.Generator().manual_seed(1)
    weight, bias = weight.float(), torch.randn(len(weight), generator=generator)
    exact = [tensor.double().requires_grad_() for tensor in (weight, bias)]
    logits = 3 * torch.tanh(0.5 * (hidden.detach().double() @ exact[0].t() + exact[1]) / 3)
    steps = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
    (steps * worth).sum().backward()
    trained = [tensor.clone().requires_grad_() for tensor in (weight, bias)]
    head = OutputHead(trained[0], trained[1], scale=0.5, softcap=3.0)
    (token_log_probabilities(hidden, head, targets) * worth).sum().backward()
    for ours, expected in zip(trained, exact, strict=True):
        assert ours.grad.dtype == torch.float32
        assert (ours.grad.double() - expected.grad).norm() / expected.grad.norm() < tolerance


def test_gradients_of_many_blocks_are_added_up_in_float32():
    """A thousand equal small parts: added up in bf16, the sum would stop growing."""
    hidden = torch.full((BLOCK * 40, 1), 0.01, dtype=torch.bfloat16)
    weight = torch.zeros(2, 1, requires_grad=True)
    targets = torch.zeros(len(hidden), dtype=torch.long)
    token_log_probabilities(hidden, OutputHead(weight), targets).sum().backward()
    expected = float(hidden[0, 0]) * 0.5 * len(hidden)
    assert weight.grad[0, 0] == pytest.approx(expected, rel=5e-3)


def test_the_likeliest_word_is_told_from_the_others():
    hidden, weight, targets, _ = example(torch.float32)
    best = (hidden @ weight.t()).argmax(-1)
    mixed = torch.where(torch.arange(len(targets)) % 2 == 0, best, (best + 1) % len(weight))
    _, likeliest = scored_tokens(hidden, OutputHead(weight), mixed)
    assert likeliest.tolist() == (mixed == best).tolist()
