"""GitHub sources: what a user's repositories say, by shallow clones."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from twin.crawl.formats import media_types
from twin.crawl.formats.code import read_code
from twin.crawl.formats.media_types import media_type_of
from twin.crawl.intake import Intake
from twin.crawl.page import Article, Page, decode
from twin.crawl.read_article import read_article
from twin.crawl.sources.file_patterns import FilePatterns
from twin.crawl.sources.git_clone import Clone, CloneLimits, File, GitError, cloned
from twin.crawl.sources.github_api import Repository, repositories_of
from twin.crawl.sources.repository_licence import licence_of
from twin.crawl.user_agent import user_agent
from twin.crawl.web.site import HostCopies
from twin.domain.errors import TwinError
from twin.recipes import GithubSource
from twin.stores.addresses import AddressGuard, RefusedAddressError, host_and_port
from twin.stores.guarded_client import UnansweredError, UnknownHostError, resolved

SITE = "https://github.com"

_DOCUMENTS = {"text/markdown", media_types.NOTEBOOK}
# Others' code, and what programs wrote, by the names of folders and files.
_FOREIGN_FOLDERS = frozenset({
    ".eggs", ".git", ".ipynb_checkpoints", ".next", ".nuxt", ".tox", ".venv", ".yarn",
    "__pycache__", "__pypackages__", "_vendor", "bower_components", "build", "dist",
    "jspm_packages", "node_modules", "site-packages", "third-party", "third_party",
    "thirdparty", "vendor", "vendored", "venv",
})  # fmt: skip
_GENERATED_FILES = re.compile(
    r"(.*[-.]min\.(js|css|mjs)|.*\.bundle\.js|.*_pb2(_grpc)?\.pyi?|.*\.pb\.(go|cc|h)|.*\.g\.dart"
    r"|.*[-_.]generated\..*|.*\.designer\.cs|.*\.map|.*\.lock|.*[-.]lock\.(json|ya?ml)"
    r"|go\.sum|npm-shrinkwrap\.json|_version\.py|versioneer\.py)",
    re.IGNORECASE,
)
_POLICIES = re.compile(
    r"(license|licence|copying|notice|code_of_conduct|security|changelog|changes|history|authors"
    r"|contributors|pull_request_template|issue_template|bug_report|feature_request)\b.*",
    re.IGNORECASE,
)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class _Checkout:
    """What is known of a repository once it is cloned."""

    repository: Repository
    branch: str
    committed: datetime
    clone: Clone


def read_github(source: GithubSource, intake: Intake) -> None:
    """Hand the files of the user's repositories to the intake, one repository after another.

    A repository that cannot be cloned is a failure like a file's; that the list of repositories
    cannot be had is the source's error.

    Raises:
        TwinError: the warehouse is away.
    """
    try:
        wanted = repositories(source, intake)
    except TwinError as error:
        intake.entry_errors.append(type(error)(f"source {source.name!r}: {error}"))
        return
    with intake.job.progress(f"crawl {source.name}", None) as advance:
        intake.advance = advance
        for repository in wanted:
            if intake.budget.is_spent():
                return
            _read_repository(source, repository, intake)


def repositories(source: GithubSource, intake: Intake) -> list[Repository]:
    """Those that the source names, else those of its user that it wants.

    Raises:
        TwinError: GitHub's list cannot be had.
    """
    if source.repositories:
        return [Repository(name) for name in source.repositories]
    token = intake.job.settings.github_token
    found = repositories_of(
        source.user,
        HostCopies(source.hosts),
        _guard(source),
        token=token.get_secret_value() if token else None,
        user_agent=user_agent(intake.job),
    )
    wanted = [
        repository
        for repository in found
        if (source.forks or not repository.fork) and (source.archived or not repository.archived)
    ]
    if left_out := len(found) - len(wanted):
        intake.job.result.detail[f"{source.name}: forks and archived, left out"] = left_out
    return wanted


def _guard(source: GithubSource) -> AddressGuard:
    """Public addresses, and the copies that the recipe names."""
    copies = {host: base for host, base in source.hosts.items() if base.startswith("http")}
    return AddressGuard(HostCopies(copies).addresses)


def _read_repository(source: GithubSource, repository: Repository, intake: Intake) -> None:
    url = f"{SITE}/{source.user}/{repository.name}"
    if repository.size > source.max_repository_bytes:
        intake.fail(url, f"about {repository.size:,} bytes, more than max_repository_bytes")
        return
    try:
        fetched = HostCopies(source.hosts).fetch_url(f"{url}.git")
        limits = CloneLimits(
            bytes=source.max_repository_bytes,
            seconds=source.clone_timeout_seconds,
            file_bytes=source.max_file_bytes,
            resolve=_resolve(fetched, _guard(source)),
            user_agent=user_agent(intake.job),
        )
        with cloned(fetched, limits) as clone:
            committed = clone.committed()
            if committed is None:
                intake.skip("an empty repository")
                return
            # Repositories that the recipe names are not looked up in the API.
            repository = replace(repository, licence=repository.licence or licence_of(clone))
            checkout = _Checkout(repository, clone.branch(), committed, clone)
            _take_files(source, checkout, intake)
    except (RefusedAddressError, UnknownHostError) as error:
        intake.fail(url, str(error))
    except UnansweredError as error:
        intake.fail(url, str(error), transient=True)
    except GitError as error:
        intake.fail(url, f"cannot be cloned: {error}", transient=error.transient)


def _resolve(url: str, guard: AddressGuard) -> str | None:
    """``host:port:address`` to connect to, so that git does not resolve the name again."""
    if urlsplit(url).scheme == "file":
        return None
    guard.check_url(url)
    host, port = host_and_port(url)
    return f"{host}:{port}:{resolved(guard, host, port)}"


def _take_files(source: GithubSource, checkout: _Checkout, intake: Intake) -> None:
    files = list(_wanted(source, checkout.clone.files()))
    left_out = 0
    contents = checkout.clone.contents(files, source.max_file_bytes)
    for file, content in intake.budget.allowed(contents):
        intake.budget.spend(0 if isinstance(content, int) else len(content))
        if isinstance(content, int) or content.startswith(_LFS_POINTER):
            left_out += 1
        else:
            _take_file(source, checkout, file, content, intake)
    if left_out:
        key = f"{source.name}: files larger than max_file_bytes, left out"
        before = intake.job.result.detail.get(key, 0)
        intake.job.result.detail[key] = left_out + (before if isinstance(before, int) else 0)


def _wanted(source: GithubSource, files: list[File]) -> Iterator[File]:
    include, exclude = FilePatterns(source.include), FilePatterns(source.exclude)
    for file in files:
        if exclude.match(file.path) or not _is_readable(file.path, source):
            continue
        if include.match(file.path) if include else _is_the_author_s(file.path):
            yield file


def _is_readable(path: str, source: GithubSource) -> bool:
    media_type = media_type_of(path)
    if media_type == media_types.SOURCE_CODE:
        return source.code
    return "/" in media_type


def _is_the_author_s(path: str) -> bool:
    """Whether a file is likely written by the author: by its folders, its name and its type."""
    parts = PurePosixPath(path)
    if any(folder.lower() in _FOREIGN_FOLDERS for folder in parts.parts[:-1]):
        return False
    media_type = media_type_of(path)
    if _GENERATED_FILES.fullmatch(parts.name):
        return False
    if media_type == media_types.SOURCE_CODE:
        return True
    if _POLICIES.fullmatch(parts.name):
        return False
    if media_type == media_types.PLAIN_TEXT:
        return parts.suffix == ".rst" or parts.stem.lower() == "readme"
    return media_type in _DOCUMENTS


def _take_file(
    source: GithubSource, checkout: _Checkout, file: File, content: bytes, intake: Intake
) -> None:
    name, branch, licence = checkout.repository.name, checkout.branch, checkout.repository.licence
    url = f"{SITE}/{source.user}/{name}/blob/{quote(branch)}/{quote(file.path)}"

    def read() -> Article:
        page = Page(url, content, media_type_of(file.path), drafts=source.drafts)
        if page.media_type == media_types.SOURCE_CODE:
            article = read_code(decode(page), file.path)
        else:
            article = _named(read_article(page, intake.job.recipe.crawl), file.path, name)
        return replace(
            article,
            modified=checkout.committed,
            licence=article.licence or licence,
            tags=article.tags or checkout.repository.topics,
            canonical_url=None,
        )

    state = f"{file.sha} {file.path} {licence or ''}".strip()
    intake.take_article(url, state.encode(), read, expected=False)


def _named(article: Article, path: str, repository: str) -> Article:
    """The article, called by its path where all the title it has is the file's name."""
    stem = PurePosixPath(path).stem
    if re.sub(r"\W", "", article.title) != re.sub(r"\W", "", re.sub(r"[-_\s]+", " ", stem)):
        return article
    is_readme = stem.lower() == "readme" and "/" not in path
    return replace(article, title=repository if is_readme else path)
