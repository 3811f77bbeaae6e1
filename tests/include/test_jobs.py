"""The operator on the local runtime, with a stand-in `twin` that keeps the job contract."""

import os
import re
import signal
import threading
import time
import uuid
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import psutil
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)
from airflow.sdk.execution_time.timeout import timeout
from kubernetes.client import ApiClient

from include.job_pods import IMAGE_OF_PROFILE, IMAGE_OF_STAGE
from include.jobs import JobOperator
from include.orphans import Owner, owner_of
from include.runtime import PROJECT
from tests.airflow_environment import ROOT, StandIn, gone

LABEL = "llm-twin/recipe"
RUN = "manual__2026-01-01T00:00:00+00:00"
PROFILES = sorted(path.stem for path in (PROJECT / "include" / "profiles").glob("*.yaml"))


class Instance(SimpleNamespace):
    """The little of a task instance that the operator asks for."""

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


def operator(job: str = "crawl run", recipe: str = "handbook", **more: Any) -> JobOperator:
    with DAG("tests"):
        return JobOperator(task_id="a_task", job=job, recipe=recipe, **more)


def context(task: JobOperator, map_index: int = 0) -> dict[str, Any]:
    ti = Instance(
        dag_id="tests", run_id=RUN, task_id=task.task_id, map_index=map_index, try_number=1,
        xcoms={},
        log_url=f"http://localhost:8080/dags/tests/runs/{RUN}/tasks/{task.task_id}?try_number=1",
    )  # fmt: skip
    return {"ti": ti, "run_id": RUN, "dag": task.dag, "task": task}


def run(task: JobOperator) -> dict[str, Any]:
    made = context(task)
    task.execute(made)
    return dict(made["ti"].xcoms)


def test_a_job_that_ends_well(stand_in: StandIn, tmp_path: Path) -> None:
    url = "http://127.0.0.1:5100/#/experiments/1/runs/2"
    stand_in.does(
        "training sft", uris={"mlflow_run": url}, detail={"loss": 1.5}, ids={"version": "3"}
    )
    xcoms = run(operator("training sft", options=["--full", "", "--limit", "3"]))
    assert xcoms == {
        "counts": {"read": 3, "written": 2},
        "ids": {"version": "3"},
        "detail": {"loss": 1.5},
        "mlflow_run_url": url,
    }
    (call,) = stand_in.calls
    result = tmp_path / "files" / "results" / "tests" / RUN / "a_task-0.json"
    assert call["options"] == [
        "--recipe", "handbook", "--full", "--limit", "3", "--run-id", RUN, "--result", str(result),
    ]  # fmt: skip
    assert result.is_file()
    # Folders in recipes are relative to the project's root.
    assert call["folder"] == str(ROOT)
    assert not any(name.startswith("AIRFLOW") for name in call["environment"])


def test_the_audit_log_can_name_who_started_the_run(stand_in: StandIn) -> None:
    stand_in.does("evaluation promote")
    task = operator("evaluation promote")
    task.execute(context(task))
    made = context(task)
    made["dag_run"] = SimpleNamespace(triggering_user_name="ada")
    task.execute(made)
    actors = [call["environment"]["TWIN_ACTOR"] for call in stand_in.calls]
    assert actors == ["airflow", "airflow:ada"]
    parents = [call["environment"]["OPENLINEAGE_PARENT_ID"].split("/") for call in stand_in.calls]
    (first, second), ti = parents, made["ti"]
    assert first[:2] == ["llm-twin", ti.dag_id] and str(uuid.UUID(first[2])) == first[2]
    assert second == first  # of the same run of the DAG


def test_nothing_but_a_web_address_becomes_a_link(stand_in: StandIn) -> None:
    stand_in.does("crawl run", uris={"mlflow_run": "javascript:alert(1)"})
    assert "mlflow_run_url" not in run(operator())


def test_nothing_to_do_is_a_skip_that_keeps_its_counts(stand_in: StandIn) -> None:
    stand_in.does("crawl run", status=99, message="the index matches the warehouse")
    task = operator()
    made = context(task)
    with pytest.raises(AirflowSkipException, match="the index matches the warehouse"):
        task.execute(made)
    xcoms = made["ti"].xcoms
    assert xcoms["counts"] == {"read": 3, "written": 2}
    assert xcoms["reason"] == "the index matches the warehouse"


@pytest.mark.parametrize("status", [65, 78])
def test_what_no_retry_can_cure_fails_for_good(stand_in: StandIn, status: int) -> None:
    stand_in.does("crawl run", status=status, message="unknown key 'sorces'")
    task = operator()
    made = context(task)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(made)
    assert str(caught.value) == (
        f"crawl run for recipe handbook ended with status {status}: unknown key 'sorces'"
    )
    assert made["ti"].xcoms == {
        "reason": "unknown key 'sorces'",
        "reason_url": f"http://localhost:8080/dags/tests/runs/{RUN}/tasks/a_task/xcom",
    }


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("2026-01-01T00:00:00Z [warning  ] item failed item=a", "warning"),
        ("2026-01-01T00:00:00Z [error    ] no disk", "error"),
        ("twin crawl run: error: no page is readable", "error"),
        ("twin crawl run: nothing to do: it is all there", "info"),
        ("2026-01-01T00:00:00Z [info     ] read [error] in a page", "info"),
        ("a page about twin: error: none", "info"),
    ],
)
def test_a_line_keeps_its_level(line: str, level: str, capsys: pytest.CaptureFixture[str]) -> None:
    operator()._log_line(line)
    assert f" [{level:9}] {line} " in capsys.readouterr().out


@pytest.mark.parametrize("status", [1, 2, 75])
def test_anything_else_is_retried(stand_in: StandIn, status: int) -> None:
    stand_in.does("crawl run", status=status, message="the warehouse is away")
    with pytest.raises(AirflowException, match="the warehouse is away") as caught:
        run(operator())
    assert not isinstance(caught.value, AirflowFailException | AirflowSkipException)


def test_success_without_a_result_is_none(stand_in: StandIn) -> None:
    stand_in.does("crawl run", no_result=True)
    with pytest.raises(AirflowException, match=r"left no result at file://.*TWIN_FILES_URI"):
        run(operator())


def test_no_twin_to_run(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__JOBS_BIN", "/nowhere")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(AirflowFailException, match="AIRFLOW__TWIN__JOBS_BIN, now /nowhere"):
        run(operator())


def tree(stand_in: StandIn) -> list[psutil.Process]:
    if not stand_in.calls:
        return []
    job = psutil.Process(stand_in.calls[0]["pid"])
    return [job, *job.children(recursive=True)]


def once_at_work(stand_in: StandIn, signals: int, whom: int | None = None) -> list[psutil.Process]:
    """Send a signal (to the job itself, or to ``whom``) as soon as the job and its child are there,
    however long a busy machine takes; the list is theirs by then."""
    family: list[psutil.Process] = []

    def wait() -> None:
        while len(family) < 2:
            time.sleep(0.1)
            family[:] = tree(stand_in)
        os.kill(whom or family[0].pid, signals)

    threading.Thread(target=wait, daemon=True).start()
    return family


@pytest.mark.parametrize("stubborn", [False, True])
def test_killing_the_task_ends_the_whole_job(stand_in: StandIn, stubborn: bool) -> None:
    """As Airflow does it: SIGTERM to the task process, whose handler calls `on_kill`."""
    stand_in.does("crawl run", seconds=60, grandchild=True, stubborn=stubborn)
    task = operator()
    before = signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
    family = once_at_work(stand_in, signal.SIGTERM, os.getpid())
    try:
        with pytest.raises(AirflowException, match="crawl run was stopped"):
            run(task)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(family) == 2
    assert all(gone(one.pid) for one in family)


def test_execution_timeout_ends_the_whole_job(stand_in: StandIn) -> None:
    stand_in.does("crawl run", seconds=60, grandchild=True, stubborn=True)
    task = operator()
    # SIGALRM is how Airflow's clock says that the time is over.
    family = once_at_work(stand_in, signal.SIGALRM, os.getpid())
    with pytest.raises(AirflowTaskTimeout), timeout(60):
        run(task)
    assert len(family) == 2
    assert all(gone(one.pid) for one in family)


def test_a_job_killed_from_outside_is_retried(stand_in: StandIn) -> None:
    stand_in.does("crawl run", seconds=60, grandchild=True)
    once_at_work(stand_in, signal.SIGKILL)  # as the kernel does when memory runs out
    with pytest.raises(AirflowException, match="was killed by signal 9: at work for handbook"):
        run(operator())


def test_an_unknown_profile_is_refused_when_the_dag_is_parsed() -> None:
    known = "backup, cpu, crawl, crawl-browser, fetch, gpu-1, gpu-n"
    with pytest.raises(ValueError, match=f"no profile 'gpv'.*there are {known}"):
        operator(profile="gpv")


def test_an_unknown_stage_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(ValueError, match="no image is known for stage 'crwl'"):
        operator("crwl run")


@pytest.mark.parametrize("stage", sorted(IMAGE_OF_STAGE))
def test_each_stage_names_a_target_of_the_dockerfile(stage: str) -> None:
    dockerfile = (ROOT / "images" / "twin" / "Dockerfile").read_text(encoding="utf-8")
    assert f" AS {IMAGE_OF_STAGE[stage]}\n" in dockerfile


@pytest.mark.parametrize("profile", PROFILES)
def test_the_pod_is_the_profile_completed(
    profile: str, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__NAMESPACE", "twins")
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_REPOSITORY", "example.com/team")
    task = operator("training sft", profile=profile)
    pod = task.build_pod_request_obj(context(task), dry_run=True)
    assert pod.metadata.namespace == "twins"
    assert pod.metadata.labels["llm-twin/profile"] == profile
    assert pod.metadata.labels["llm-twin/recipe"] == "handbook"
    # Labels cannot hold every name; `include.orphans` finds the task by these.
    whose = owner_of(pod)
    assert whose == Owner(dag_id="tests", run_id=RUN, task_id="a_task", map_index=0)
    (container,) = pod.spec.containers
    image = "train-cuda" if profile.startswith("gpu") else IMAGE_OF_PROFILE.get(profile, "train")
    assert container.image == f"example.com/team/{image}:1.2.3"
    # The image's own entry point, an init that reaps, stays.
    assert not container.command
    assert container.args[:5] == [
        "twin", "training", "sft", "--recipe", "handbook",
    ]  # fmt: skip
    assert container.termination_message_policy == "FallbackToLogsOnError"
    assert container.resources.limits["memory"]


@pytest.mark.parametrize("step", ["sft", "pairs", "dpo", "package"])
def test_the_recipe_of_an_8b_trains_on_one_gpu(step: str, stand_in: StandIn) -> None:
    task = operator(f"training {step}", recipe="llama-3.1-8b", profile="gpu-1")
    pod = task.build_pod_request_obj(context(task), dry_run=True)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", pod.metadata.labels[LABEL])
    assert pod.metadata.labels[LABEL] == "llama-3.1-8b"
    (container,) = pod.spec.containers
    assert container.args[:5] == ["twin", "training", step, "--recipe", "llama-3.1-8b"]
    assert container.resources.limits["nvidia.com/gpu"] == "1"
    kubernetes_validate.validate(ApiClient().sanitize_for_serialization(pod), "1.35", strict=True)


def test_a_cluster_without_gpus(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__TWIN__GPUS", "False")
    for profile in ("gpu-1", "gpu-n"):
        pod = operator("training sft", profile=profile).build_pod_request_obj(dry_run=True)
        assert pod.metadata.labels["llm-twin/profile"] == "cpu"
        assert pod.spec.containers[0].image == "llm-twin/train:1.2.3"
        assert "nvidia.com/gpu" not in {one.key for one in pod.spec.tolerations}


def test_a_cluster_may_have_profiles_of_its_own(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = (PROJECT / "include" / "profiles" / "cpu.yaml").read_text(encoding="utf-8")
    (tmp_path / "huge.yaml").write_text(shipped.replace("8Gi", "64Gi"), encoding="utf-8")
    monkeypatch.setenv("AIRFLOW__TWIN__PROFILES", str(tmp_path))
    pod = operator(profile="huge").build_pod_request_obj(dry_run=True)
    assert pod.spec.containers[0].resources.limits["memory"] == "64Gi"
    # The others stay the shipped ones.
    pod = operator(profile="crawl").build_pod_request_obj(dry_run=True)
    assert pod.spec.containers[0].resources.limits["memory"] == "2Gi"
    known = "backup, cpu, crawl, crawl-browser, fetch, gpu-1, gpu-n, huge, rollout"
    with pytest.raises(ValueError, match=f"there are {known}"):
        operator(profile="hug")


def test_training_may_come_to_the_registry_as_a_user_of_its_own(stand_in: StandIn) -> None:
    """What is named last goes before what the profile's Secret has."""
    for job, own in (("training package", True), ("evaluation run", False)):
        pod = operator(job, profile="cpu").build_pod_request_obj(dry_run=True)
        (base,) = pod.spec.containers
        secrets = [each.secret_ref for each in base.env_from if each.secret_ref]
        assert secrets[0].name == "twin-credentials-job"
        assert [(each.name, each.optional) for each in secrets[1:]] == (
            [("twin-credentials-training", True)] if own else []
        )


def test_images_by_digest(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = "sha256:" + "0a" * 32
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_DIGESTS", f"crawl={digest}")
    images = [
        operator(job).build_pod_request_obj(dry_run=True).spec.containers[0].image
        for job in ("crawl run", "features build")
    ]
    assert images == [f"llm-twin/crawl@{digest}", "llm-twin/features:1.2.3"]


def test_a_job_that_asks_for_gpus_gets_the_image_that_sees_them(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = "sha256:" + "0b" * 32
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_DIGESTS", f"train-cuda={digest}")
    for profile in PROFILES:
        pod = operator("training sft", profile=profile).build_pod_request_obj(dry_run=True)
        (container,) = pod.spec.containers
        has_gpus = "nvidia.com/gpu" in container.resources.limits
        target = IMAGE_OF_PROFILE.get(profile, "train")
        image = f"llm-twin/train-cuda@{digest}" if has_gpus else f"llm-twin/{target}:1.2.3"
        assert container.image == image


def test_a_task_may_need_another_image_than_its_stage(stand_in: StandIn) -> None:
    pod = operator(image_target="crawl-browser").build_pod_request_obj(dry_run=True)
    assert pod.spec.containers[0].image == "llm-twin/crawl-browser:1.2.3"
