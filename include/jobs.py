"""JobOperator: the one way in which a DAG runs a job.

A job is ``twin <stage> <job> --recipe NAME``. On a cluster it runs as a pod; on a laptop the
base container's command of the very same pod runs as a child process. Which of the two is read
when the task runs (`include.runtime`), so the DAG is the same.
"""

import datetime
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from include.child_process import ChildProcess
from include.job_endings import (
    ADVICE,
    BAD_CONFIGURATION,
    BAD_DATA,
    DONE,
    NOTHING_TO_DO,
    TRY_AGAIN,
    count_ending,
    exit_status,
    how_it_ended,
    last_words,
)
from include.job_pods import (
    ACTOR,
    CREDENTIALS_OF_STAGE,
    IMAGE_OF_PROFILE,
    IMAGE_OF_STAGE,
    PARENT,
    SCHEDULE_TIMEOUT,
    STARTUP_TIMEOUT,
    actor,
    asked_for,
    parent_run,
    pod_name,
    template_of,
    variant_of,
    whose,
    with_image,
)
from include.job_resources import profile_for
from include.job_results import level_of, push_reason, push_result, read_result, reason_in
from include.queued_pods import QUEUED_SECONDS, QueuedPodTrigger, is_queued
from include.runtime import (
    PROJECT,
    Mode,
    Runtime,
    as_jobs_see_it,
    child_environment,
    read_runtime,
)

if TYPE_CHECKING:
    from airflow.sdk import Context
    from kubernetes.client import models as k8s

#: Longer than any profile's terminationGracePeriodSeconds, and what a kubelet takes beyond that.
SECONDS_FOR_AN_OLD_POD_TO_GO = 180


class JobOperator(KubernetesPodOperator):
    """Runs one job for one recipe.

    Args:
        job: stage and job, e.g. ``"crawl run"`` (templated but for its stage).
        recipe: name of the recipe (templated, may be mapped).
        profile: name of a complete pod template in the folder that ``[twin] profiles`` names, or
            in ``include/profiles``. The operator adds neither resources nor tolerations, since
            those would replace the template's whole; what the recipe asks for (``resources``) is
            put into the template itself (`include.job_resources`).
        options: more arguments (templated); those that render to nothing are left out.
        image_target: target of images/twin/Dockerfile, if it is another than the stage's or the
            profile's own.
        several_gpus: whether the job can use all the GPUs that its recipe asks for
            (``resources``); else it takes one of them.

    The task ends by the job's exit status: 0 success, 99 skipped, 65 and 78 failed for good,
    anything else failed and retried. What the job said last is the exception's text. From the
    job's result these XComs are pushed: ``counts``, ``ids``, ``detail`` and, if it logged to
    MLflow, ``mlflow_run_url``; of a job that failed or had nothing to do, ``reason``.
    """

    template_fields: Sequence[str] = ("job", "recipe", "options")
    ui_color = "#e8f0fe"
    execution_timeout: datetime.timedelta | None
    trigger_kwargs: dict[str, Any] | None

    def __init__(
        self,
        *,
        job: str,
        recipe: str,
        profile: str = "cpu",
        options: Sequence[str] = (),
        image_target: str | None = None,
        several_gpus: bool = False,
        **kwargs: Any,
    ) -> None:
        stage = job.split(maxsplit=1)[0]
        if stage not in IMAGE_OF_STAGE:
            raise ValueError(f"job {job!r}: no image is known for stage {stage!r}")
        known = read_runtime().profile_names()
        if profile not in known:
            raise ValueError(f"no profile {profile!r}: there are {', '.join(known)}")
        super().__init__(
            name=pod_name(job),
            deferrable=True,
            # The triggerer itself fetches what the job wrote meanwhile: no worker wakes for it.
            logging_interval=10,
            startup_check_interval_seconds=1,
            poll_interval=1,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            skip_on_exit_code=NOTHING_TO_DO,
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            # What a job said last then stands in the pod's status, and so in the task's error.
            termination_message_policy="FallbackToLogsOnError",
            **kwargs,
        )
        self.job = job
        self.recipe = recipe
        self.profile = profile
        self.options = options
        own = IMAGE_OF_PROFILE.get(profile, IMAGE_OF_STAGE[stage])
        self.image_target = image_target or own
        self.several_gpus = several_gpus
        self._child: ChildProcess | None = None
        self._seen_last = ""

    @property
    def stage(self) -> str:
        """Stage of the job, e.g. ``crawl``."""
        return self.job.split()[0]

    def build_pod_request_obj(
        self, context: "Context | None" = None, *, dry_run: bool = False
    ) -> "k8s.V1Pod":
        """The pod of this task: the profile, completed by image, command and labels."""
        from kubernetes.client import models as k8s

        runtime = read_runtime()
        template = template_of(runtime, self)
        self.namespace = runtime.namespace
        self.image = runtime.image(self.image_target, variant_of(template))
        self.pod_template_dict = with_image(template, self.image)
        self.name = pod_name(self.job)
        self.labels = {
            "app.kubernetes.io/component": self.stage,
            "llm-twin/recipe": str(self.recipe),
        }
        if context is not None:
            self.annotations = whose(context["ti"])
        self.arguments = self._arguments(runtime, context)
        pod = super().build_pod_request_obj(context, dry_run=dry_run)
        (base,) = (c for c in pod.spec.containers if c.name == self.base_container_name)
        if own := CREDENTIALS_OF_STAGE.get(self.stage):
            secret = k8s.V1SecretEnvSource(name=own, optional=True)
            base.env_from = [*(base.env_from or ()), k8s.V1EnvFromSource(secret_ref=secret)]
        if context is not None:
            values = {ACTOR: actor(context), PARENT: parent_run(context["ti"])}
            own_values = [k8s.V1EnvVar(name=name, value=value) for name, value in values.items()]
            base.env = [*(base.env or ()), *own_values]
        return pod

    def execute(self, context: "Context") -> None:
        """Run the job to its end, in a pod or as a child process.

        Raises:
            AirflowSkipException: there was nothing to do.
            AirflowFailException: data, recipe or configuration is wrong.
            AirflowException: the job failed otherwise, was killed, or left no result.
        """
        runtime = read_runtime()
        if runtime.runtime is Mode.LOCAL:
            self._execute_locally(context, runtime)
            return
        # Defers; goes on in `trigger_reentry`.
        super().execute(context)

    def get_or_create_pod(self, pod_request_obj: "k8s.V1Pod", context: "Context") -> "k8s.V1Pod":
        """The pod of this task: one that a worker which died has left running, or a new one.

        A pod that is being deleted is neither: it is waited for, so that no two pods ever do the
        job of one task.
        """
        deadline = time.monotonic() + SECONDS_FOR_AN_OLD_POD_TO_GO
        namespace, told = pod_request_obj.metadata.namespace, None
        while dying := self._pods_being_deleted(namespace, context):
            if time.monotonic() > deadline:
                raise AirflowException(
                    f"the pod {dying[0]} of an earlier try is still being deleted: has its node "
                    "gone? The DAG cleanup removes it when it has been so for long"
                )
            if dying != told:
                self.log.info("Waiting for the pod %s of an earlier try to go", dying[0])
                told = dying
            time.sleep(1)
        return super().get_or_create_pod(pod_request_obj, context)

    def invoke_defer_method(
        self, last_log_time: Any = None, context: "Context | None" = None
    ) -> None:
        """Leave the worker until the pod has ended, as patiently as its profile says.

        What the pod waited in a queue of jobs is no time of the task.
        """
        notes = (self.pod.metadata.annotations if self.pod else None) or {}
        if SCHEDULE_TIMEOUT in notes:
            self.schedule_timeout_seconds = int(notes[SCHEDULE_TIMEOUT])
        if STARTUP_TIMEOUT in notes:
            self.startup_timeout_seconds = int(notes[STARTUP_TIMEOUT])
        limit = self.execution_timeout
        queued = float((self.trigger_kwargs or {}).get(QUEUED_SECONDS, 0))
        if limit is not None:
            self.execution_timeout = limit + datetime.timedelta(seconds=queued)
        try:
            super().invoke_defer_method(last_log_time, context)
        finally:
            self.execution_timeout = limit

    def defer(
        self, *, trigger: Any, method_name: str, kwargs: Any = None, timeout: Any = None
    ) -> None:
        """Leave the worker: for as long as it takes while a queue of jobs holds the pod back."""
        if self._is_queued():
            trigger, method_name, timeout = QueuedPodTrigger.before(trigger), "leave_queue", None
        super().defer(trigger=trigger, method_name=method_name, kwargs=kwargs, timeout=timeout)

    def _is_queued(self) -> bool:
        """Whether a queue holds the pod back.

        A new pod is known here as it was asked for, and a queue marks it when it is made.
        """
        pod = self.pod
        if pod is not None and pod.status is None:
            pod = self._read_pod(pod.metadata.name, pod.metadata.namespace)
        return is_queued(pod)

    def _read_pod(self, name: str, namespace: str) -> "k8s.V1Pod | None":
        """The pod as it is now; None if there is none."""
        from kubernetes.client.exceptions import ApiException

        try:
            return self.hook.get_pod(name, namespace)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def leave_queue(self, context: "Context", event: dict[str, Any]) -> None:
        """Go on when the pod may be scheduled: from now on its profile's time-outs count."""
        self.pod = self._read_pod(event["name"], event["namespace"])
        if self.pod is None:
            raise self._lost(event)
        self._remember_queue(event)
        self.invoke_defer_method(context=context)

    def trigger_reentry(self, context: "Context", event: dict[str, Any]) -> None:
        """Go on after the pod has ended (or with its logs so far)."""
        self._seen_last = str(event.get("message") or "")
        self._remember_queue(event)
        try:
            super().trigger_reentry(context, event)
        except AirflowException as error:
            if self.pod is not None:
                raise
            raise self._lost(event) from error
        push_result(context["ti"], self._read_result(context))

    def _remember_queue(self, event: dict[str, Any]) -> None:
        """Each stay on a worker is a new object: what is remembered goes by way of the trigger."""
        if queued := event.get(QUEUED_SECONDS):
            self.trigger_kwargs = {**(self.trigger_kwargs or {}), QUEUED_SECONDS: queued}

    def _lost(self, event: dict[str, Any]) -> AirflowException:
        return AirflowException(
            f"{self.job} for recipe {self.recipe} lost its pod {event['name']}: it was "
            "deleted by a person, with its node, or to make room"
        )

    def cleanup(
        self,
        pod: "k8s.V1Pod",
        remote_pod: "k8s.V1Pod",
        xcom_result: dict[str, Any] | None = None,
        context: "Context | None" = None,
    ) -> None:
        """Delete the ended pod and say in the job's own words how it ended."""
        try:
            super().cleanup(pod, remote_pod, xcom_result, context)
        except AirflowException as error:
            status = exit_status(remote_pod, self.base_container_name)
            reason, words = last_words(remote_pod, self.base_container_name)
            ending = self._ending(status, words or [self._seen_last], context)
            count_ending(reason)
            if advice := ADVICE.get(reason):
                asked = asked_for(self.recipe, self.stage, self.profile)
                profile = read_runtime().profile(profile_for(self.profile, asked)).stem
                image = next(one.image for one in remote_pod.spec.containers)
                text = str(ending).rstrip(". ")
                ending = type(ending)(f"{text}: {advice.format(profile=profile, image=image)}")
            raise ending from error

    def on_kill(self) -> None:
        """End the job: the child with its whole tree, or the pod."""
        if self._child is not None:
            self._child.stop()
            return
        super().on_kill()

    def _pods_being_deleted(self, namespace: str, context: "Context") -> list[str]:
        selector = self._build_find_pod_label_selector(context, exclude_checked=False)
        found = self.client.list_namespaced_pod(namespace, label_selector=selector).items
        return [pod.metadata.name for pod in found if pod.metadata.deletion_timestamp]

    def _arguments(self, runtime: Runtime, context: "Context | None") -> list[str]:
        # No `command`, which would replace the image's entry point, an init that reaps.
        arguments = ["twin", *self.job.split(), "--recipe", str(self.recipe)]
        arguments += [option for option in self.options if option]
        if context is not None:
            result = as_jobs_see_it(self._result_uri(runtime, context))
            arguments += ["--run-id", str(context["run_id"]), "--result", result]
        return arguments

    def _execute_locally(self, context: "Context", runtime: Runtime) -> None:
        pod = self.build_pod_request_obj(context, dry_run=True)
        container = next(c for c in pod.spec.containers if c.name == self.base_container_name)
        explicit = {one.name: one.value for one in container.env or () if one.value is not None}
        command = [*(container.command or ()), *container.args]
        self._child = child = ChildProcess(
            command, child_environment(runtime, explicit), folder=PROJECT
        )
        self.log.info("Running as a child process: %s", " ".join(command))
        try:
            status = child.run(self._log_line)
        except FileNotFoundError as error:
            raise AirflowFailException(
                f"there is no command {error}: set [twin] jobs_bin "
                f"(AIRFLOW__TWIN__JOBS_BIN, now {runtime.jobs_bin}) to its folder"
            ) from None
        if child.stopped:
            raise AirflowException(f"{self.job} was stopped")
        if status != DONE:
            raise self._ending(status, child.last_lines, context)
        push_result(context["ti"], self._read_result(context))

    def _log_line(self, line: str) -> None:
        """A line of the job in the task's log, at the level that the job gave it."""
        self.log.log(level_of(line), "%s", line)

    def _ending(
        self, status: int | None, lines: Iterable[str], context: "Context | None"
    ) -> AirflowException:
        """The exception by which a job that ended with this status ends its task."""
        said = [line for line in lines if line.strip()]
        message = reason_in(said)
        own_words = (BAD_DATA, TRY_AGAIN, BAD_CONFIGURATION, NOTHING_TO_DO)
        if message is None and status in own_words and context is not None:
            message = self._message_in_result(context)
        message = message or (said[-1] if said else "it said nothing")
        if context is not None:
            push_reason(context["ti"], message)
        if status == NOTHING_TO_DO:
            self._push_if_there(context)
            return AirflowSkipException(f"{self.job}: nothing to do: {message}")
        text = f"{self.job} for recipe {self.recipe} {how_it_ended(status)}: {message}"
        if status in (BAD_DATA, BAD_CONFIGURATION):
            return AirflowFailException(text)
        return AirflowException(text)

    def _result_uri(self, runtime: Runtime, context: "Context") -> str:
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        return runtime.result_uri(ti.dag_id, ti.run_id, ti.task_id, map_index)

    def _read_result(self, context: "Context") -> dict[str, Any]:
        return read_result(self._result_uri(read_runtime(), context), self.job)

    def _message_in_result(self, context: "Context") -> str | None:
        try:
            message = self._read_result(context).get("message")
        except (AirflowException, ValueError, OSError) as error:
            self.log.warning("The job's result could not be read: %s", error)
            return None
        return str(message) if message else None

    def _push_if_there(self, context: "Context | None") -> None:
        if context is None:
            return
        try:
            push_result(context["ti"], self._read_result(context))
        except (AirflowException, ValueError, OSError) as error:
            self.log.warning("The job's result could not be read: %s", error)
