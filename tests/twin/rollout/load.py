"""Callers who ask all the time, half of them by streams, and note what they got."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.twin.serving_platform import Platform

QUESTION = "Why pods?"
TOKENS = 8


@dataclass
class Load:
    """What callers met, each as the version that answered and the text."""

    answers: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def texts(self, version: str) -> set[str]:
        return {text for found, text in self.answers if found == version}


@contextmanager
def asking(platform: Platform, callers: int = 4) -> Iterator[Load]:
    """Ask until the block ends; every request that was begun is waited for."""
    load, stop = Load(), threading.Event()
    threads = [
        threading.Thread(target=_ask, args=(platform, load, stop, number % 2 == 0))
        for number in range(callers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _ask(platform: Platform, load: Load, stop: threading.Event, stream: bool) -> None:
    with platform.client() as client:
        while not stop.is_set():
            try:
                load.answers.append(_streamed(client) if stream else _whole(client))
            except Exception as error:
                load.failures.append(f"{type(error).__name__}: {error}")


def _whole(client) -> tuple[str, str]:
    body = {"question": QUESTION, "max_tokens": TOKENS}
    answer = client.post("/v1/answers", json=body).raise_for_status().json()
    return answer["model_version"], answer["answer"]


def _streamed(client) -> tuple[str, str]:
    body = {
        "model": "twin-tiny",
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": TOKENS,
        "stream": True,
    }
    with client.stream("POST", "/v1/chat/completions", json=body) as response:
        response.raise_for_status()
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    if lines[-1] != "[DONE]":
        raise AssertionError(f"the stream was cut: {lines[-1]}")
    chunks = [json.loads(line) for line in lines[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    return chunks[-1]["model_version"], text.strip()
