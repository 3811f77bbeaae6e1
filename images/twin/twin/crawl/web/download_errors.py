"""Why a request ended without a page, and whether that may pass."""

from scrapy.exceptions import IgnoreRequest  # noqa: TID253 - imported by the spiders, lazily
from scrapy.spidermiddlewares.httperror import HttpError  # noqa: TID253 - as above

from twin.crawl.web.politeness import UnknownRobotsError
from twin.stores.addresses import RefusedAddressError
from twin.stores.guarded_client import UnknownHostError

# Answers that may be different next time (RFC 9110; 429 is RFC 6585).
TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
TOO_LARGE = "larger than crawl.max_page_bytes"
REASONS = {
    "DownloadConnectionRefusedError": "connection refused",
    "CannotResolveHostError": "its host name cannot be looked up for now",
    "DownloadTimeoutError": "no answer in time (crawl.download_timeout_seconds)",
    "ResponseDataLossError": "connection broke before the end",
    "DownloadCancelledError": TOO_LARGE,
    "DownloadFailedError": "connection failed",
}
PERMANENT_FAILURES = frozenset({"DownloadCancelledError", "UnsupportedURLSchemeError"})
# What Scrapy's middlewares say when they drop a request.
OFF_LIMITS = ("Forbidden by robots.txt", "Filtered offsite request")


def is_off_limits(error: BaseException) -> bool:
    """Whether robots.txt or a redirect off the site kept us from a page: no failure of it."""
    return isinstance(error, IgnoreRequest) and str(error).startswith(OFF_LIMITS)


def explain(error: BaseException) -> tuple[str, bool]:
    """Why a request ended without a page, and whether that may pass."""
    if isinstance(error, HttpError):
        status = error.response.status
        return f"answered {status}", status in TRANSIENT_STATUSES
    if isinstance(error, RefusedAddressError | UnknownHostError):
        return f"was not fetched: {error}", False
    if isinstance(error, UnknownRobotsError):
        why = f"answered {error.status}" if error.error is None else explain(error.error)[0]
        return f"was not fetched: its site's robots.txt: {why}", True
    name = type(error).__name__
    if isinstance(error, IgnoreRequest):
        if "exceeded DOWNLOAD_MAXSIZE" in str(error):  # while it was decompressed
            return TOO_LARGE, False
        return f"was not fetched: {_line(error)}", False
    reason = REASONS.get(name, f"failed: {_line(error)}")
    return reason, name not in PERMANENT_FAILURES


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
