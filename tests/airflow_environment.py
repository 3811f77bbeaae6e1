"""What tests of the Airflow side start from: an AIRFLOW_HOME of their own and a stand-in `twin`.

`prepare` must run before anything imports airflow.
"""

import importlib.util
import json
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent

#: The stand-in keeps the job contract (arguments, result, exit status, last words) and does as
#: the environment tells it, so that a test can have a job end in every way there is.
STAND_IN = """#!{python} -IS
import json, os, pathlib, signal, subprocess, sys, time

job = " ".join(sys.argv[1:3])
options = sys.argv[3:]
def option(name):
    return options[options.index(name) + 1]
with open(os.environ["STAND_IN_CALLS"], "a") as calls:
    calls.write(json.dumps({{"job": job, "options": options, "pid": os.getpid(),
                            "folder": os.getcwd(), "environment": dict(os.environ)}}) + "\\n")
plan = json.loads(pathlib.Path(os.environ["STAND_IN_PLAN"]).read_text()).get(job, {{}})
if plan.get("only_with", options[0]) not in options:
    plan = {{}}
print("at work for", option("--recipe"), flush=True)
if plan.get("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if plan.get("grandchild"):
    subprocess.Popen([sys.executable, "-c", "import signal, time;"
                      "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
time.sleep(plan.get("seconds", 0))
status = plan.get("status", 0)
message = plan.get("message", "")
result = {{"job": job, "recipe": option("--recipe"), "status": "done", "message": message,
          "counts": {{"read": 3, "written": 2}}, "uris": plan.get("uris", {{}}),
          "ids": plan.get("ids", {{}}), "detail": plan.get("detail", {{}})}}
if status:
    word = "nothing to do" if status == 99 else "error"
    print(f"twin {{job}}: {{word}}: {{message}}", file=sys.stderr, flush=True)
if not plan.get("no_result"):
    path = pathlib.Path(option("--result"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result))
    print(json.dumps({{"event": "result", **result}}), file=sys.stderr, flush=True)
sys.exit(status)
"""


def is_airflows() -> bool:
    """Whether this Python is the one of Airflow's environment."""
    return importlib.util.find_spec("airflow") is not None


def prepare() -> None:
    """Give this process an AIRFLOW_HOME of its own, once."""
    if "AIRFLOW_HOME" in os.environ and "STAND_IN_HOME" in os.environ:
        return
    home = tempfile.mkdtemp(prefix="airflow-test-")
    os.environ.update(
        {
            "STAND_IN_HOME": home,
            "AIRFLOW_HOME": home,
            # Read when the Kubernetes client is imported; see tests/kubernetes_api.py.
            "KUBECONFIG": f"{home}/kubeconfig",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        }
    )


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie, which only waits for its parent, has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class StandIn:
    """The stand-in `twin`: installed in a folder, told what to do, asked what it was called for."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.calls_file = folder / "calls.jsonl"
        self.plan_file = folder / "plan.json"
        self.plan_file.write_text("{}", encoding="utf-8")
        program = self.bin / "twin"
        program.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def does(self, job: str, **how: Any) -> None:
        """From now on ``job`` ends like this: status, message, seconds, grandchild, ….

        With ``only_with`` it does so only where it is given that option.
        """
        plan = json.loads(self.plan_file.read_text(encoding="utf-8"))
        self.plan_file.write_text(json.dumps({**plan, job: how}), encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it reads."""
        return {
            "STAND_IN_CALLS": str(self.calls_file),
            "STAND_IN_PLAN": str(self.plan_file),
        }

    @property
    def calls(self) -> list[dict[str, Any]]:
        """How it was called, in order."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]
