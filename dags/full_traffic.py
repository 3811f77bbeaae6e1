"""
# Full traffic

Asks a person before a new version gets all the traffic, where the recipe says so
(`serving.rollout.require_approval`). The version has its last share below 100% by then, and keeps
it: the task `approve` shows under *Required Actions* who has which share and what the comparison of
their answers says. *rollout* and *reconcile* start one run for each version that waits.

*Approve* gives it the rest; *Reject* puts the old weights back, and the alias `champion` with them.
Without an answer in seven days `approve` fails and nothing changes: `twin rollout promote`, `twin
rollout abort` or a run of this DAG by hand decides, which names the version that waits. An answer
about one that waits no more, since a newer one has taken its place, does nothing.

**Reads** and **writes** what *rollout* does.
"""

import datetime

from airflow.sdk import DAG, Param, chain

from include.approval import APPROVE, REJECT, Approval, answered
from include.jobs import JobOperator
from include.pipelines import pipeline

#: Only what the person was shown: by the time of the answer another one may be on its way.
THAT_VERSION = ["--model-version={{ params.version }}", "--only-waiting"]

with DAG(
    "full_traffic",
    description="Ask a person before a new version gets all the traffic.",
    schedule=None,
    **pipeline(
        __doc__,
        # More than there are twins: each run waits for a person for days, and none must hold up
        # the question about another twin.
        max_active_runs=64,
        params={
            "version": Param(
                type="string",
                pattern="^[0-9]+(-[0-9a-f]{8})?$",
                title="Version",
                description="That waits for approval, see `twin rollout status`; about any other "
                "the answer does nothing.",
            ),
            "evidence": Param(
                "Asked by hand: see `twin rollout status`, or the page Twin.",
                type="string",
                title="Evidence",
                description="What the person who answers is shown.",
            ),
        },
    ),
) as dag:
    approve = Approval(
        task_id="approve",
        subject="Give {{ params.recipe }} version {{ params.version }} all the traffic?",
        body="{{ params.evidence }}",
        unanswered="the version keeps its share: `twin rollout promote` or `abort` decides, or "
        "another run of this DAG",
        response_timeout=datetime.timedelta(days=7),
    )
    for answer, gate, job in ((APPROVE, "approved", "promote"), (REJECT, "rejected", "abort")):
        chain(
            approve,
            answered.override(task_id=gate)(
                answer=answer, recipe="{{ params.recipe }}", asked_by=approve.task_id
            ),
            JobOperator(
                task_id=job,
                job=f"rollout {job}",
                profile="rollout",
                recipe="{{ params.recipe }}",
                options=THAT_VERSION,
                execution_timeout=datetime.timedelta(hours=1),
            ),
        )
