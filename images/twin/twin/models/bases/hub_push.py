"""Data sets on the Hugging Face hub: a folder becomes a commit there, under a tag of its version.

``HF_ENDPOINT`` names another hub.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError
from twin.models.bases.hub import online


def push_dataset(
    token: SecretStr | None, name: str, folder: Path, version: str, *, public: bool
) -> str:
    """Make a data set of the hub what a folder holds; returns the address of the version.

    The data set is created if there is none. Files that are not in the folder go from the newest
    commit, and stay under the tags of earlier versions. A version that has its tag is not pushed
    again: it never changes.

    Args:
        token: may write.
        name: OWNER/NAME.
        folder: with a README.md.
        version: tag of the commit.
        public: whether everybody may read a data set that is created; others stay as they are.

    Raises:
        BadConfigurationError: there is no token, or it may not write there.
        BadDataError: the hub does not take the name or the card.
        TryAgainError: the hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()  # in a log they are noise
    if token is None:
        raise BadConfigurationError(
            "to push needs a token that may write: set TWIN_HUB_TOKEN to one of the hub's account"
        )
    api: Any = HfApi(token=token.get_secret_value())
    of = {"repo_id": name, "repo_type": "dataset"}
    with _explained(api.endpoint, name), online():
        api.create_repo(**of, private=not public, exist_ok=True)
        known = {tag.name for tag in api.list_repo_refs(**of).tags}
        if version not in known:
            commit = api.upload_folder(
                **of,
                folder_path=folder,
                commit_message=f"Samples {version}",
                delete_patterns=["*"],
            )
            # Last: a push that was killed before has no tag, and is pushed again.
            api.create_tag(**of, tag=version, revision=commit.oid, exist_ok=True)
    return f"{api.endpoint}/datasets/{name}/tree/{version}"


@contextmanager
def _explained(endpoint: str, name: str) -> Iterator[None]:
    """Turn what the hub's library raises into the house's errors."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise BadDataError(f"{name!r} is no name of a hub's data set: {_line(error)}") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403, 404}:
            raise BadConfigurationError(
                f"the hub {endpoint} does not let the account of TWIN_HUB_TOKEN write {name}: "
                "check the name, and that the token may write there"
            ) from None
        if status in {400, 413, 422}:
            raise BadDataError(f"the hub {endpoint} refuses {name}: {_line(error)}") from None
        raise TryAgainError(
            f"the hub {endpoint} answers {status} for {name}: {_line(error)}"
        ) from None
    except ValueError as error:  # a card whose front matter it does not take, among others
        raise BadDataError(f"the hub {endpoint} refuses {name}: {_line(error)}") from None
    except httpx2.HTTPError as error:
        raise TryAgainError(
            f"the hub {endpoint} does not answer: {type(error).__name__}; try again"
        ) from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
