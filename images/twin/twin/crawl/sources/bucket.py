"""Bucket sources: files below a prefix of an S3 bucket, of the formats that folders have."""

from urllib.parse import quote

from twin.crawl.formats.media_types import media_type_of
from twin.crawl.intake import Intake
from twin.crawl.page import Article, Page, UnusableError
from twin.crawl.read_article import read_article
from twin.crawl.sources.file_patterns import FilePatterns
from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.recipes import BucketSource
from twin.stores.files import FileStore
from twin.stores.stored_file import StoredFile


def read_bucket(source: BucketSource, intake: Intake) -> None:
    """Hand every object that the source includes to the intake, in order of their keys.

    An object whose ETag is that of the last crawl is not downloaded again. A bucket that is away,
    refuses, or holds nothing that matches is noted as the source's error.

    Raises:
        TwinError: the warehouse is away.
    """
    try:
        store = FileStore(source.uri)
        files = [file for file in store.listing() if FilePatterns(source.include).match(file.name)]
    except TwinError as error:
        intake.entry_errors.append(_of_source(source, error))
        return
    if not files:
        patterns = ", ".join(source.include)
        intake.entry_errors.append(
            BadDataError(f"source {source.name!r}: no object in {source.uri} matches {patterns}")
        )
        return
    with intake.job.progress(f"crawl {source.name}", len(files)) as advance:
        intake.advance = advance
        for file in intake.budget.allowed(files):
            if away := _take(source, store, file, intake):
                intake.entry_errors.append(_of_source(source, away))
                return


def _take(
    source: BucketSource, store: FileStore, file: StoredFile, intake: Intake
) -> TryAgainError | None:
    """Take one object; returns why the store did not answer, if it did not."""
    url = file_url(source, file.name)
    limits = intake.job.recipe.crawl
    limit = limits.max_page_bytes
    away: list[TryAgainError] = []
    if file.size > limit:
        intake.fail(url, f"{file.size:,} bytes, more than crawl.max_page_bytes = {limit:,}")
        return None

    def read() -> Article:
        try:
            body = store.read_listed(file)
            intake.budget.spend(len(body))
        except TryAgainError as error:
            away.append(error)
            raise UnusableError(str(error)) from None
        except TwinError as error:  # deleted since it was listed, or not ours to read
            raise UnusableError(str(error)) from None
        page = Page(url, body, media_type_of(file.name), drafts=source.drafts)
        return read_article(page, limits)

    intake.take_article(url, file.version.encode(), read)
    return away[0] if away else None


def _of_source(source: BucketSource, error: TwinError) -> TwinError:
    return type(error)(f"source {source.name!r}: {error}")


def file_url(source: BucketSource, name: str) -> str:
    """Canonical URL of an object: the source's prefix and its key below the source's own."""
    prefix = source.url_prefix or f"{source.uri.rstrip('/')}/"
    return prefix + quote(name)
