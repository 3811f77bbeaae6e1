"""How tasks end when their pods do not end well, on a real cluster through a live Airflow.

Jobs are a stand-in `twin` in a small image (tests/kubernetes/stand_in); operator, profiles, rights
and settings are the real ones. Each test also asks that no pod is left and that the task's log,
which the web UI shows, says in words what happened.
"""

import re
import threading
import time
from collections.abc import Iterator

import pytest

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.fixtures import FAULTS, Live
from tests.live_airflow import wait_until

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _no_pod_is_left(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.is_empty()


def mark(live: Live, dag: str, run: str, state: str) -> None:
    """Mark a task, as a person does in the web UI."""
    live.call("PATCH", f"/dags/{dag}/dagRuns/{run}/taskInstances/job", json={"new_state": state})


def test_a_job_that_ends_well(live: Live) -> None:
    state, log, run = live.ends(FAULTS, "sleep-2")
    assert state == "success"
    assert "[base] second 1" in log or "logs: second 1" in log
    path = f"/dags/{FAULTS}/dagRuns/{run}/taskInstances/job/xcomEntries/counts"
    assert "written" in str(live.call("GET", path)["value"])


@pytest.mark.parametrize(
    ("status", "state", "says"),
    [
        (65, "failed", "ended with status 65: unknown key 'sorces' in the recipe"),
        (78, "failed", "ended with status 78: TWIN_MONGO_URI names no server"),
        (75, "up_for_retry", "ended with status 75: the warehouse is away"),
        (1, "up_for_retry", "ended with status 1: a defect"),
        (99, "skipped", "training sft: nothing to do: the index matches the warehouse"),
    ],
)
def test_exit_statuses(live: Live, status: int, state: str, says: str) -> None:
    found, log, _ = live.ends(FAULTS, f"exit-{status}")
    assert found == state
    assert says in log


def test_out_of_memory(live: Live) -> None:
    state, log, _ = live.ends("fault_little_memory", "memory-200")
    assert state == "up_for_retry"
    assert "was killed by signal 9: OOMKilled: it took more memory than limits.memory" in log


def test_deadline_passed(live: Live) -> None:
    state, log, _ = live.ends("fault_little_time", "sleep-60")
    assert state == "up_for_retry"
    assert "DeadlineExceeded" in log
    assert "longer than activeDeadlineSeconds of profile little_time allows" in log


def test_evicted_by_the_kubelet(live: Live) -> None:
    state, log, _ = live.ends("fault_little_disk", "disk-30_sleep-120")
    assert state == "up_for_retry"
    assert "Evicted: Usage of EmptyDir volume" in log
    assert "a volume outgrew its sizeLimit in profile little_disk" in log


def test_execution_timeout(live: Live) -> None:
    state, log, _ = live.ends("fault_impatient", "sleep-120")
    assert state == "up_for_retry"
    assert "reached the task's execution_timeout deadline" in log


def test_no_such_image(live: Live) -> None:
    state, log, _ = live.ends("fault_no_image", "exit-0")
    assert state == "up_for_retry"
    # Between two tries to pull, a kubelet says ImagePullBackOff; ErrImage… else.
    assert re.search("rollout start for recipe exit-0 did not end by itself: (Err)?Image", log)
    assert "is image twin-test/serve:e2e" in log


def test_no_node_has_room(live: Live) -> None:
    """gpu-n asks for more GPUs than there are."""
    state, log, _ = live.ends("fault_gpu-n", "exit-0")
    assert state == "up_for_retry"
    assert "Unschedulable: 0/1 nodes are available" in log
    assert "no node has room for profile gpu-n" in log


def test_a_gpu_job_goes_to_the_gpu_pool(live: Live, cluster: Cluster) -> None:
    run = live.trigger("fault_gpu-1", recipe="sleep-3")
    pod = cluster.pod_of("sleep-3")
    assert pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert live.ended("fault_gpu-1", run)[0] == "success"


@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_pod_taken_away(live: Live, cluster: Cluster, how: str) -> None:
    run = live.trigger(FAULTS, recipe="sleep-120")
    pod = cluster.pod_of("sleep-120")
    if how == "evicted":
        cluster.evict(pod)
    else:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        cluster.kubectl("delete", "pod", name, "-n", namespace, "--wait=false")
    state, log = live.ended(FAULTS, run)
    assert state == "up_for_retry"
    assert "deleted the pod" in log or "lost its pod" in log


def test_a_lost_job_is_done_again(live: Live, cluster: Cluster) -> None:
    run = live.trigger("fault_again", recipe="sleep-8")
    pod = cluster.pod_of("sleep-8")
    cluster.kubectl(
        "delete", "pod", pod["metadata"]["name"], "-n", pod["metadata"]["namespace"],
        "--grace-period=0", "--force",
    )  # fmt: skip
    assert live.ended("fault_again", run, "success", "failed")[0] == "success"
    assert live.tasks("fault_again", run)["job"]["try_number"] == 2


@pytest.mark.parametrize("state", ["failed", "success"])
def test_marking_the_task_ends_its_pod(live: Live, cluster: Cluster, state: str) -> None:
    run = live.trigger(FAULTS, recipe="sleep-300")
    cluster.pod_of("sleep-300")
    live.reaches(FAULTS, run, "job", "deferred")
    mark(live, FAULTS, run, state)
    cluster.is_empty()
    assert live.states(FAULTS, run)["job"] == state


def test_clearing_the_task_starts_a_new_pod_when_the_old_one_is_gone(
    live: Live, cluster: Cluster
) -> None:
    """The old one is stubborn: two of the same job would overwrite each other's work."""
    recipe = "stubborn_sleep-40"
    run = live.trigger("fault_again", recipe=recipe)
    old = cluster.pod_of(recipe)["metadata"]["name"]
    live.reaches("fault_again", run, "job", "deferred")
    most = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal most
        while not stop.is_set():
            running = [pod for pod in cluster.pods() if pod["status"].get("phase") == "Running"]
            most = max(most, len(running))
            time.sleep(0.5)

    counting = threading.Thread(target=count)
    counting.start()
    body = {
        "dry_run": False, "task_ids": ["job"], "dag_run_id": run, "only_failed": False,
        "reset_dag_runs": True,
    }  # fmt: skip
    live.call("POST", "/dags/fault_again/clearTaskInstances", json=body)
    wait_until(
        lambda: any(
            pod["metadata"]["name"] != old and pod["status"].get("phase") == "Running"
            for pod in cluster.pods()
        ),
        "a new pod",
        300,
    )
    stop.set()
    counting.join()
    assert most == 1, "two pods of one task ran at once"
    live.reaches("fault_again", run, "job", "deferred")
    mark(live, "fault_again", run, "failed")


def test_triggerer_killed(live: Live, cluster: Cluster) -> None:
    run = live.trigger(FAULTS, recipe="sleep-25")
    pod = cluster.pod_of("sleep-25")
    live.reaches(FAULTS, run, "job", "deferred")
    live.kill("triggerer")
    live.start("triggerer")
    assert cluster.pod_of("sleep-25")["metadata"]["uid"] == pod["metadata"]["uid"]
    assert live.ended(FAULTS, run)[0] == "success"
    assert live.tasks(FAULTS, run)["job"]["try_number"] == 1


def test_scheduler_and_workers_killed(live: Live, cluster: Cluster) -> None:
    run = live.trigger(FAULTS, recipe="sleep-26")
    pod = cluster.pod_of("sleep-26")
    live.reaches(FAULTS, run, "job", "deferred")
    live.kill("scheduler")
    live.start("scheduler")
    assert cluster.pod_of("sleep-26")["metadata"]["uid"] == pod["metadata"]["uid"]
    assert live.ended(FAULTS, run)[0] == "success"


def test_worker_killed_as_soon_as_the_pod_is_there(live: Live, cluster: Cluster) -> None:
    """The next try takes up the pod that runs."""
    run = live.trigger("fault_dying_worker", recipe="sleep-180")
    pod = cluster.pod_of("sleep-180")
    assert live.ended("fault_dying_worker", run, "success", "failed", seconds=500)[0] == "success"
    assert live.tasks("fault_dying_worker", run)["job"]["try_number"] == 2
    path = f"/dags/fault_dying_worker/dagRuns/{run}/taskInstances/job/xcomEntries/ids"
    assert pod["metadata"]["name"] in str(live.call("GET", path)["value"])


def test_the_cleanup_deletes_what_airflow_could_not(live: Live, cluster: Cluster) -> None:
    """With no triggerer, nobody deletes the pod of a task that is marked failed."""
    orphaned = live.trigger(FAULTS, recipe="sleep-301")
    cluster.pod_of("sleep-301")
    live.reaches(FAULTS, orphaned, "job", "deferred")
    kept = live.trigger(FAULTS, recipe="sleep-50")
    cluster.pod_of("sleep-50")
    live.reaches(FAULTS, kept, "job", "deferred")
    live.kill("triggerer")
    mark(live, FAULTS, orphaned, "failed")
    live.start("triggerer")
    time.sleep(5)
    cluster.pod_of("sleep-301")
    run = live.trigger("cleanup", minutes=0)
    live.reaches("cleanup", run, "delete_orphan_pods", "success")
    log = live.log("cleanup", run, "delete_orphan_pods")
    assert "1 orphans deleted" in log
    assert "the task job of fault_cpu ended as failed" in log
    wait_until(lambda: len(cluster.pods()) == 1, "the orphan's end", 150)
    assert live.ended(FAULTS, kept)[0] == "success"


def test_node_gone(live: Live, cluster: Cluster) -> None:
    run = live.trigger(FAULTS, recipe="sleep-302")
    cluster.pod_of("sleep-302")
    live.reaches(FAULTS, run, "job", "deferred")
    node = cluster.get("nodes")["items"][0]["metadata"]["name"]
    with cluster.node_lost():
        cluster.kubectl("delete", "node", node)
        state, log = live.ended(FAULTS, run, seconds=400)
    assert state == "up_for_retry"
    assert "lost its pod" in log or "deleted the pod" in log
