"""The part of Kubernetes' API that pods need, in one process; pods run as subprocesses.

Enough of an API server and a kubelet for KubernetesPodOperator, synchronous and deferred: create,
list by labels, read, patch, delete, logs, events. What a real cluster does beyond (scheduling,
images, eviction) is for the tests marked `kubernetes`.
"""

import asyncio
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.servers import free_port

TERMINATION_MESSAGE_BYTES = 2048


class FakeKubernetes:
    """Pods by name; ``unschedulable`` keeps new ones pending, as a full cluster does.

    ``queued`` has new ones wait behind a gate, as Kueue does, until `admit`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.pods: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.logs: dict[str, bytes] = {}
        self.unschedulable = False
        self.queued = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.grace_periods: dict[str, int] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        made = web.Application()
        pods = "/api/v1/namespaces/{namespace}/pods"
        made.router.add_post(pods, self._create)
        made.router.add_get(pods, self._list)
        made.router.add_get(pods + "/{name}", self._read)
        made.router.add_patch(pods + "/{name}", self._patch)
        made.router.add_delete(pods + "/{name}", self._delete)
        made.router.add_get(pods + "/{name}/log", self._log)
        made.router.add_get("/api/v1/namespaces/{namespace}/events", self._events)
        return made

    async def _create(self, request: web.Request) -> web.Response:
        pod = await request.json()
        name = pod["metadata"]["name"]
        pod["metadata"] |= {"uid": name, "creationTimestamp": _now(), "resourceVersion": "1"}
        pod["status"] = {"phase": "Pending", "conditions": []}
        if self.queued:
            pod["spec"]["schedulingGates"] = [{"name": "kueue.x-k8s.io/admission"}]
        self.pods[name] = pod
        self.created.append(json.loads(json.dumps(pod)))
        self.logs[name] = b""
        self._loop = asyncio.get_running_loop()
        if self.queued:
            pod["status"]["conditions"] = [
                {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}
            ]
        elif self.unschedulable:
            pod["status"]["conditions"] = [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
                }
            ]
        else:
            self._start(name, pod)
        return web.json_response(pod, status=201)

    def _start(self, name: str, pod: dict[str, Any]) -> None:
        task = asyncio.ensure_future(self._run(name, pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def admit(self) -> None:
        """There is quota: the gates go, and a node takes the pods."""
        assert self._loop is not None, "no pod was made"
        for name, pod in self.pods.items():
            del pod["spec"]["schedulingGates"]
            self._loop.call_soon_threadsafe(self._start, name, pod)

    async def _run(self, name: str, pod: dict[str, Any]) -> None:
        (container,) = pod["spec"]["containers"]
        explicit = {one["name"]: one.get("value", "") for one in container.get("env", ())}
        process = self._processes[name] = await asyncio.create_subprocess_exec(
            *container.get("command", ()),
            *container["args"],
            env={**self.environment, **explicit},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        pod["status"] |= {"phase": "Running", "startTime": _now()}
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "True"}]
        self._show(pod, {"running": {"startedAt": _now()}})
        assert process.stdout is not None
        async for line in process.stdout:
            self.logs[name] += f"{_now()} ".encode() + line
        code = await process.wait()
        pod["status"]["phase"] = "Failed" if code else "Succeeded"
        ended: dict[str, Any] = {
            "exitCode": 128 - code if code < 0 else code,
            "reason": "Error" if code else "Completed",
            "finishedAt": _now(),
        }
        if code and container["terminationMessagePolicy"] == "FallbackToLogsOnError":
            written = b"\n".join(line.partition(b" ")[2] for line in self.logs[name].splitlines())
            ended["message"] = written[-TERMINATION_MESSAGE_BYTES:].decode()
        self._show(pod, {"terminated": ended})

    def _show(self, pod: dict[str, Any], state: dict[str, Any]) -> None:
        name = pod["spec"]["containers"][0]["name"]
        pod["status"]["containerStatuses"] = [
            {
                "name": name, "state": state, "ready": "running" in state, "restartCount": 0,
                "image": "", "imageID": "",
            }
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = [part for part in request.query.get("labelSelector", "").split(",") if part]
        items = [pod for pod in self.pods.values() if all(_matches(pod, part) for part in wanted)]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "items": items})

    def _pod(self, request: web.Request) -> dict[str, Any]:
        name = request.match_info["name"]
        if name not in self.pods:
            status = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            raise web.HTTPNotFound(text=json.dumps(status), content_type="application/json")
        return self.pods[name]

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self._pod(request))

    async def _patch(self, request: web.Request) -> web.Response:
        pod = self._pod(request)
        labels = (json.loads(await request.text())).get("metadata", {}).get("labels", {})
        pod["metadata"]["labels"] |= labels
        return web.json_response(pod)

    async def _delete(self, request: web.Request) -> web.Response:
        pod = self._pod(request)
        name = pod["metadata"]["name"]
        if "gracePeriodSeconds" in request.query:
            self.grace_periods[name] = int(request.query["gracePeriodSeconds"])
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            process.kill()
        del self.pods[name]
        return web.json_response(pod)

    def lose_pods(self) -> None:
        """As if their node had gone: no trace of them is left."""
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
        self.pods.clear()

    async def _log(self, request: web.Request) -> web.StreamResponse:
        pod = self._pod(request)
        name = pod["metadata"]["name"]
        follow = request.query.get("follow") in ("true", "True")
        while follow and pod["status"]["phase"] in ("Pending", "Running"):
            await asyncio.sleep(0.05)
        lines = self.logs[name].splitlines(keepends=True)
        if request.query.get("timestamps") not in ("true", "True"):
            lines = [line.partition(b" ")[2] for line in lines]
        return web.Response(body=b"".join(lines))

    async def _events(self, request: web.Request) -> web.Response:
        return web.json_response({"kind": "EventList", "apiVersion": "v1", "items": []})


def _matches(pod: dict[str, Any], selector: str) -> bool:
    labels = pod["metadata"].get("labels", {})
    if selector.startswith("!"):
        return selector[1:] not in labels
    name, unequal, value = selector.partition("!=")
    if unequal:
        return labels.get(name) != value
    name, _, value = selector.partition("=")
    return labels.get(name) == value.lstrip("=")


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def fake_kubernetes(environment: Mapping[str, str]) -> Iterator[FakeKubernetes]:
    """Serve the API on a free port, to which the file that KUBECONFIG names is made to lead."""
    made = FakeKubernetes({"PATH": os.environ["PATH"], **environment})
    port = free_port()
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(made.application())

    async def start() -> None:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    cluster = {"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "fake", "context": {"cluster": "fake", "user": "fake"}}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "fake", "clusters": [cluster],
        "contexts": [context], "users": [{"name": "fake", "user": {"token": "t"}}],
    }  # fmt: skip
    Path(os.environ["KUBECONFIG"]).write_text(json.dumps(config), encoding="utf-8")
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
