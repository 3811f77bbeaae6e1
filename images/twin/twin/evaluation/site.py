"""Where and by what settings an evaluation's answers are written."""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from twin.models.embedder import Embedder
from twin.recipes import Recipe, ServingSection
from twin.settings import Settings
from twin.stores.chosen_decoding import with_chosen_decoding
from twin.stores.index import open_index
from twin.stores.index_release import nothing_published
from twin.stores.kept_answers import KeptAnswers

PATIENCE_SECONDS = 3_600
"""What an answer may take: a caller's patience is no property of a model."""


@dataclass(frozen=True)
class Site:
    """Where and by what settings answers are written.

    Attributes:
        recipe: with the engine that runs here in ``serving``.
        settings: of this machine.
        kept: the answers so far.
        embedder: gives the recipe's; called only if a model must run.
        engine_note: why the engine is another than serving's; "" if it is the same.
    """

    recipe: Recipe
    settings: Settings
    kept: KeptAnswers
    embedder: Callable[[], Embedder]
    engine_note: str = ""

    def of_version(self, version: str, tags: Mapping[str, str]) -> "Site":
        """As this version is served, which a study of decoding may have chosen (see its tags).

        Raises:
            BadDataError: the tag can't be read or served.
        """
        return replace(self, recipe=with_chosen_decoding(self.recipe, version, tags))

    @property
    def engine(self) -> str:
        """The engine with what shapes its answers, for people: ``llama.cpp q8_0``."""
        serving = self.recipe.serving
        if serving.engine_kind == "llama.cpp":
            return f"llama.cpp {serving.llama_cpp.quantisation}"
        return serving.engine_kind

    @cached_property
    def index_digest(self) -> str:
        """Digest of all that retrieval depends on: what is published, and by what it is searched.

        Raises:
            BadDataError: nothing is published yet.
        """
        state = open_index(self.settings, self.recipe).state()
        if state is None:
            raise nothing_published(self.recipe.name)
        return hashlib.sha256(state.model_dump_json().encode()).hexdigest()


def open_site(
    recipe: Recipe, settings: Settings, kept: KeptAnswers, embedder: Callable[[], Embedder]
) -> Site:
    """The site of a recipe, with an engine that runs in this environment.

    Nobody waits for these answers, so that a busy machine neither cuts one short nor gives one up.
    """
    serving, note = runnable(recipe.serving)
    patience = {"answer_timeout_seconds": PATIENCE_SECONDS, "max_wait_seconds": PATIENCE_SECONDS}
    serving = serving.model_copy(update=patience)
    return Site(recipe.model_copy(update={"serving": serving}), settings, kept, embedder, note)


def runnable(serving: ServingSection) -> tuple[ServingSection, str]:
    """Serving by an engine that runs in this process, and why it is another than the recipe's.

    Prompts, retrieval, decoding and guardrails stay those of serving in any case.
    """
    kind = serving.engine_kind
    if kind == "transformers":
        return serving, ""
    if kind == "llama.cpp" and importlib.util.find_spec("xllamacpp") is not None:
        return serving, ""
    reason = {
        "llama.cpp": "llama.cpp is not installed here",
        "vllm": "vLLM does not run in the environment of evaluations",
        "remote": "a remote endpoint does not run the candidate's weights",
    }[kind]
    return serving.model_copy(update={"engine": "transformers"}), f"{reason}: transformers answers"


def slots_of(serving: ServingSection) -> int:
    """How many answers the engine writes at once."""
    if serving.engine_kind == "llama.cpp":
        return serving.llama_cpp.parallel
    return serving.answers_at_once
