"""Keeps a replica's keys as they are in the warehouse, from a thread of its own."""

import threading

import structlog

from twin.serving.access import Keys
from twin.settings import Settings
from twin.stores.api_keys import ApiKeys
from twin.stores.warehouse import open_warehouse

#: A key that is made or revoked is so for every replica after this long.
SECONDS_BETWEEN_LOOKS = 3.0

log = structlog.get_logger("twin.serving")


class KeyFollower:
    """Reads the live keys every few seconds. While the warehouse is away the last known ones hold.

    Every look reads all live keys, some hundred bytes each: what was missed is never missed for
    longer than one look.
    """

    def __init__(
        self, keys: Keys, settings: Settings, seconds: float = SECONDS_BETWEEN_LOOKS
    ) -> None:
        self._keys = keys
        self._settings = settings
        self._seconds = seconds
        self._ended = threading.Event()
        self._away = False
        keys.await_stored()

    def start(self) -> None:
        """Follow until the process ends or `end` is called."""
        threading.Thread(target=self._follow, name="keys", daemon=True).start()

    def end(self) -> None:
        """Stop after the look that is under way."""
        self._ended.set()

    def _follow(self) -> None:
        while not self._ended.is_set():
            try:
                self._look_again_and_again()
            except Exception as error:
                # Whatever it is, a key that is revoked must not stay open because this ended.
                if not self._away:
                    log.warning("last known keys hold", reason=f"{type(error).__name__}: {error}")
                self._away = True
            self._ended.wait(self._seconds)

    def _look_again_and_again(self) -> None:
        with open_warehouse(self._settings) as warehouse:
            stored = ApiKeys(warehouse)
            while not self._ended.is_set():
                self._keys.replace(stored.live())
                if self._away:
                    log.info("keys are read from the warehouse again")
                self._away = False
                self._ended.wait(self._seconds)
