"""One world for all tests of training: samples of an author, a tiny base model, a live MLflow."""

import os
import signal
from dataclasses import dataclass

import pytest
import torch

from tests import tiny_model
from tests.twin import corpora
from twin.datasets.make import make_samples
from twin.domain.result import JobResult
from twin.job import Job
from twin.recipes import Recipe
from twin.settings import Settings
from twin.stores.files import FileStore, open_files


@dataclass
class World:
    """Stores with samples in them; jobs to run on them."""

    settings: Settings
    recipe: Recipe

    @property
    def files(self) -> FileStore:
        return open_files(self.settings)

    def run(self, body, **training) -> JobResult:
        """Run a job's body in this process; ``training`` replaces parts of that section."""
        job = self.job(body, **training)
        body(job)
        return job.result

    def run_all(self, *bodies) -> None:
        """Run the bodies of several jobs, one after the other."""
        for body in bodies:
            self.run(body)

    def without_preferences(self) -> None:
        """Switch DPO off: what comes out is the adapter of SFT."""
        dpo = self.recipe.training.dpo.model_copy(update={"enabled": False})
        training = self.recipe.training.model_copy(update={"dpo": dpo})
        self.recipe = self.recipe.model_copy(update={"training": training})

    def job(self, body, **training) -> Job:
        """What ``body`` is given by `run`."""
        recipe = self.recipe
        if training:
            section = recipe.training.model_copy(
                update={
                    key: getattr(recipe.training, key).model_copy(update=value)
                    for key, value in training.items()
                }
            )
            recipe = recipe.model_copy(update={"training": section})
        result = JobResult(job=body.__name__, recipe="ann", run_id="r1")
        return Job(recipe, self.settings, "r1", result)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder of the tiny base model."""
    return tiny_model.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def world(settings, tiny, tmp_path, mlflow_url):
    """A world of the test's own; MLflow is shared."""
    settings = settings.model_copy(
        update={"recipes": tmp_path / "recipes", "mlflow_tracking_uri": mlflow_url, "threads": 1}
    )
    recipe = corpora.write_recipe(settings.recipes, tiny)
    corpora.publish(corpora.corpus(), recipe, settings)
    made = World(settings, recipe)
    made.run(make_samples)
    return made


@pytest.fixture
def is_killed(monkeypatch):
    """Run a job in a process that SIGKILL ends before the n-th call of any of some functions.

    Returns whether it came so far.
    """

    def run(job, functions, call):
        left = iter(range(call))

        def counted(real):
            def count(*arguments, **named):
                if next(left, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return count

        if (child := os.fork()) == 0:
            torch.set_num_threads(1)  # a pool of threads does not outlive a fork
            for owner, name in functions:
                monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
            code = 1
            try:
                job()
                code = 0
            finally:  # never goes on as a second run of the tests
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the job failed by itself"
        return os.WIFSIGNALED(status)

    return run
