"""Which gates and which kinds of sample pay (`make bench-ablation`): see `tests.bench.ablation`.

Prints a table, and leaves it in build/bench-ablation. What is finished is kept there: run again, it
goes on. TWIN_BENCH_MINUTES ends it after the arm in which they are over; TWIN_BENCH_STEPS are the
steps of a training.
"""

import os
import shutil
import time
from collections import defaultdict

import pytest

from tests.bench.ablation import (
    ARMS,
    EVERYTHING,
    SEEDS,
    STEPS,
    UNTRAINED,
    Ablation,
    Arm,
    gained,
    kept_time,
    training_digest,
)
from tests.conftest import ROOT
from tests.servers import mlflow_server
from twin.domain.sample import Split
from twin.evaluation.resampling import Estimate, Statistic, estimate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(36_000)]

OUTPUT = ROOT / "build" / "bench-ablation"
MINUTES = float(os.environ.get("TWIN_BENCH_MINUTES", "600"))
MEASURES = ("perplexity, author", "perplexity, answers", "right", "copied", "style")


def test_which_gates_and_kinds_pay():
    """Three minutes an arm and seed. Buys: the recipe's defaults rest on more than opinion."""
    began = time.monotonic()
    folder = OUTPUT / f"steps-{STEPS}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "mlflow", ignore_errors=True)
    with mlflow_server(folder / "mlflow") as url:
        ablation = Ablation(folder, url)
        made = defaultdict(dict)
        same: set[str] = set()
        for seed, arm in [(seed, arm) for seed in SEEDS for arm in ARMS]:
            if time.monotonic() - began > 60 * MINUTES:
                break
            if arm.name in same or is_the_same(ablation, arm):
                same.add(arm.name)
            else:
                with kept_time(folder, arm, seed):
                    made[arm.name][seed] = ablation.train(arm, seed)
            if UNTRAINED not in made:
                made[UNTRAINED][seed] = ablation.untrained()
            lines = table(ablation, made, same)
            (folder / "table.md").write_text("\n".join(lines) + "\n")
    print("\n" + "\n".join(lines))
    assert EVERYTHING in made


def is_the_same(ablation: Ablation, arm: Arm) -> bool:
    """Make an arm's samples; whether they are those of everything, so that nothing is to train."""
    samples = ablation.make(arm)
    if arm.name == EVERYTHING:
        return False
    whole = ablation.samples(ARMS[0])
    held = {sample.document_id for sample in whole if sample.split is Split.TEST}
    train = [sample for sample in samples if sample.split is Split.TRAIN]
    assert held.isdisjoint(sample.document_id for sample in train), arm.name
    return training_digest(samples) == training_digest(whole)


def table(ablation: Ablation, made: dict, same: set[str]) -> list[str]:
    """What each arm goes without, and what having it gains, with 95 % intervals by document."""
    by = ablation.yardstick
    found = {
        name: {seed: by.statistics(pair) for seed, pair in runs.items()}
        for name, runs in made.items()
    }
    sure = {
        **dict.fromkeys(("perplexity, author", "style"), by.passages.groups),
        **dict.fromkeys(("perplexity, answers", "right", "copied"), by.written.groups),
    }
    lines = [
        f"{len(set(by.passages.groups))} held-out documents, {len(by.passages.samples)} passages, "
        f"{len(by.written.samples)} written questions; {STEPS} steps of four samples each.",
        "",
        f"| model | samples | seeds | {' | '.join(MEASURES)} |",
        "|---" * (3 + len(MEASURES)) + "|",
    ]
    for name in (UNTRAINED, EVERYTHING):
        runs = found.get(name, {})
        for seed, statistics in runs.items():
            cells = [shown(estimate(statistics[each], sure[each])) for each in MEASURES]
            lines.append(f"| {name} | | {seed} | {' | '.join(cells)} |")
    lines += [
        "",
        "What having it gains (perplexity: relative fall; others: difference); bold where the "
        "interval leaves out 0:",
        "",
        f"| switched off | samples left | seeds | {' | '.join(MEASURES)} |",
        "|---" * (3 + len(MEASURES)) + "|",
    ]
    for arm in ARMS[1:]:
        if arm.name in same:
            lines.append(f"| {arm.name} | the same | | {' | '.join(['0'] * len(MEASURES))} |")
        elif arm.name not in made:
            lines.append(f"| {arm.name} | not trained here | |{' |' * len(MEASURES)}")
        else:
            lines.append(row(ablation, arm, found, made, sure))
    return lines


def row(ablation: Ablation, arm: Arm, found: dict, made: dict, sure: dict) -> str:
    """One arm against the one that has everything."""
    seeds = sorted(made[EVERYTHING].keys() & made[arm.name].keys())
    pairs = {seed: (made[EVERYTHING][seed], made[arm.name][seed]) for seed in seeds}
    gains: dict[str, Statistic] = gained(found[EVERYTHING], found[arm.name], pairs)
    cells = [shown(estimate(gains[name], sure[name]), is_gain=True) for name in MEASURES]
    left = sum(sample.split is Split.TRAIN for sample in ablation.samples(arm))
    return f"| {arm.name} | {left} | {len(seeds)} | {' | '.join(cells)} |"


def shown(found: Estimate, *, is_gain: bool = False) -> str:
    """A figure with its interval."""
    sign = "+" if is_gain else ""
    text = f"{found.value:{sign}.3g} ({found.low:{sign}.3g} to {found.high:{sign}.3g})"
    return f"**{text}**" if is_gain and not found.low <= 0 <= found.high else text
