"""Tells people that a task has failed for good, or what monitoring has found."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from include.runtime import read_runtime

if TYPE_CHECKING:
    from airflow.sdk import Context

SECONDS = 10
#: Longest subject that Amazon SNS takes.
SUBJECT_CHARACTERS = 100


class UnsentError(Exception):
    """An alert reached nobody; the message is the kind of fault."""


class Alert(BaseNotifier):
    """Logs the failure and, if ``[twin] alert_connection`` names a connection, sends it there.

    The connection's type decides how: ``aws`` publishes to the SNS topic ``topic_arn`` of its
    extra; ``http`` posts ``{"text": …}`` to its address, as Slack, Teams and Mattermost take it.
    An alert that cannot be sent is logged and hurts nothing else.
    """

    def notify(self, context: "Context") -> None:
        """Report the failed task of this context."""
        self.tell(_text(context))

    def tell(self, text: str) -> None:
        """Report a text in the same way; its first line is the subject where there is one."""
        self.log.error("%s", text)
        with contextlib.suppress(UnsentError):  # logged: the task's own failure must stay visible
            self.send(text)

    def send(self, text: str) -> None:
        """Send a text to where alerts go, if that is anywhere.

        Raises:
            UnsentError: it was not taken.
        """
        try:
            name = read_runtime().alert_connection
            if name:
                self._send(name, text)
        except Exception as error:
            # Not the error's text: it may repeat the address, which is a secret with webhooks.
            reason = type(error).__name__
            self.log.error("The alert could not be sent: %s", reason)
            raise UnsentError(reason) from None

    def _send(self, name: str, text: str) -> None:
        from airflow.sdk import Connection

        connection = Connection.get(name)
        if connection.conn_type == "aws":
            self._publish(name, connection.extra_dejson["topic_arn"], text)
        elif connection.conn_type in ("http", "https"):
            self._post(connection, text)
        else:
            self.log.error(
                "alert_connection %r is of type %r: only aws and http can carry alerts",
                name,
                connection.conn_type,
            )

    def _publish(self, name: str, topic: str, text: str) -> None:
        from airflow.providers.amazon.aws.hooks.sns import SnsHook

        SnsHook(aws_conn_id=name).publish_to_target(
            target_arn=topic, message=text, subject=text.splitlines()[0][:SUBJECT_CHARACTERS]
        )

    def _post(self, connection: Any, text: str) -> None:
        import requests

        response = requests.post(_address(connection), json={"text": text}, timeout=SECONDS)
        response.raise_for_status()


async def tell_late(context: dict[str, Any]) -> None:
    """Report a run that has not ended by its deadline; it goes on. Called in the triggerer.

    Args:
        context: with ``dag_run`` and ``deadline``, as Airflow gives them to a deadline's callback.
    """
    run, deadline = context["dag_run"], context["deadline"]["deadline_time"]
    text = (
        f"LLM Twin: {run['dag_id']} is late (run {run['dag_run_id']})\n"
        f"It was to end by {deadline}, and is {run['state']}: its tasks in the web UI show how far "
        "it is"
    )
    # What sends it waits for the network, and the triggerer must not.
    await asyncio.to_thread(Alert().tell, text)


def _address(connection: Any) -> str:
    """Address of an http connection; its schema field holds https where that is meant."""
    host = str(connection.host)
    if "://" in host:
        return host
    port = f":{connection.port}" if connection.port else ""
    path = str(connection.extra_dejson.get("path", ""))
    return f"{connection.schema or connection.conn_type}://{host}{port}{path}"


def _text(context: "Context") -> str:
    ti = context["ti"]
    what = f"{ti.dag_id}.{ti.task_id}"
    if ti.map_index is not None and ti.map_index >= 0:
        what += f"[{ti.map_index}]"
    reason = str(context.get("exception") or "no reason given")
    lines = [f"LLM Twin: {what} failed (run {ti.run_id}, try {ti.try_number})", reason]
    url = getattr(ti, "log_url", None)
    return "\n".join([*lines, str(url)] if url else lines)
