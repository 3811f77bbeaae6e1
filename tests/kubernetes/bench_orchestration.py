"""What Airflow and Kubernetes cost per task: seconds beyond the job's own, in each way to run it.

`make bench-orchestration`. Of each way the median of some runs; a job sleeps for two seconds. The
overhead of a task counts from the start of its DAG's run, so the scheduler's part is in it, to its
end.
"""

import statistics
import time
from datetime import datetime

import pytest

from tests.kubernetes.cluster import JOBS, Cluster
from tests.kubernetes.fixtures import REPOSITORY, TAG, Live
from tests.live_airflow import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(3000)]

JOB_SECONDS = 2
RUNS = 5
#: What a deferrable task may cost beyond a bare pod.
GOAL = 3.0


def bare_pod(cluster: Cluster, number: int) -> float:
    """Seconds that `kubectl run` and the pod's end take, beyond the job's own."""
    began = time.monotonic()
    name = f"bare-{number}"
    cluster.kubectl(
        "run", name, "-n", JOBS, f"--image={REPOSITORY}/train:{TAG}", "--restart=Never",
        "--image-pull-policy=IfNotPresent", "--", "sleep", str(JOB_SECONDS),
    )  # fmt: skip
    while cluster.get("pod", name, "-n", JOBS)["status"]["phase"] != "Succeeded":
        time.sleep(0.1)
    seconds = time.monotonic() - began - JOB_SECONDS
    cluster.kubectl("delete", "pod", name, "-n", JOBS, "--wait=false")
    return seconds


def task(live: Live, way: str) -> float:
    """Seconds of one task beyond its job's own."""
    dag = f"overhead_{way}"
    run = live.trigger(dag)
    live.reaches(dag, run, "job", "success", "failed")
    row = live.tasks(dag, run)["job"]
    assert row["state"] == "success", live.log(dag, run, "job")
    # Not from `queued_when`: a task that was deferred is queued twice.
    began = live.call("GET", f"/dags/{dag}/dagRuns/{run}")["start_date"]
    taken = datetime.fromisoformat(row["end_date"]) - datetime.fromisoformat(began)
    return taken.total_seconds() - JOB_SECONDS


def test_overhead_per_task(live: Live, cluster: Cluster) -> None:
    found = {"bare pod": [bare_pod(cluster, number) for number in range(RUNS)]}
    # A child process is root here, and pods could not write to the folders that it makes.
    for way in ("sync", "deferrable", "child"):
        found[way] = [task(live, way) for _ in range(RUNS)]
    medians = {way: statistics.median(seconds) for way, seconds in found.items()}
    print("\nseconds of overhead per task (median, least, most):")
    for way, seconds in found.items():
        print(f"{way:12} {medians[way]:6.1f} {min(seconds):6.1f} {max(seconds):6.1f}")
    beyond = medians["deferrable"] - medians["bare pod"]
    print(f"a deferrable task costs {beyond:.1f} s beyond the bare pod; the goal is {GOAL:.0f} s")


def test_many_mapped_tasks(live: Live, cluster: Cluster) -> None:
    began = time.monotonic()
    run = live.trigger("overhead_mapped")
    path = f"/dags/overhead_mapped/dagRuns/{run}"
    wait_until(lambda: live.call("GET", path)["state"] in ("success", "failed"), "the run", 2400)
    print(f"\nmapped run {live.call('GET', path)['state']} after {time.monotonic() - began:.0f} s")
    assert live.call("GET", path)["state"] == "success"
    cluster.is_empty()
