"""One rollout at a time on one machine: the Serve configuration is written as a whole."""

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from twin.domain.errors import TryAgainError
from twin.settings import Settings

WAIT_SECONDS = 300.0


@contextmanager
def one_rollout(settings: Settings) -> Iterator[None]:
    """Hold the lock; wait for a rollout that is under way, which is a matter of a minute.

    The lock ends with its process, however that ends. On a cluster rollouts come from different
    pods: there `KubeRay.apply`, which renders anew when another was first, does this.

    Raises:
        TryAgainError: another rollout holds it for too long.
    """
    folder = settings.home.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "rollout.lock", timeout=WAIT_SECONDS)
    try:
        lock.acquire()
    except Timeout:
        raise TryAgainError("another rollout has been under way for minutes: see its log") from None
    try:
        yield
    finally:
        lock.release()
