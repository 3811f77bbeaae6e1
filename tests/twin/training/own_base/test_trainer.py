"""What a base model in training writes, where that can't be kept."""

from types import SimpleNamespace

import structlog

from twin.domain.errors import TryAgainError
from twin.recipes import OwnBaseSection
from twin.training.own_base.model import make_model, make_tokenizer
from twin.training.own_base.trainer import Samples


def test_a_sample_that_mlflow_does_not_take_ends_no_training():
    section = OwnBaseSection(
        vocabulary=300, layers=1, width=16, heads=2, max_length=64, sample_tokens=2
    )
    tokenizer = make_tokenizer(["the pod and the moon and the tide " * 20], section)
    model = make_model(tokenizer, section, seed=1)
    tried = []

    def keep(step, text):
        tried.append((step, text))
        raise TryAgainError("MLflow does not answer")

    with structlog.testing.capture_logs() as logs:
        Samples(tokenizer, section, keep).on_evaluate(
            None, SimpleNamespace(global_step=20), None, model=model, metrics={"eval_loss": 1.0}
        )
    assert [step for step, _ in tried] == [20]
    (warning,) = (entry for entry in logs if entry["log_level"] == "warning")
    assert "MLflow does not answer" in warning["reason"]
