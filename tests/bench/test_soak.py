"""Mixed load on a running endpoint with a tiny model, for TWIN_SOAK_MINUTES (30 if unset).

Half of the callers ask one question after the other (closed loop), half come at random times
whatever is answered (open loop, Poisson). Of all requests one in twenty breaks off in the middle
and one in twenty is malformed. Measured: every status, and the memory that the endpoint's processes
hold for themselves (PSS), each minute. The first part warms up. `make bench-soak` prints both.
"""

import asyncio
import json
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx
import psutil
import pytest

from tests.twin import twins
from tests.twin.serving_platform import KEY, running, settings_of
from twin.domain.rollout import RolloutState
from twin.stores.rollout_states import RolloutStates

MINUTES = float(os.environ.get("TWIN_SOAK_MINUTES", "30"))
CALLERS = int(os.environ.get("TWIN_SOAK_CALLERS", "4"))
#: Requests a second of the open loop: about what the closed loop leaves of two cores.
RATE = float(os.environ.get("TWIN_SOAK_RATE", "2"))
WARM_UP_SHARE = 0.25
MOST_GROWTH = 0.05
ABORTED = MALFORMED = 0.05
SAMPLES_A_MINUTE = 6
#: What a busy endpoint says as it should: the queue before it is full.
ASKED_FOR = {503}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 + 600)]

QUESTIONS = (
    "Why is every job a pod?",
    "What is a revision?",
    "How do I roll back?",
    "Wal?",
    "x " * 300,
)
MALFORMED_BODIES = (
    (400, b"{no json"),
    (400, b'{"question": ""}'),
    (400, b'{"question": "Why?", "k": -1}'),
    (400, b'{"question": "Why?", "k": 1e99}'),
    (404, b'{"question": "Why?", "model": "nobody"}'),
    (400, b"[" * 5_000),
    (400, json.dumps({"question": "x" * 5_000}).encode()),
)
PATHS = ("/v1/answers", "/v1/chat/completions", "/v1/responses", "/v1/completions")
ASSISTANT = {"accept": "application/json, text/event-stream"}
ASSISTANTS = 0.1


@dataclass
class Seen:
    """What callers met."""

    statuses: Counter = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    aborted: int = 0
    broken: int = 0

    def note(self, status: int, expected: int, text: str) -> None:
        self.statuses[status] += 1
        if status != expected and status not in ASKED_FOR:
            self.surprises.append(f"HTTP {status}, not {expected}: {text[:200]}")


def body_of(path: str, question: str, *, stream: bool) -> dict[str, object]:
    common = {"model": "twin-tiny", "stream": stream}
    if path == "/v1/answers":
        return {**common, "question": question, "max_tokens": 16}
    if path == "/v1/chat/completions":
        return {**common, "messages": [{"role": "user", "content": question}], "max_tokens": 16}
    if path == "/v1/responses":
        return {**common, "input": question, "max_output_tokens": 16}
    return {**common, "prompt": question, "max_tokens": 16}


async def one_request(http: httpx.AsyncClient, draw: random.Random, seen: Seen) -> None:
    kind = draw.random()
    if kind < MALFORMED:
        expected, content = draw.choice(MALFORMED_BODIES)
        answered = await http.post(
            "/v1/answers", content=content, headers={"content-type": "application/json"}
        )
        seen.note(answered.status_code, expected, answered.text)
        return
    path, question = draw.choice(PATHS), draw.choice(QUESTIONS)
    if kind < MALFORMED + ABORTED:
        async with http.stream("POST", path, json=body_of(path, question, stream=True)) as answered:
            if answered.status_code != 200:
                seen.note(answered.status_code, 200, (await answered.aread()).decode())
                return
            async for _ in answered.aiter_raw():
                break
        seen.aborted += 1
        return
    if kind < MALFORMED + ABORTED + ASSISTANTS:
        call = {"name": draw.choice(("ask", "search")), "arguments": {"question": question}}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answered = await http.post("/mcp", json=body, headers=ASSISTANT)
        seen.note(answered.status_code, 200, answered.text)
        if '"isError":true' in answered.text:
            seen.surprises.append(f"a tool failed: {answered.text[:200]}")
        return
    stream = draw.random() < 0.5
    async with http.stream("POST", path, json=body_of(path, question, stream=stream)) as answered:
        text = (await answered.aread()).decode()
    seen.note(answered.status_code, 200, text)
    if stream and '"server_error"' in text:
        seen.broken += 1
        seen.surprises.append(f"a stream broke off: {text[-200:]}")


async def load(url: str, seconds: float, seen: Seen) -> None:
    until = time.monotonic() + seconds
    headers = {"Authorization": f"Bearer {KEY}"}
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120, limits=limits) as http:

        async def closed(seed: int) -> None:
            draw = random.Random(seed)
            while time.monotonic() < until:
                await one_request(http, draw, seen)

        async def opened() -> None:
            draw, under_way = random.Random(99), set()
            while time.monotonic() < until:
                await asyncio.sleep(draw.expovariate(RATE))
                task = asyncio.create_task(one_request(http, draw, seen))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            await asyncio.gather(*under_way)

        await asyncio.gather(opened(), *(closed(seed) for seed in range(CALLERS)))


def memory_of(process: psutil.Process) -> int:
    """Bytes that a process and all below it hold, shared pages divided among their holders."""
    total = 0
    for each in [process, *process.children(recursive=True)]:
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue
    return total


async def watch(process: psutil.Process, seconds: float, found: list[int]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found.append(await asyncio.to_thread(memory_of, process))
        await asyncio.sleep(60 / SAMPLES_A_MINUTE)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    home = tmp_path_factory.mktemp("soak")
    settings, environment = settings_of(home / "home", "http://127.0.0.1:1")
    recipe = twins.write_recipe(settings.recipes, max_new_tokens=16, answers_kept_days=0)
    twins.index_texts(recipe, settings)
    served = twins.served(recipe, "1", *twins.publish_weights(settings, home / "weights"))
    RolloutStates(settings).save(
        RolloutState(model="twin-tiny", versions=(served,), weights={"1": 100})
    )
    with running(settings, environment) as made:
        yield made


def test_a_long_load_breaks_nothing_and_takes_no_more_memory(platform):
    """MINUTES. Buys leaks, and what only the thousandth request meets."""
    with platform.client() as client:
        ready = client.post("/v1/answers", json={"question": QUESTIONS[0], "model": "twin-tiny"})
        assert ready.status_code == 200, ready.text
    seen, memory = Seen(), []
    process = psutil.Process(platform.process.pid)

    async def both() -> None:
        await asyncio.gather(
            load(platform.settings.endpoint_url, MINUTES * 60, seen),
            watch(process, MINUTES * 60, memory),
        )

    asyncio.run(both())
    warm = memory[int(len(memory) * WARM_UP_SHARE) :]
    quarter = max(1, len(warm) // 4)
    first, last = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    growth = last / first - 1
    total = sum(seen.statuses.values()) + seen.aborted
    print(f"\n{MINUTES:g} minutes: {total:,} requests, {seen.aborted:,} broken off by callers, "
          f"statuses {dict(sorted(seen.statuses.items()))}")  # fmt: skip
    print(f"memory after warm-up {first / 1e6:,.0f} MB, at the end {last / 1e6:,.0f} MB: "
          f"{growth:+.1%}")  # fmt: skip
    print("each minute (MB):", [round(each / 1e6) for each in memory[::SAMPLES_A_MINUTE]])
    assert not seen.surprises, seen.surprises[:10]
    assert total > 10 * MINUTES
    assert growth <= MOST_GROWTH
