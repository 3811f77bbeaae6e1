"""Asks the endpoint whether it lives, lets nobody in without a key, and lets the key in."""

import os
import sys
import time
import urllib.error
import urllib.request

SECONDS_TO_COME_UP = int(os.environ.get("SECONDS_TO_COME_UP", "180"))


def status(path: str, key: str | None = None) -> int | str:
    """HTTP status of a GET, or why there is none."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(os.environ["TWIN_ENDPOINT_URL"] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


def main() -> int:
    """Ask; returns the exit status."""
    deadline = time.monotonic() + SECONDS_TO_COME_UP
    while (alive := status("/healthz")) != 200 and time.monotonic() < deadline:
        time.sleep(2)
    key = os.environ["TWIN_API_KEYS"].split(",")[0].strip()
    found = {
        "it lives": (alive, 200),
        "a caller without a key is refused": (status("/v1/models"), 401),
        "a caller with a key is served": (status("/v1/models", key), 200),
    }
    for what, (got, wanted) in found.items():
        print(f"{what}: {'yes' if got == wanted else f'NO: {got} instead of {wanted}'}")
    return int(any(got != wanted for got, wanted in found.values()))


sys.exit(main())
