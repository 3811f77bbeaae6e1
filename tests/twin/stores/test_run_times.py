"""Hours of runs, as MLflow's REST API tells of them; test_costs.py asks a real MLflow."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from twin.stores.run_times import RunTimes

BEGIN, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(name, start, end=None, **tags):
    def milliseconds(when):
        return int(when.timestamp() * 1000)

    info = {"run_id": name, "run_name": f"tiny {name} v1", "start_time": milliseconds(start)}
    info |= {"end_time": milliseconds(end)} if end else {}
    return {"info": info, "data": {"tags": [{"key": k, "value": v} for k, v in tags.items()]}}


@pytest.fixture
def told(settings):
    """What is told of runs, each of which is a page of its own."""

    def between(*runs, now):
        def server(request):
            if request.method == "GET":
                return httpx.Response(200, json={"experiment": {"experiment_id": "1"}})
            number = int(json.loads(request.content).get("page_token", "0"))
            more = {"next_page_token": str(number + 1)} if number + 1 < len(runs) else {}
            return httpx.Response(200, json={"runs": [runs[number]], **more})

        with RunTimes(settings) as times:
            times._http = httpx.Client(base_url="http://m", transport=httpx.MockTransport(server))
            found = times.between("tiny", BEGIN, END, now)
            return {each.step: (round(each.hours, 2), each.gpus) for each in found}

    return between


def test_a_run_that_was_killed_counts_to_the_end_of_the_month_at_most(told):
    killed = run("sft", END - 3 * HOUR, **{"twin.gpus": "2"})
    assert told(killed, now=END - HOUR) == {"sft": (2.0, 2)}
    assert told(killed, now=END + 999 * HOUR) == {"sft": (3.0, 2)}
    # One that has ended counts whole: the month in which it began is its own.
    assert told(run("sft", END - HOUR, END + HOUR), now=END) == {"sft": (2.0, 0)}


def test_trials_count_by_their_sweep_unless_it_is_another_months(told):
    sweep = run("sweep", BEGIN, BEGIN + 5 * HOUR)
    trial = run("trial", BEGIN, BEGIN + HOUR, **{"mlflow.parentRunId": "sweep"})
    assert told(trial, sweep, now=END) == {"sweep": (5.0, 0)}
    assert told(trial, now=END) == {"trial": (1.0, 0)}
