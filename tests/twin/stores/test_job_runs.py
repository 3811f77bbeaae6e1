"""What MLflow's runs say that jobs worked on; test_collect.py asks a real MLflow."""

import json
from datetime import UTC, datetime

import httpx

from twin.stores.job_runs import JobRun, JobRuns

BEGAN = datetime(2026, 5, 1, tzinfo=UTC)
RUN = {
    "info": {"run_id": "a", "status": "RUNNING", "start_time": int(BEGAN.timestamp() * 1000)},
    "data": {
        "tags": [{"key": "twin.key", "value": "training/t/f/sft"},
                 {"key": "dataset_version", "value": "d1"}, {"key": "version", "value": "7"}],
        "params": [{"key": "pairs_version", "value": "p1"}, {"key": "x", "value": "y"}],
    },
}  # fmt: skip


def test_runs_of_all_pages_are_read(settings):
    bodies = []

    def server(request):
        if request.method == "GET":
            assert request.url.params["experiment_name"] == "tiny"
            return httpx.Response(200, json={"experiment": {"experiment_id": "4"}})
        bodies.append(json.loads(request.content))
        if "page_token" in bodies[-1]:
            bare = {"info": {**RUN["info"], "status": "FINISHED"}}
            return httpx.Response(200, json={"runs": [bare]})
        return httpx.Response(200, json={"runs": [RUN], "next_page_token": "more"})

    with JobRuns(settings) as runs:
        runs._http = httpx.Client(base_url="http://m", transport=httpx.MockTransport(server))
        found = list(runs.of("tiny"))
    assert found == [
        JobRun(
            key="training/t/f/sft", dataset_version="d1", pairs_version="p1", version="7",
            began=BEGAN, is_running=True,
        ),
        JobRun(began=BEGAN),
    ]  # fmt: skip
    assert [each["experiment_ids"] for each in bodies] == [["4"], ["4"]]
