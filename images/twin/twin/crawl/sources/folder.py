"""Folder sources: files of every format that is read, as pages."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from twin.crawl.formats.media_types import media_type_of
from twin.crawl.intake import Intake
from twin.crawl.page import Page
from twin.crawl.web.urls import page_number
from twin.domain.errors import BadDataError
from twin.recipes import FolderSource
from twin.recipes.places import BESIDE_RECIPE


def read_folder(source: FolderSource, intake: Intake) -> None:
    """Hand every file that the source includes to the intake, in order of their paths.

    Without such a folder, or such a file in it, that is noted as the source's error.

    Raises:
        TwinError: the warehouse is away.
    """
    where = f"source {source.name!r}: no"
    if not source.path.is_dir():
        error = BadDataError(f"{where} folder {source.path} {BESIDE_RECIPE}")
        intake.entry_errors.append(error)
        return
    files = sorted(_files(source))
    if not files:
        patterns = ", ".join(source.include)
        intake.entry_errors.append(
            BadDataError(f"{where} file in {source.path} matches {patterns}")
        )
        return
    intake.claims.named.files = frozenset(page_number(file_url(source, path)) for path in files)
    with intake.job.progress(f"crawl {source.name}", len(files)) as advance:
        intake.advance = advance
        for path in intake.budget.allowed(files):
            _read_file(source, path, intake)


def _files(source: FolderSource) -> Iterator[Path]:
    found = {path for pattern in source.include for path in source.path.glob(pattern)}
    return (path for path in found if path.is_file())


def _read_file(source: FolderSource, path: Path, intake: Intake) -> None:
    url = file_url(source, path)
    # A link out of the folder could publish any file of this machine.
    if not path.resolve().is_relative_to(source.path.resolve()):
        intake.fail(url, "a link out of the folder")
        return
    limit = intake.job.recipe.crawl.max_page_bytes
    try:
        size = path.stat().st_size
        if size > limit:
            intake.fail(url, f"{size:,} bytes, more than crawl.max_page_bytes = {limit:,}")
            return
        body = path.read_bytes()
        intake.budget.spend(len(body))
    except OSError as error:
        intake.fail(url, f"cannot be read: {error.strerror}")
        return
    intake.take(Page(url, body, media_type_of(path.name), drafts=source.drafts))


def file_url(source: FolderSource, path: Path) -> str:
    """Canonical URL of a file: the source's prefix and the file's path within its folder."""
    prefix = source.url_prefix or f"folder://{source.name}/"
    # Bytes, since a name need not be UTF-8.
    return prefix + quote(bytes(path.relative_to(source.path)))
