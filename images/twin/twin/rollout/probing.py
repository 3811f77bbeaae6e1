"""What a version has to be before it gets traffic: its weights, and answers to own questions."""

from twin.domain.answer import Answer
from twin.domain.errors import BadDataError
from twin.domain.rollout import ServedVersion
from twin.recipes.rollout import SmokeQuestion
from twin.stores.files import FileStore


def check_weights(files: FileStore, new: ServedVersion) -> None:
    """Raises `BadDataError` where weights, or their base, are not those that were registered."""
    places = [(new.weights_uri, new.weights_digest)]
    if new.base_uri and new.base_digest:
        places.append((new.base_uri, new.base_digest))
    for uri, digest in places:
        relative = files.relative(uri)
        if not files.is_published(relative):
            raise BadDataError(f"no weights at {uri}")
        if files.published_digest(relative) != digest:
            raise BadDataError(
                f"{uri} holds not the weights that were registered: run `twin training "
                "package` again"
            )


def check_version(name: str, answer: Answer, new: ServedVersion) -> None:
    """Raises `BadDataError` where another version has answered."""
    if answer.model_version != new.name:
        raise BadDataError(f"{name} answered as version {answer.model_version}, not {new.name}")


def check_smoke(name: str, answer: Answer, smoke: SmokeQuestion) -> None:
    """Raises `BadDataError` where the answer is not what the recipe expects of the question."""
    asked = f"{name} was asked {smoke.question!r} (serving.rollout.smoke)"
    if smoke.expect == "refusal":
        if not answer.refused:
            raise BadDataError(f"{asked} and should have refused: it answered")
        return
    if answer.refused or not answer.answer.strip():
        raise BadDataError(f"{asked} and gave no answer")
    if smoke.expect == "sources" and not any(each.supported for each in answer.sentences):
        raise BadDataError(f"{asked}, and no source supports a sentence of its answer")
