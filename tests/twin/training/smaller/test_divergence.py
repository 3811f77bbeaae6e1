"""The loss of a student against the textbook's, formed from all logits by torch."""

import pytest
import torch

from tests import tiny_model
from tests.twin.models.test_output_head import family, other
from tests.twin.training.rows import instruct_rows, section, tiny_trainer
from twin.domain.errors import BadDataError
from twin.models.output_head import OutputHead
from twin.training.smaller.divergence import BLOCK, learn_from, taught_losses


def textbook(logits, teacher_logits, targets, share):
    own = torch.log_softmax(logits, -1)
    taught = torch.log_softmax(teacher_logits, -1)
    divergence = torch.nn.functional.kl_div(own, taught, reduction="none", log_target=True).sum(-1)
    words = torch.nn.functional.nll_loss(own, targets, reduction="none")
    return share * divergence + (1 - share) * words


def heads(folder, name):
    if name == "granite":
        return OutputHead.of(other(name))
    return OutputHead.of(family(name, folder))


@pytest.mark.parametrize("share", [0.25, 1.0])
@pytest.mark.parametrize("name", ["gemma2", "granite"])
def test_loss_and_gradient_are_the_textbooks(tmp_path, name, share):
    """With a cap or a scale on the scores, over more positions than a block, and one row wider."""
    head = heads(tmp_path, name)
    words, width = head.weight.shape
    generator = torch.Generator().manual_seed(3)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    count = BLOCK + 7
    states = draw(count, width).requires_grad_()
    teacher_head = OutputHead(draw(words, width + 8) / width**0.5)
    teacher_states = draw(count, width + 8)
    targets = torch.randint(0, words, (count,), generator=generator)
    outer = draw(count)

    losses, likeliest = taught_losses(states, teacher_states, head, teacher_head, targets, share)
    (losses * outer).sum().backward()
    found, states.grad = states.grad, None
    logits = head.scores(states)
    expected = textbook(logits, teacher_head.scores(teacher_states), targets, share)
    (expected * outer).sum().backward()
    assert torch.allclose(losses, expected, atol=1e-4)
    assert torch.allclose(found, states.grad, atol=1e-5)
    assert torch.equal(likeliest, logits.argmax(-1) == targets)


def test_a_student_like_its_teacher_has_nothing_to_learn_of_it(tmp_path):
    head = heads(tmp_path, "gemma2")
    states = torch.randn(5, head.weight.shape[1], requires_grad=True)
    losses, _ = taught_losses(states, states.detach(), head, head, torch.zeros(5).long(), 1.0)
    losses.sum().backward()
    assert losses.abs().max() < 1e-5
    assert states.grad.abs().max() < 1e-5


def test_a_trainer_brings_the_student_nearer_to_its_teacher(tmp_path):
    import transformers

    folder = tiny_model.build(tmp_path / "tiny")
    torch.manual_seed(5)
    config = transformers.AutoConfig.from_pretrained(folder)
    teacher = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    with torch.no_grad():  # a random model is sure of nothing: there would be little to learn
        teacher.get_output_embeddings().weight.mul_(8)
    recipe = section(max_steps=12, learning_rate=5e-3, evaluations=1)
    trainer = tiny_trainer(folder, tmp_path / "out", recipe, validation=instruct_rows()[:4])
    learn_from(trainer, teacher, 1.0)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.95 * before
    assert not any(each.requires_grad for each in teacher.parameters())
    # Two parts of one loss: what the words alone cost is the loss at share 0.
    learn_from(trainer, teacher, 0.0)
    words = trainer.evaluate()["eval_loss"]
    learn_from(trainer, teacher, 1.0)
    divergence = trainer.evaluate()["eval_loss"]
    learn_from(trainer, teacher, 0.25)
    assert trainer.evaluate()["eval_loss"] == pytest.approx(
        0.25 * divergence + 0.75 * words, rel=1e-3
    )


def test_a_teacher_with_other_words_is_refused(tmp_path):
    trainer = tiny_trainer(tmp_path / "tiny", tmp_path / "out", section())
    with pytest.raises(BadDataError, match="its teacher 300"):
        learn_from(trainer, other("granite"), 0.5)
