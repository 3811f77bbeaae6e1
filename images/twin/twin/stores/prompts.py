"""The prompt registry: versions of each recipe's prompt template, and which is its champion.

MLflow keeps prompts among its registered models, marked by tags; its own pages show and compare
them (https://mlflow.org/docs/latest/genai/prompt-registry). They are read and written by
`twin.stores.mlflow_rest`, as models are.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from twin.domain.errors import BadDataError
from twin.recipes.prompt import check_template
from twin.stores.mlflow_connection import ui_url
from twin.stores.mlflow_rest import AlreadyExistsError, MlflowRest
from twin.stores.registry import CHAMPION, MODEL_PREFIX, PREVIOUS

#: After a registered model's name: the prompt that it is asked by. No recipe's name has the line.
SUFFIX = "_prompt"

#: MLflow's own tags of a prompt and of its versions.
IS_PROMPT = "mlflow.prompt.is_prompt"
TEXT = "mlflow.prompt.text"
TYPE = "_mlflow_prompt_type"
#: MLflow wants a source of every version, and of a prompt this one.
SOURCE = "prompt-template"

MESSAGE_CHARACTERS = 1_000
_PAGE = "100"

log = structlog.get_logger("twin")


@dataclass(frozen=True)
class PromptVersion:
    """A registered template; ``aliases`` are those that point at it, sorted."""

    name: str
    version: str
    template: str
    message: str = ""
    created_ms: int = 0
    aliases: tuple[str, ...] = ()


class Prompts(MlflowRest):
    """Registered prompts and their aliases; errors are those of `MlflowRest`."""

    def register(self, name: str, template: str, message: str = "") -> tuple[PromptVersion, bool]:
        """Register a template; returns its version, and whether it is new.

        A template that is registered already is that version: registering it again changes
        nothing.

        Raises:
            BadDataError: the template can't be shown (see `check_template`), or MLflow refuses it.
        """
        try:
            check_template(template)
        except ValueError as error:
            raise BadDataError(f"the template is not registered: {error}") from None
        for known in self.versions(name):
            if known.template == template:
                return known, False
        self._create_prompt(name)
        tags = {IS_PROMPT: "true", TEXT: template, TYPE: "text"}
        body = {
            "name": name,
            "source": SOURCE,
            "description": message[:MESSAGE_CHARACTERS],
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        made = _parse(self._post("model-versions/create", body)["model_version"], {})
        log.info("prompt registered", prompt=name, version=made.version)
        return made, True

    def versions(self, name: str) -> list[PromptVersion]:
        """All versions of a prompt, oldest first; none if there is no such prompt."""
        prompt = self._get("registered-models/get", name=name)
        if prompt is None:
            return []
        aliases = _aliases(prompt["registered_model"])
        found = [_parse(item, aliases) for item in self._search_versions(name)]
        return sorted(found, key=lambda item: int(item.version))

    def version(self, name: str, version: str) -> PromptVersion:
        """One version.

        Raises:
            BadDataError: it is not there; names those that are.
        """
        versions = self.versions(name)
        for item in versions:
            if item.version == version:
                return item
        known = ", ".join(item.version for item in versions) or "none"
        raise BadDataError(f"{name} has no version {version}: there are {known}")

    def champion(self, name: str) -> PromptVersion | None:
        """The version that the alias ``champion`` points at; None if there is none."""
        found = self._get("registered-models/alias", name=name, alias=CHAMPION)
        return None if found is None else _parse(found["model_version"], {})

    def promote(self, name: str, version: str) -> bool:
        """Make a version the champion, and the old champion ``previous``; returns whether it moved.

        ``previous`` is set first, as `twin.stores.registry.Registry.promote` does.

        Raises:
            BadDataError: there is no such version, or its template can't be shown.
        """
        wanted = self.version(name, version)
        check_registered(wanted)
        before = self.champion(name)
        if before is not None and before.version == version:
            return False
        if before is not None:
            self._set_alias(name, PREVIOUS, before.version)
        self._set_alias(name, CHAMPION, version)
        log.info("prompt promoted", prompt=name, version=version)
        return True

    def url(self, name: str) -> str:
        """The prompt's page in MLflow's web UI."""
        return f"{ui_url(self._settings)}/#/prompts/{name}"

    def _search_versions(self, name: str) -> Iterator[dict[str, Any]]:
        token = ""
        query = {"filter": f"name = '{name}' AND tags.`{IS_PROMPT}` = 'true'"}
        while True:
            page = {**query, "max_results": _PAGE, **({"page_token": token} if token else {})}
            answer = self._get("model-versions/search", **page) or {}
            yield from answer.get("model_versions", [])
            token = answer.get("next_page_token", "")
            if not token:
                return

    def _create_prompt(self, name: str) -> None:
        body = {"name": name, "tags": [{"key": IS_PROMPT, "value": "true"}]}
        try:
            self._post("registered-models/create", body)
        except AlreadyExistsError:
            log.debug("registered prompt is there already", prompt=name)

    def _set_alias(self, name: str, alias: str, version: str) -> None:
        body = {"name": name, "alias": alias, "version": version}
        self._post("registered-models/alias", body)


def prompt_name(model: str) -> str:
    """Name of the registered prompt by which a registered model is asked."""
    if not model.startswith(MODEL_PREFIX):
        raise ValueError(f"{model} is no registered model of this system")
    return model + SUFFIX


def check_registered(version: PromptVersion) -> None:
    """Refuse a template that somebody has registered elsewhere and that can't be shown.

    Raises:
        BadDataError: says what is wrong, and what to do.
    """
    try:
        check_template(version.template)
    except ValueError as error:
        raise BadDataError(
            f"{version.name} version {version.version} can't be served: {error}; register one "
            "that can by `twin serving prompts register`"
        ) from None


def _aliases(prompt: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for item in prompt.get("aliases", ()):
        version = str(item["version"])
        found[version] = tuple(sorted((*found.get(version, ()), item["alias"])))
    return found


def _parse(item: Mapping[str, Any], aliases: Mapping[str, tuple[str, ...]]) -> PromptVersion:
    version = str(item["version"])
    tags = {tag["key"]: tag.get("value", "") for tag in item.get("tags", [])}
    return PromptVersion(
        name=item["name"],
        version=version,
        template=tags.get(TEXT, ""),
        message=item.get("description", ""),
        created_ms=int(item.get("creation_timestamp", 0)),
        aliases=aliases.get(version, ()),
    )
