"""The commands of `twin rollout` where only the configuration has changed, with a real registry."""

import json

import numpy as np
import pytest
import yaml

from tests.twin.rollout.serve_in_process import MODEL, Manner
from tests.twin.rollout.test_commands import make_platform, platform
from twin.domain.chunk import Chunk, chunk_id
from twin.domain.errors import ExitCode
from twin.models.embedder import load_embedder
from twin.recipes import load_recipe
from twin.stores.index import IndexedDocument, IndexSpec, open_index
from twin.stores.prompts import Prompts, prompt_name

__all__ = ["make_platform", "platform"]

NAME = prompt_name(MODEL)
TEMPLATES = [
    "One, {{ author }}: {{ passages }} {{ question }}",
    "Two, {{ author }}: {{ question }}",
]
TEMPLATES[1] += " {{ passages }}"


def change(platform, **sections):
    """Write sections of the recipe anew, as a person does who edits its file."""
    file = platform.settings.recipes / "tiny.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **sections}))


def serving(platform):
    [(name, share)] = platform.weights.items()
    assert share == 100
    return name


def test_a_changed_recipe_is_rolled_out_and_rolled_back(platform):
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
    change(platform, retrieval={"min_score": 0.2})
    missed = platform.twin("reconcile")
    assert "the champion is not in service" in missed.stderr
    name = serving(platform)
    number, configuration = name.split("-")
    assert number == "1"
    again = platform.twin("start", expected=ExitCode.NOTHING_TO_DO)
    assert f"version {name} is in service" in again.stderr
    shown = json.loads(platform.twin("status", "--json").stdout)
    assert shown["versions"][name]["configuration"] == configuration
    assert shown["previous"] == "1"
    assert f"configuration {configuration}, prompt 3" in platform.twin("status").stdout
    [line] = [each for each in platform.twin("history").stdout.splitlines() if "50%" in each]
    assert f"v{name} {configuration} 50%" in line

    platform.twin("rollback")
    assert (serving(platform), platform.champion()) == ("1", "1")
    assert f"v{name} {configuration} rolled back" in platform.twin("history").stdout
    # The recipe still says otherwise; what a person went back from is not begun by itself.
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
    assert serving(platform) == "1"
    platform.twin("rollback", "--to", name)
    assert serving(platform) == name
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)


def test_a_changed_recipe_that_is_worse_is_told_of_once_it_has_failed(platform):
    change(platform, retrieval={"min_score": 0.2})
    platform.serve.manners.update(dict.fromkeys(["1"], Manner()))
    broken = Manner(text="")

    class Broken(dict):
        """Whatever is brought in beside version 1 says nothing."""

        def setdefault(self, name, default):
            return self.get(name, default) if name == "1" else broken

    platform.serve.manners = Broken(platform.serve.manners)
    failed = platform.twin("start", expected=ExitCode.BAD_DATA)
    assert "(version 1 serves on)" in failed.stderr
    tag = platform.registry.version(MODEL, "1").tags["rollout"]
    assert tag.startswith("serving; configuration ")
    assert "failed: " in tag
    told = platform.twin("reconcile", expected=ExitCode.BAD_DATA)
    assert "champion of twin-tiny is version 1 with configuration" in told.stderr
    assert "change the recipe" in told.stderr
    assert (serving(platform), platform.champion()) == ("1", "1")
    change(platform, retrieval={})
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)


def publish_index(recipe, settings, embedder):
    """An index of one text that says it was built with this embedder."""
    spec = IndexSpec(embedder=embedder, chunker="test-1")
    chunk = Chunk(
        id=chunk_id("pods", "r1", 0, spec.chunker),
        document_id="pods",
        revision="r1",
        author_id="ann",
        ordinal=0,
        url="https://ann.example/pods",
        title="On pods",
        text="Every job is a pod.",
        token_count=5,
        chunker=spec.chunker,
    )
    with open_index(settings, recipe).write(spec, 4) as writer:
        writer.upsert([IndexedDocument("pods", "r1", [chunk], np.eye(4, dtype=np.float32)[:1])])
        writer.publish()


def test_another_embedder_waits_for_its_index(platform):
    change(platform, features={"embedder": "all-minilm-l6-v2"})
    recipe = load_recipe("tiny", platform.settings.recipes)
    for built_with in (None, "another@0123"):
        if built_with is not None:
            publish_index(recipe, platform.settings, built_with)
        told = platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
        assert "the index is not built with all-minilm-l6-v2 yet" in told.stderr
    wanted = load_embedder(recipe.features.embedder, platform.settings).id
    publish_index(recipe, platform.settings, wanted)
    platform.twin("reconcile")
    assert serving(platform) != "1"


@pytest.fixture
def prompts(platform):
    with Prompts(platform.settings) as prompts:
        numbers = [prompts.register(NAME, each)[0].version for each in TEMPLATES]
        prompts.promote(NAME, numbers[0])
        yield prompts, numbers
        # The prompt registry is shared with other tests, the model is not.
        prompts._send("DELETE", "registered-models/delete", {"name": NAME})


def test_a_prompt_is_rolled_out_and_goes_back_with_its_alias(platform, prompts):
    prompts, (first, second) = prompts
    platform.twin("start")
    asked_by_first = serving(platform)
    prompts.promote(NAME, second)
    platform.twin("start")
    asked_by_second = serving(platform)
    assert len({"1", asked_by_first, asked_by_second}) == 3
    platform.twin("rollback")
    assert serving(platform) == asked_by_first
    assert prompts.champion(NAME).version == first
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
    # Tried once more it is worse, and its alias returns.
    prompts.promote(NAME, second)
    platform.serve.manners[asked_by_second] = Manner(loads=False)
    platform.twin("start", expected=ExitCode.BAD_DATA)
    assert serving(platform) == asked_by_first
    assert prompts.champion(NAME).version == first
    platform.twin("reconcile", expected=ExitCode.NOTHING_TO_DO)
