"""Pods that a queue of jobs holds back: they wait their turn, and are late for nothing.

Kueue marks a pod with a scheduling gate when it is made, and takes the gate away when there is
quota for it. Until then no node is looked for, so neither the time-outs of a start nor the task's
own ``execution_timeout`` may count.
"""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.triggers.base import TriggerEvent

if TYPE_CHECKING:
    from kubernetes.client import models as k8s

#: Seconds between two looks at a pod in the queue.
SECONDS_BETWEEN_LOOKS = 5.0

#: Key of an event, and of a trigger's ``trigger_kwargs``: seconds that the pod was in the queue.
QUEUED_SECONDS = "_queued_seconds"


def is_queued(pod: "k8s.V1Pod | None") -> bool:
    """Whether something holds this pod back from being scheduled."""
    return bool(pod is not None and pod.spec and pod.spec.scheduling_gates)


class QueuedPodTrigger(KubernetesPodTrigger):
    """Fires when a pod is in the queue no more, whatever became of it.

    A task that is stopped meanwhile takes its pod with it, as with the trigger that follows.
    """

    @classmethod
    def before(cls, trigger: KubernetesPodTrigger) -> "QueuedPodTrigger":
        """The trigger for the time before this one."""
        _, arguments = trigger.serialize()
        return cls(**arguments)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, for the triggerer."""
        _, arguments = super().serialize()
        return f"{__name__}.{type(self).__name__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the pod until it has no gate; an event with the seconds that it took."""
        self.log.info("Pod %s waits in the queue of jobs", self.pod_name)
        try:
            while is_queued(await self._get_pod()):
                await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        except Exception as error:
            self.log.warning("Pod %s could not be read: %s", self.pod_name, error)
        now = datetime.datetime.now(tz=datetime.UTC)
        queued = (now - self.trigger_start_time).total_seconds()
        self._fired_event = True
        yield TriggerEvent(
            {"name": self.pod_name, "namespace": self.pod_namespace, QUEUED_SECONDS: queued}
        )
