"""
# Steering

A person's hand on a rollout: keeps it at its share of the traffic, lets it go on, gives the new
version all of it, ends it, or brings the version before back. The buttons of the page *Twin* start
this DAG; so may the form.

A job does it: on a cluster its pod takes some seconds to start, so what is asked for takes effect
that much later. Where there is nothing to do, since the rollout has ended meanwhile, it is skipped.

**Reads** and **writes** the rollout's state in the file store; *rollback* also the alias `champion`
and the configuration of Ray Serve.
"""

import datetime

from airflow.sdk import DAG, Param

from include.jobs import JobOperator
from include.pipelines import pipeline

#: An option that renders to nothing is left out.
WHICH = (
    "{% if params.version and params.action == 'rollback' %}--to={{ params.version }}"
    "{% elif params.version and params.action in ('promote', 'abort') %}"
    "--model-version={{ params.version }}{% endif %}"
)

with DAG(
    "steering",
    description="Pause, resume, promote, abort or roll back what is in service.",
    schedule=None,
    **pipeline(
        __doc__,
        # A rollback takes as long as a rollout, and it must be possible to end it.
        max_active_runs=8,
        params={
            "action": Param(
                "pause",
                type="string",
                enum=["pause", "resume", "promote", "abort", "rollback"],
                title="Action",
                description="As `twin rollout ACTION`.",
            ),
            "version": Param(
                "",
                type="string",
                pattern="^([0-9]+(-[0-9a-f]{8})?)?$",
                title="Version",
                description="Of a rollback: which version to go back to; empty means the one that "
                "served before. Of promote and abort: only if this one is being brought in.",
            ),
        },
    ),
) as dag:
    JobOperator(
        task_id="steer",
        job="rollout {{ params.action }}",
        profile="rollout",
        recipe="{{ params.recipe }}",
        options=[WHICH],
        execution_timeout=datetime.timedelta(hours=1),
        # Minutes later the rollout that was meant may be another one.
        retries=1,
    )
