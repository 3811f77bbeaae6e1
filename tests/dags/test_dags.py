"""The DAG files: they load, fast, and say what they are; their pods are valid."""

import ast
import copy
import datetime
import itertools
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2
import kubernetes_validate
import pytest
import yaml
from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.standard.exceptions import HITLTimeoutError
from airflow.sdk import TriggerRule
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import (
    AirflowSkipException,
    DagRunTriggerException,
    ParamValidationError,
)
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from kubernetes.client import ApiClient

from include.job_pods import SCHEDULE_TIMEOUT, STARTUP_TIMEOUT
from include.jobs import JobOperator
from tests.airflow_environment import ROOT

CHAIN = ["crawl", "features", "datasets", "training", "evaluation", "rollout"]
ALL = [
    *CHAIN,
    "backup",
    "drill",
    "restore",
    "forget",
    "models",
    "cleanup",
    "monitoring",
    "questions",
    "garbage",
    "reconcile",
    "retention",
    "steering",
    "full_traffic",
]
#: Commands of `twin` that the pipelines may call; issue and CLI name them.
JOBS = {
    "crawl run",
    "crawl forget",
    "features build",
    "models fetch",
    "datasets feedback",
    "datasets make",
    "datasets prepare",
    "training check",
    "training sft",
    "training pairs",
    "training dpo",
    "training package",
    "evaluation answer",
    "evaluation run",
    "evaluation promote",
    "evaluation reject",
    "monitoring run",
    "monitoring questions",
    "monitoring topics",
    "monitoring gc",
    "rollout start",
    "rollout reconcile",
    "rollout promote",
    "rollout abort",
    "rollout {{ params.action }}",
    "backup create",
    "backup databases",
    "backup drill",
    "backup drill-databases",
    "backup restore",
    "serving prune-traces",
}
PROFILES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (ROOT / "include" / "profiles").glob("*.yaml")
}
#: Kubernetes quantities: what the schema validator takes for any string.
QUANTITY = re.compile(r"^([0-9]+(\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")
DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$")


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(ROOT / "dags")


def jobs(bag: DagBag) -> Iterator[JobOperator]:
    for dag in bag.dags.values():
        for task in dag.tasks:
            mapped = isinstance(task, MappedOperator) and task.operator_class is JobOperator
            # A crawl is told its profile when it is mapped.
            for profile in ("crawl", "crawl-browser") if task.task_id == "crawl" else (None,):
                told = {"recipe": "handbook"} | ({"profile": profile} if profile else {})
                made = task.unmap(told) if mapped else task
                if isinstance(made, JobOperator):
                    yield made


def test_all_load(bag: DagBag) -> None:
    assert bag.import_errors == {}
    assert sorted(bag.dags) == sorted(ALL)


@pytest.mark.parametrize("name", ALL)
def test_each_says_what_it_is(bag: DagBag, name: str) -> None:
    dag = bag.dags[name]
    assert dag.doc_md
    assert dag.description
    assert "llm-twin" in dag.tags
    # A person may take days to approve, and a rollback can be ended; nothing else waits.
    assert dag.max_active_runs == {"evaluation": 4, "full_traffic": 64, "steering": 8}.get(name, 1)
    assert not dag.catchup
    assert Path(dag.fileloc).stem == name
    for task in dag.tasks:
        assert task.owner == "llm-twin"
        assert task.on_failure_callback
        asks = task.task_id.rpartition(".")[2] == "approve"
        assert (task.execution_timeout is None) == asks
        # A worker that could not reach Airflow's API for a moment must not end a run.
        assert (task.retries == 0) == asks


def test_the_chain_hangs_together(bag: DagBag) -> None:
    """Each pipeline is started by what the one before it publishes."""
    for earlier, later in itertools.pairwise(CHAIN):
        published = {asset.name for t in bag.dags[earlier].tasks for asset in t.outlets}
        assert published == {asset.name for asset in bag.dags[later].schedule}


@pytest.mark.parametrize("name", sorted({*CHAIN, "backup"} - {"evaluation"}))
def test_people_are_told_when_a_nightly_pipeline_is_late(bag: DagBag, name: str) -> None:
    """A person may take days to approve what an evaluation found, so that one has no deadline."""
    made = bag.dags[name].deadline
    [made] = made if isinstance(made, list) else [made]
    assert made.callback.path == "include.alerts.tell_late"
    slowest = max(task.execution_timeout for task in bag.dags[name].tasks)
    assert made.interval >= slowest or name == "training"


def test_every_job_of_the_loop_is_run(bag: DagBag) -> None:
    assert {task.job for task in jobs(bag)} == JOBS


@pytest.mark.parametrize(
    ("action", "version", "arguments"),
    [
        ("pause", "", ["rollout", "pause"]),
        ("pause", "3", ["rollout", "pause"]),
        ("promote", "", ["rollout", "promote"]),
        ("promote", "3", ["rollout", "promote", "--model-version=3"]),
        ("abort", "3", ["rollout", "abort", "--model-version=3"]),
        ("rollback", "", ["rollout", "rollback"]),
        ("rollback", "3", ["rollout", "rollback", "--to=3"]),
    ],
)
def test_steering_runs_the_command_that_was_asked_for(
    bag: DagBag, action: str, version: str, arguments: list[str]
) -> None:
    task = copy.copy(bag.dags["steering"].get_task("steer"))
    params = {"action": action, "version": version, "recipe": "handbook"}
    task.render_template_fields({"params": params})
    pod = task.build_pod_request_obj(dry_run=True)
    assert re.fullmatch(f"twin-rollout-{action}-[a-z0-9]+", pod.metadata.name)
    (container,) = pod.spec.containers
    assert container.args == ["twin", *arguments[:2], "--recipe", "handbook", *arguments[2:]]


@pytest.mark.parametrize("given", [{"action": "start"}, {"version": "1; ls"}, {"recipe": "none"}])
def test_steering_takes_nothing_else(bag: DagBag, given: dict[str, str]) -> None:
    params = copy.deepcopy(bag.dags["steering"].params)
    with pytest.raises(ParamValidationError):
        params.update(given)


def asked(bag: DagBag, dag: str, detail: Any, ids: Any = None) -> DagRunTriggerException:
    """The run that the task after a rollout starts about a version that waits for a person."""
    values = {"detail": detail, "ids": ids}
    job = f"one_twin.{dag}"
    instance = SimpleNamespace(
        map_index=2,
        xcom_pull=lambda task_ids, key, map_indexes: (
            values[key] if (task_ids, map_indexes) == (job, 2) else None
        ),
    )
    mapped = bag.dags[dag].get_task("one_twin.ask_for_traffic")
    assert mapped.upstream_task_ids >= {job}
    # A rollout that finds one waiting has nothing to do, and asks all the same.
    assert mapped.trigger_rule == ("none_failed" if dag == "rollout" else "all_success")
    ask = copy.copy(mapped)
    ask.recipe = "handbook"
    with pytest.raises(DagRunTriggerException) as started:
        ask.execute({"ti": instance})
    return started.value


@pytest.mark.parametrize("brought_by", ["rollout", "reconcile"])
def test_a_person_is_asked_once_about_the_version_that_waits_and_no_other(
    bag: DagBag, brought_by: str
) -> None:
    for detail in (None, {}, {"decision": "another"}):
        with pytest.raises(AirflowSkipException, match="nobody is asked about recipe 'handbook'"):
            asked(bag, brought_by, detail)
    detail = {
        "decision": "awaiting approval",
        "evidence": "- errors: {{ passed }}",
        "since": "2026-01-02T03:04:05.678901+00:00",
    }
    started = asked(bag, brought_by, detail, {"model_version": "3"})
    assert started.trigger_dag_id == "full_traffic"
    # By its name a second run about the same is none.
    assert started.dag_run_id == f"handbook-v3-{detail['since']}"
    assert re.fullmatch(conf.get("scheduler", "allowed_run_id_pattern"), started.dag_run_id)
    assert started.skip_when_already_exists
    assert not started.reset_dag_run
    later = asked(bag, brought_by, detail | {"since": "2026-01-03"}, {"model_version": "3"})
    assert later.dag_run_id != started.dag_run_id
    dag = bag.dags["full_traffic"]
    params = copy.deepcopy(dag.params)
    params.update(started.conf)
    context: Any = {"params": params.validate()}
    approve = dag.get_task("approve")
    assert [approve.render_template(each, context) for each in (approve.subject, approve.body)] == [
        "Give handbook version 3 all the traffic?",
        "- errors: {{ passed }}",
    ]
    for name in ("promote", "abort"):
        job = copy.copy(dag.get_task(name))
        job.render_template_fields(context)
        assert job.recipe == "handbook"
        assert job.options == ["--model-version=3", "--only-waiting"]


@pytest.mark.parametrize("given", [{}, {"version": ""}, {"version": "3; ls"}])
def test_a_question_by_hand_names_its_version(bag: DagBag, given: dict[str, str]) -> None:
    params = copy.deepcopy(bag.dags["full_traffic"].params)
    with pytest.raises(ParamValidationError):
        params.update(given)
        params.validate()


def test_nobody_answers_about_full_traffic(bag: DagBag) -> None:
    approve = bag.dags["full_traffic"].get_task("approve")
    timeout = {"error": "The timeout has passed", "error_type": "timeout"}
    with pytest.raises(HITLTimeoutError, match="within 7 days: the version keeps its share"):
        approve.execute_complete({}, timeout)


def test_feedback_of_callers_holds_no_training_up(bag: DagBag) -> None:
    """Its candidates wait for review, so nothing comes after them; they need the new samples."""
    task = bag.dags["datasets"].get_task("one_sample_set.feedback")
    assert task.upstream_task_ids >= {"one_sample_set.make"}
    assert task.downstream_task_ids == set()
    # Where no sample has changed as well: callers have judged answers since.
    assert task.trigger_rule == TriggerRule.NONE_FAILED


def test_answers_are_shared_by_as_many_pods_as_the_form_says(bag: DagBag) -> None:
    dag = bag.dags["evaluation"]
    shares = dag.get_task("shares").python_callable
    assert dag.params["pods"] == 1
    assert shares(["one", "two"], params={"pods": 1}) == []
    made = shares(["one", "two"], params={"pods": 2})
    assert [(each["recipe"], each["options"]) for each in made] == [
        ("one", ["--shard=1/2"]),
        ("one", ["--shard=2/2"]),
        ("two", ["--shard=1/2"]),
        ("two", ["--shard=2/2"]),
    ]
    evaluate = dag.get_task("one_candidate.evaluate")
    assert evaluate.upstream_task_ids >= {"answer"}
    assert evaluate.trigger_rule == "none_failed", "without shares, answer is skipped"


def test_an_unanswered_question_is_given_up_when_another_run_may_ask(bag: DagBag) -> None:
    """`twin evaluation run` holds other runs back as long (QUESTION_OPEN)."""
    approve = bag.dags["evaluation"].get_task("one_candidate.approve")
    assert approve.response_timeout == datetime.timedelta(days=7)
    assert approve.retries == 0
    timeout = {"error": "The timeout of 7 days has passed", "error_type": "timeout"}
    with pytest.raises(HITLTimeoutError, match="nobody answered within 7 days: nothing is prom"):
        approve.execute_complete({}, timeout)
    # What records an answer runs after one only, and so does what tells of a new champion.
    for name in ("approved", "rejected", "promote", "reject", "publish"):
        rule = bag.dags["evaluation"].get_task(f"one_candidate.{name}").trigger_rule
        assert rule == ("none_failed" if name == "publish" else "all_success"), name


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ({"evidence": "**hold** {{ as it is }}"}, "**hold** {{ as it is }}"),
        (None, "The evaluation has left no evidence: read its log before you approve."),
    ],
)
def test_what_a_person_is_shown_is_the_evidence_of_the_same_recipe(
    bag: DagBag, detail: dict[str, str] | None, shown: str
) -> None:
    dag = bag.dags["evaluation"]
    left = {"detail": detail, "ids": {"model": "twin-handbook", "version": "7"}}

    def pull(task_ids: str, key: str, map_indexes: int) -> Any:
        return left[key] if (task_ids, map_indexes) == ("one_candidate.evaluate", 3) else None

    context: Any = {"ti": SimpleNamespace(map_index=3, xcom_pull=pull)}
    approve = dag.get_task("one_candidate.approve")
    rendered = [approve.render_template(each, context) for each in (approve.body, approve.subject)]
    assert rendered == [shown, "Promote version 7 of twin-handbook?"]


@pytest.mark.parametrize(
    ("name", "group", "answer", "gate", "job"),
    [
        ("evaluation", "one_candidate", "Approve", "approved", "promote"),
        ("evaluation", "one_candidate", "Reject", "rejected", "reject"),
        ("full_traffic", "", "Approve", "approved", "promote"),
        ("full_traffic", "", "Reject", "rejected", "abort"),
    ],
)
def test_a_persons_answer_runs_the_job_that_records_it_and_no_other(
    bag: DagBag, name: str, group: str, answer: str, gate: str, job: str
) -> None:
    dag = bag.dags[name]
    source = {"which_recipes"}
    prefix = f"{group}." if group else ""
    approve, asked = (dag.get_task(f"{prefix}{each}") for each in ("approve", gate))
    # What a skipping operator leaves out would run in a mapped task group.
    assert not approve.inherits_from_skipmixin
    before = dag.get_task(f"{prefix}{job}").upstream_task_ids - source
    assert before == {asked.task_id}
    assert asked.upstream_task_ids - source == {approve.task_id}
    for chosen in approve.options:
        answers = {(approve.task_id, 0): {"chosen_options": [chosen]}}
        instance = SimpleNamespace(
            map_index=0,
            xcom_pull=lambda task_ids, map_indexes, answers=answers: answers[task_ids, map_indexes],
        )
        expected = nullcontext() if chosen == answer else pytest.raises(AirflowSkipException)
        with expected:
            given = {**asked.op_kwargs, "recipe": "handbook"}
            asked.python_callable(**given, ti=instance)


def test_tasks_that_load_a_model_share_the_gpu_pool(bag: DagBag) -> None:
    for task in jobs(bag):
        assert (task.pool == "gpu") == (task.profile == "gpu-1"), task.task_id


def test_all_can_be_serialised_and_read_back(bag: DagBag) -> None:
    for dag in bag.dags.values():
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        assert again.task_dict.keys() == dag.task_dict.keys()


def test_the_form_offers_the_recipes_that_there_are(bag: DagBag) -> None:
    recipes = sorted(path.stem for path in (ROOT / "include" / "recipes").glob("*.yaml"))
    for name in CHAIN:
        dag = bag.dags[name]
        param = dag.params.get_param("recipe")
        assert sorted(param.schema["enum"]) == recipes
        assert param.value == "handbook"


@pytest.mark.parametrize("folder", ["dags", "include", "plugins"])
def test_nothing_heavy_is_imported_when_a_file_is_parsed(folder: str) -> None:
    heavy = {"aiohttp", "requests", "yaml", "pymongo", "mlflow", "boto3", "pandas"}
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.split(".")[0] not in heavy, f"{path} imports {name}"
                assert not name.startswith("airflow.providers.mongo"), path
                assert not name.startswith("airflow.providers.amazon"), path


def rendered(task: JobOperator, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("AIRFLOW__TWIN__IMAGE_TAG", "1.2.3")
    task.recipe = "handbook"
    pod = task.build_pod_request_obj(dry_run=True)
    made: dict[str, Any] = ApiClient().sanitize_for_serialization(pod)
    return made


def test_every_pod_is_valid_kubernetes(bag: DagBag, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in jobs(bag):
        pod = rendered(task, monkeypatch)
        kubernetes_validate.validate(pod, "1.35", strict=True)
        assert DNS_NAME.match(pod["metadata"]["name"]), pod["metadata"]["name"]
        for value in pod["metadata"]["labels"].values():
            assert LABEL_VALUE.match(value), value
        (container,) = pod["spec"]["containers"]
        assert container["image"].endswith(":1.2.3")
        for kind in ("requests", "limits"):
            amounts = container["resources"][kind]
            assert {"cpu", "memory", "ephemeral-storage"} <= amounts.keys()
            assert all(QUANTITY.match(str(amount)) for amount in amounts.values())
        gpus = container["resources"]["limits"].get("nvidia.com/gpu")
        assert gpus == container["resources"]["requests"].get("nvidia.com/gpu")
        assert (gpus == "1") == (task.profile == "gpu-1")


def test_every_pod_is_as_restricted_as_pod_security_asks(
    bag: DagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Level "restricted" of the Pod Security Standards, and a read-only root beyond it."""
    for task in jobs(bag):
        spec = rendered(task, monkeypatch)["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] == (task.profile == "rollout")
        assert spec["activeDeadlineSeconds"] > 0
        assert not any(spec.get(f"host{kind}") for kind in ("Network", "PID", "IPC"))
        kinds = {kind for volume in spec["volumes"] for kind in volume} - {"name"}
        assert kinds == {"emptyDir", "configMap"}
        (container,) = spec["containers"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert {"/tmp", "/home/twin"} <= mounts.keys()
        own = {volume["name"] for volume in spec["volumes"]}
        assert set(mounts.values()) == {name for name in own if not name.startswith("browser-")}
        hub = {"configMapRef": {"name": "twin-settings-fetch", "optional": True}}
        trainers = {"secretRef": {"name": "twin-credentials-training", "optional": True}}
        databases = {"secretRef": {"name": "twin-credentials-backup", "optional": True}}
        assert container["envFrom"] == [
            {"configMapRef": {"name": "twin-settings"}},
            *([hub] if task.profile == "fetch" else ()),
            {"secretRef": {"name": spec["serviceAccountName"].replace("-", "-credentials-")}},
            *([databases] if task.profile == "backup" else ()),
            *([trainers] if task.stage == "training" else ()),
        ]


def test_the_browser_has_nothing_that_the_crawl_has(
    bag: DagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who breaks out of a page finds no credential, no file, no setting, and no cloud role."""
    (crawl,) = (task for task in jobs(bag) if task.profile == "crawl-browser")
    pod = rendered(crawl, monkeypatch)
    (base,), (browser,) = pod["spec"]["containers"], pod["spec"]["initContainers"]
    assert browser["restartPolicy"] == "Always", "a sidecar: the pod ends with the job"
    assert browser["image"] == base["image"] == "llm-twin/crawl-browser:1.2.3"
    assert "envFrom" not in browser
    assert browser["env"] == [{"name": "PYTHONUNBUFFERED", "value": "1"}]
    shared = {mount["name"] for mount in base["volumeMounts"]}
    assert not shared & {mount["name"] for mount in browser["volumeMounts"]}
    assert browser["securityContext"] == base["securityContext"]
    assert not pod["spec"].get("shareProcessNamespace")
    assert pod["spec"]["automountServiceAccountToken"] is False
    notes = pod["metadata"]["annotations"]
    for key in ("eks.amazonaws.com/skip-containers", "azure.workload.identity/skip-containers"):
        assert notes[key] == browser["name"]
    # The crawl looks for it where it listens.
    (url,) = [each for each in base["env"] if each["name"] == "TWIN_BROWSER_URL"]
    assert url["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.annotations['llm-twin/browser']"
    assert browser["args"][-1].partition("=")[2] == notes["llm-twin/browser"].rpartition(":")[2]


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_says_how_long_a_pod_is_waited_for(name: str) -> None:
    """A node may have to be added, and an image pulled: the operator's two minutes are too few."""
    notes = PROFILES[name]["metadata"]["annotations"]
    assert int(notes[SCHEDULE_TIMEOUT]) >= 600
    assert int(notes[STARTUP_TIMEOUT]) >= 600


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_is_fit_for_nodes_that_come_and_go(name: str) -> None:
    spec = PROFILES[name]["spec"]
    tolerated = {one["key"]: one for one in spec["tolerations"]}
    # A rollout that is interrupted leaves the traffic between two versions for a while.
    assert ("llm-twin/spot" in tolerated) == (name != "rollout")
    for condition in ("not-ready", "unreachable"):
        assert tolerated[f"node.kubernetes.io/{condition}"]["tolerationSeconds"] <= 60
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("name", ["gpu-1", "gpu-n"])
def test_training_has_shared_memory_that_its_limit_covers(name: str) -> None:
    spec = PROFILES[name]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    (volume,) = [one for one in spec["volumes"] if one["name"] == mounts["/dev/shm"]]
    assert volume["emptyDir"]["medium"] == "Memory"
    size, limit = volume["emptyDir"]["sizeLimit"], container["resources"]["limits"]["memory"]
    assert int(size.removesuffix("Gi")) < int(limit.removesuffix("Gi")) / 2
    resources = container["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"]
    assert (resources["limits"]["nvidia.com/gpu"] == "1") == (name == "gpu-1")
    # Training stops where it sees fewer. No plain value: a child process here would stop, too.
    assert (
        PROFILES[name]["metadata"]["labels"]["llm-twin/gpus"]
        == resources["limits"]["nvidia.com/gpu"]
    )
    (gpus,) = [one for one in container["env"] if one["name"] == "TWIN_GPUS"]
    assert gpus["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['llm-twin/gpus']"


def test_airflow_gives_up_before_the_pod_does(bag: DagBag) -> None:
    """Or the pod's deadline would end a job that Airflow still waits for."""
    for task in jobs(bag):
        deadline = PROFILES[task.profile]["spec"]["activeDeadlineSeconds"]
        assert task.execution_timeout.total_seconds() <= deadline, task.task_id


def test_a_crawl_may_take_as_long_as_its_profile_says(bag: DagBag) -> None:
    crawl, in_browser = (task for task in jobs(bag) if task.profile.startswith("crawl"))
    assert in_browser.execution_timeout == crawl.execution_timeout
    hours = crawl.execution_timeout.total_seconds() / 3600
    header = (ROOT / "include" / "profiles" / "crawl.yaml").read_text().splitlines()[0]
    assert hours == 12 and f"{hours:.0f} hours to be polite in" in header


def test_jobs_that_may_go_again_do_so_with_growing_pauses(bag: DagBag) -> None:
    for task in jobs(bag):
        # What is looked at every few minutes need not be tried as often; and what a person asked of
        # a rollout may, minutes later, hit another one.
        once = task.job in {"rollout reconcile", "monitoring run", "rollout {{ params.action }}"}
        assert task.retries == (1 if once else 3)
        assert task.retry_exponential_backoff == 2
        assert task.max_retry_delay < datetime.timedelta(hours=1)


@pytest.mark.parametrize(("name", "at"), [("crawl", 3), ("backup", 1), ("retention", 2)])
def test_a_new_installation_waits_for_its_first_night(
    bag: DagBag, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    """Else the first `make up` would crawl at once, beside the run that a person asked for."""
    restriction = TimeRestriction(earliest=None, latest=None, catchup=False)
    for hour in (2, 3, 4, 23):
        now = datetime.datetime(2026, 1, 10, hour, 30, tzinfo=datetime.UTC)
        monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda now=now: now)
        timetable = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[name])).timetable
        info = timetable.next_dagrun_info(
            last_automated_data_interval=None, restriction=restriction
        )
        assert info.run_after > now
        assert (info.run_after.hour, info.run_after.minute) == (at, 0)


@pytest.mark.parametrize(
    ("name", "runtime", "summary"),
    [
        ("reconcile", "local", "None"),
        ("reconcile", "kubernetes", "*/5 * * * *"),
        ("monitoring", "local", "None"),
        ("monitoring", "kubernetes", "37 * * * *"),
    ],
)
def test_what_serves_is_looked_after_where_nobody_sits_beside_it(
    monkeypatch: pytest.MonkeyPatch, name: str, runtime: str, summary: str
) -> None:
    """On a laptop each look would be a process beside a training that needs the memory."""
    monkeypatch.setenv("AIRFLOW__TWIN__RUNTIME", runtime)
    dag = DagBag(ROOT / "dags" / f"{name}.py").dags[name]
    kept = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert kept.timetable.summary == summary


def test_base_models_are_fetched_by_the_job_that_reaches_the_web(bag: DagBag) -> None:
    dag = bag.dags["models"]
    (fetch,) = (task for task in jobs(bag) if task.dag_id == "models")
    assert (fetch.job, fetch.profile) == ("models fetch", "fetch")
    assert fetch.options == ["{{ params.model }}"]
    pattern = dag.params.get_param("model").schema["pattern"]
    for model in ("", "owner/name", "owner/name@refs-1.0", "s3://bucket/prefix"):
        assert re.fullmatch(pattern, model)
    for option in ("--recipe=other", "-x", "a b", "a\n"):
        assert not re.fullmatch(pattern, option)


@pytest.mark.parametrize(("delete", "option"), [(True, "--delete"), (False, "")])
def test_garbage_is_deleted_only_if_the_form_or_the_recipe_says_so(
    bag: DagBag, delete: bool, option: str
) -> None:
    (collect,) = (task for task in jobs(bag) if task.job == "monitoring gc")
    (template,) = collect.options
    assert jinja2.Template(template).render(params={"delete": delete}) == option
    assert bag.dags["garbage"].params["delete"] is False
