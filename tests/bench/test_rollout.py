"""Rollouts under constant load, half of them bad in ten ways: how many requests are lost.

In this process the router is the real one, and versions answer as is written down for them
(tests/twin/rollout/serve_in_process.py): what is measured is whether the weights, the analysis and
the way back do what they promise, rollout after rollout. Rollouts of real models on a real Ray,
with callers, are tests of `make test` (tests/twin/rollout/test_rollout.py).

Resumable: each rollout is a line of the file TWIN_BENCH_ROLLOUTS names (build/rollouts.jsonl), and
those that are there already are not run again. TWIN_BENCH_GOOD and TWIN_BENCH_BAD say how many
there are to be in all.
"""

import collections
import json
import os
import statistics
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.twin.rollout import serve_in_process
from tests.twin.rollout.conftest import make_stage  # noqa: F401 - a fixture
from tests.twin.rollout.serve_in_process import UNANSWERABLE, Manner, listening
from twin.domain.errors import TwinError
from twin.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7_200)]

GOOD = int(os.environ.get("TWIN_BENCH_GOOD", "50"))
BAD = int(os.environ.get("TWIN_BENCH_BAD", "50"))
FILE = Path(os.environ.get("TWIN_BENCH_ROLLOUTS", "build/rollouts.jsonl"))
CALLERS = 4
PAUSE = 0.02
"""Of a caller between two questions, lest the callers' processor be what is measured."""
LATE = 5.0
"""Longer than any answer here takes: a request that hangs is lost too."""

KINDS = {
    "can't load": lambda: Manner(loads=False),
    "junk": lambda: Manner(cites=False, text="pod pod pod pod pod pod"),
    "five times slower": lambda: Manner(first_seconds=0.05),
    "dies after 100 answers": lambda: Manner(fails_after=100),
    "dies at once": lambda: Manner(fails_after=2),
    "another version": lambda: Manner(version="7"),
    "refuses all": lambda: Manner(refuses=True),
    "cites nothing": lambda: Manner(cites=False),
    "leaks": lambda: Manner(text="My key is [removed] and my pod is mine."),
    "answers what it can't know": lambda: Manner(answers_all=True),
}
#: What the new version is compared with takes a hundredth of a second.
USUAL = {"first_seconds": 0.01}
RECIPE = {
    "traffic_steps": [20, 50, 100],
    "step_seconds": 4,  # long enough for what shows after a hundred answers
    "rollout": {
        "smoke": [{"question": UNANSWERABLE, "expect": "refusal"}],
        "shadow_percent": 50,
        "shadow_seconds": 4,
        "analysis_seconds": 20,
    },
}


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path)


class Callers:
    """Threads that ask all the time, half of them by streams, each question a conversation."""

    def __init__(self, url: str) -> None:
        self.phase = "before"
        self.seconds: dict[str, list[float]] = collections.defaultdict(list)
        self.lost: list[str] = []
        self.by_new: collections.Counter[str] = collections.Counter()
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _ask(self, caller: int) -> None:
        headers = {"Authorization": "Bearer key"}
        with httpx.Client(base_url=self._url, headers=headers, timeout=LATE) as client:
            number = 0
            while not self._stop.is_set():
                number += 1
                question, stream = f"Question {caller}-{number}?", bool(caller % 2)
                self._one(client, {"question": question, "stream": stream})
                time.sleep(PAUSE)

    def _one(self, client: httpx.Client, body: dict[str, object]) -> None:
        phase, begun = self.phase, time.perf_counter()
        try:
            response = client.post("/v1/answers", json=body)
            whole = response.is_success and (not body["stream"] or "event: answer" in response.text)
            if not whole:
                self.lost.append(f"{phase}: HTTP {response.status_code}")
        except httpx.HTTPError as error:
            self.lost.append(f"{phase}: {type(error).__name__}")
        self.seconds[phase].append(time.perf_counter() - begun)


def done() -> list[dict]:
    return list(map(json.loads, FILE.read_text().splitlines())) if FILE.is_file() else []


def wanted() -> list[str]:
    kinds = [list(KINDS)[number % len(KINDS)] for number in range(BAD)]
    left = collections.Counter([*["good"] * GOOD, *kinds])
    left.subtract(item["kind"] for item in done())
    return [kind for kind, number in left.items() for _ in range(max(number, 0))]


def one_rollout(stage, kind: str) -> dict:
    stage.serve.manners = {"1": Manner(**USUAL)}
    stage.serve.manners["2"] = KINDS[kind]() if kind != "good" else Manner(**USUAL)
    with listening(stage.serve, stage.settings) as settings:
        with_port = replace(stage, settings=settings, client=None)
        callers = Callers(settings.endpoint_url)
        time.sleep(1)
        callers.phase, begun, reason = "during", time.monotonic(), ""
        try:
            with_port.roll(stage.two)
        except TwinError as error:
            reason = str(error)
        seconds = time.monotonic() - begun
        callers.phase = "after"
        time.sleep(1)
        callers.end()
    events = [item for item in stage.state().history if item.version == "2"]
    back = 0.0
    if reason:
        # From the decision, which is the line's own time, to weights that every router has.
        back = max((stage.back_at - events[-1].time.timestamp()), 0.0)
    return {
        "kind": kind,
        "stopped": bool(reason),
        "reason": reason[-160:],
        "furthest": events[-2].event if reason and len(events) > 1 else events[-1].event,
        "requests": sum(map(len, callers.seconds.values())),
        "lost": callers.lost,
        "seconds": round(seconds, 2),
        "back_seconds": round(back, 3),
        "p50_ms": {
            phase: round(1000 * statistics.median(times), 1)
            for phase, times in callers.seconds.items()
        },
    }


def test_rollouts_under_load(make_stage, monkeypatch):  # noqa: F811
    FILE.parent.mkdir(parents=True, exist_ok=True)
    for number, kind in enumerate(wanted()):
        stage = make_stage(f"rollout-{number}", **RECIPE)
        stage.back_at = 0.0
        waited = serve_in_process.shift_module.wait_for_weights

        def noting(*given, stage=stage, waited=waited):
            waited(*given)
            stage.back_at = time.time()

        with monkeypatch.context() as patch:
            patch.setattr(serve_in_process.shift_module, "wait_for_weights", noting)
            found = one_rollout(stage, kind)
        with FILE.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found))
    report(done())


def report(results: list[dict]) -> None:
    good = [item for item in results if item["kind"] == "good"]
    bad = [item for item in results if item["kind"] != "good"]
    lost = [each for item in results for each in item["lost"]]
    requests = sum(item["requests"] for item in results)
    print(
        f"\n{len(good)} good and {len(bad)} bad rollouts, {requests:,} requests: {len(lost)} lost"
    )
    by_kind = collections.Counter(f"{each}" for each in lost)
    print("lost:", dict(by_kind))
    print("good ones stopped:", sum(item["stopped"] for item in good))
    past = [item["kind"] for item in bad if not item["stopped"] or item["furthest"] == "100%"]
    print("bad ones that got past their canary:", past)
    backs = [item["back_seconds"] for item in bad if item["stopped"]]
    if backs:
        print(f"back: median {statistics.median(backs):.2f} s, longest {max(backs):.2f} s")
    for phase in ("before", "during", "after"):
        middle = [item["p50_ms"][phase] for item in results if phase in item["p50_ms"]]
        if middle:
            print(f"median latency {phase}: {statistics.median(middle):.1f} ms")
    assert past == []
