"""GitHub's list of a user's public repositories (REST API, version 2022-11-28)."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twin.crawl.web.site import HostCopies
from twin.domain.errors import BadConfigurationError, BadDataError, TryAgainError, TwinError
from twin.stores.addresses import AddressGuard, RefusedAddressError
from twin.stores.guarded_client import Answer, UnansweredError, UnknownHostError, get

API = "https://api.github.com"
_PER_PAGE = 100
_MAX_PAGES = 50
_MAX_ANSWER_BYTES = 20_000_000
_TIMEOUT_SECONDS = 30
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Repository:
    """A repository as the API lists it.

    Attributes:
        size: in bytes, as the API estimates it.
        licence: SPDX name.
    """

    name: str
    size: int = 0
    fork: bool = False
    archived: bool = False
    licence: str | None = None
    topics: tuple[str, ...] = ()


def repositories_of(
    user: str, copies: HostCopies, guard: AddressGuard, *, token: str | None, user_agent: str
) -> list[Repository]:
    """All public repositories of a user, by name.

    Args:
        token: sent to GitHub itself only, never to a copy.

    Raises:
        BadDataError: there is no such user, or the answer is none of GitHub's.
        BadConfigurationError: the token is refused.
        TryAgainError: the API is away, or its limit of requests is used up.
    """
    found: list[Repository] = []
    for page in range(1, _MAX_PAGES + 1):
        url = f"{API}/users/{user}/repos?per_page={_PER_PAGE}&page={page}&type=owner&sort=full_name"
        fetched = copies.fetch_url(url)
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": user_agent,
        }
        if token and fetched == url:
            headers["Authorization"] = f"Bearer {token}"
        entries = _entries(_fetch(fetched, guard, headers), user)
        found += [_repository(entry) for entry in entries]
        if len(entries) < _PER_PAGE:
            break
    return sorted(found, key=lambda repository: repository.name)


def _fetch(url: str, guard: AddressGuard, headers: Mapping[str, str]) -> Answer:
    """An answer that is neither a passing failure nor a refusal."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        try:
            answer = get(
                url, guard, headers=headers,
                timeout_seconds=_TIMEOUT_SECONDS, max_bytes=_MAX_ANSWER_BYTES,
            )  # fmt: skip
        except (RefusedAddressError, UnknownHostError) as error:
            raise BadDataError(f"GitHub's API: {error}") from None
        except UnansweredError as error:
            reason = str(error)
            continue
        if answer.status < 500:
            return answer
        reason = f"answered {answer.status}"
    raise TryAgainError(f"GitHub's API ({url.partition('?')[0]}): {reason}")


def _entries(answer: Answer, user: str) -> list[dict[str, Any]]:
    if answer.status != 200:
        raise _refusal(answer, user)
    try:
        entries = json.loads(answer.body)
    except ValueError:
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadDataError(f"GitHub's API answered for user {user} with no list of repositories")
    return entries


def _refusal(answer: Answer, user: str) -> TwinError:
    if answer.status == 404:
        return BadDataError(f"GitHub has no user {user}")
    if answer.status == 401:
        return BadConfigurationError("GitHub refuses the token: see TWIN_GITHUB_TOKEN")
    if answer.status == 429 or answer.headers.get("x-ratelimit-remaining") == "0":
        return TryAgainError(
            f"GitHub's limit of requests is used up{_until(answer.headers)}: set "
            "TWIN_GITHUB_TOKEN for a higher one, or name the repositories in the recipe"
        )
    if answer.status in {301, 302, 307, 308}:
        return BadDataError(f"GitHub answers that user {user} has moved: give today's name")
    if answer.status == 403:
        return TryAgainError(f"GitHub's API refuses to list the repositories of {user} for now")
    return BadDataError(f"GitHub's API answered {answer.status} for user {user}")


def _until(headers: Mapping[str, str]) -> str:
    try:
        reset = datetime.fromtimestamp(int(headers.get("x-ratelimit-reset", "")), UTC)
    except (ValueError, OverflowError, OSError):
        return ""
    return f" until {reset:%H:%M} UTC"


def _repository(entry: dict[str, Any]) -> Repository:
    licence = entry.get("license")
    name = licence.get("spdx_id") if isinstance(licence, dict) else None
    topics = entry.get("topics")
    return Repository(
        name=str(entry.get("name") or ""),
        size=int(entry.get("size") or 0) * 1024,
        fork=bool(entry.get("fork")),
        archived=bool(entry.get("archived")),
        licence=str(name) if name and name != "NOASSERTION" else None,
        topics=tuple(str(topic) for topic in topics) if isinstance(topics, list) else (),
    )
