"""Asks the endpoint whether it lives, lets nobody in without a key, and answers with one.

Each model that it serves is asked a question; before the first rollout there is none.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

SECONDS_TO_COME_UP = int(os.environ.get("SECONDS_TO_COME_UP", "180"))
SECONDS_TO_ANSWER = 120
QUESTION = "What do you write about?"


def request_of(path: str, key: str | None, body: object = None) -> urllib.request.Request:
    """A GET, or a POST of a body as JSON."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    data = None if body is None else json.dumps(body).encode()
    if data:
        headers["Content-Type"] = "application/json"
    return urllib.request.Request(os.environ["TWIN_ENDPOINT_URL"] + path, data, headers)


def status(path: str, key: str | None = None, body: object = None) -> int | str:
    """HTTP status, or why there is none."""
    seconds = 10 if body is None else SECONDS_TO_ANSWER
    try:
        with urllib.request.urlopen(request_of(path, key, body), timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


def models(key: str) -> list[str]:
    """Names of the models that are served."""
    with urllib.request.urlopen(request_of("/v1/models", key), timeout=10) as answer:
        return [model["id"] for model in json.load(answer)["data"]]


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
    if found["a caller with a key is served"][0] == 200:
        for model in models(key):
            messages = [{"role": "user", "content": QUESTION}]
            question = {"model": model, "messages": messages, "max_tokens": 32}
            found[f"{model} answers"] = (status("/v1/chat/completions", key, question), 200)
    for what, (got, wanted) in found.items():
        print(f"{what}: {'yes' if got == wanted else f'NO: {got} instead of {wanted}'}")
    return int(any(got != wanted for got, wanted in found.values()))


sys.exit(main())
