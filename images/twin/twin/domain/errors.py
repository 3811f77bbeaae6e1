"""The ways in which a job may end badly, each with its exit code.

The codes follow sysexits.h so that Airflow's retry policy can tell them apart: 65 and 78 are
never retried, 75 is retried with backoff, 99 is shown as skipped.
"""

import errno
from enum import IntEnum


class ExitCode(IntEnum):
    """What a job tells its caller by its exit status."""

    DONE = 0
    FAILED = 1
    BAD_DATA = 65
    TRY_AGAIN = 75
    BAD_CONFIGURATION = 78
    NOTHING_TO_DO = 99


class TwinError(Exception):
    """A failure explained in one line that says what is wrong and what to do about it."""

    exit_code = ExitCode.FAILED


class BadDataError(TwinError):
    """The input or the recipe is wrong; running again changes nothing."""

    exit_code = ExitCode.BAD_DATA


class BadConfigurationError(TwinError):
    """A setting, credential or installed part is wrong; running again changes nothing."""

    exit_code = ExitCode.BAD_CONFIGURATION


class TryAgainError(TwinError):
    """Something outside (a store, a site) failed in a way that may pass."""

    exit_code = ExitCode.TRY_AGAIN


class OverloadedError(TryAgainError):
    """Too many answers are being written, or wait to be."""


class NothingToDo(TwinError):  # noqa: N818 - not a failure, and Airflow shows it as skipped
    """The output already matches the input."""

    exit_code = ExitCode.NOTHING_TO_DO


def disk_is_full(error: BaseException) -> bool:
    """Whether an error says that no space is left; libraries in Rust say so in words only."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return f"(os error {errno.ENOSPC})" in str(error)
