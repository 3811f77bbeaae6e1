"""The head that never keeps its logits, against the plain formula and its gradient."""

import pytest
import torch

from twin.models.output_head import OutputHead
from twin.models.token_log_probabilities import BLOCK, token_log_probabilities


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


def test_a_trainable_head_is_refused():
    hidden, weight, targets, _ = example(torch.float32)
    with pytest.raises(ValueError, match="freeze it"):
        token_log_probabilities(hidden, OutputHead(weight.requires_grad_()), targets)
