"""Waiting for what was asked for: applications that run, weights that every router has."""

import time
from collections.abc import Callable

from twin.domain.errors import BadDataError, TryAgainError
from twin.domain.rollout import RolloutState
from twin.stores.deployments import Application, ApplicationStatus, Deployments, explain
from twin.stores.endpoint import Endpoint

POLL_SECONDS = 0.5
#: The router has new weights within a second: looked for closely, since callers wait.
WEIGHTS_POLL_SECONDS = 0.1
#: A change of weights was measured to take under a second; a cluster's operator looks now and then.
WEIGHTS_SECONDS = 120.0
#: An application missing this long after it was asked for was undone by another rollout's config.
MISSING_SECONDS = 5.0

BROKEN = frozenset({ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY})


def wait_for_applications(
    names: set[str],
    seconds: float,
    deployments: Deployments,
    *,
    again: Callable[[], None],
    attend: Callable[[], None],
) -> None:
    """Wait until applications run.

    Args:
        names: of the applications.
        seconds: how long they may take.
        deployments: where they run.
        again: asks for them anew; called where one has been missing for long.
        attend: called at each look; may raise.

    Raises:
        BadDataError: one can't run.
        TryAgainError: one does not in time.
    """
    deadline = time.monotonic() + seconds
    missing_since = time.monotonic()
    while True:
        attend()
        found = deployments.applications()
        check_applications(names, found)
        waiting = {name for name in names if not runs(found.get(name))}
        if not waiting:
            return
        if names <= set(found):
            missing_since = time.monotonic()
        elif time.monotonic() - missing_since > MISSING_SECONDS:
            again()
            missing_since = time.monotonic()
        if time.monotonic() > deadline:
            raise TryAgainError(_late(sorted(waiting), found, seconds))
        time.sleep(POLL_SECONDS)


def wait_for_weights(state: RolloutState, endpoint: Endpoint, attend: Callable[[], object]) -> None:
    """Wait until every replica of the router, on whichever node, routes by this state.

    One that does not answer holds this up as one that routes by older weights does: it may be on
    its way from a node that was lost to another. So does one that is missing: Serve takes a replica
    that is about to get a new table out of those that it knows, and then it is not asked.

    Args:
        state: with the generation that its change has got.
        endpoint: of the router.
        attend: called at each look; raises where the weights are another's to change.

    Raises:
        TryAgainError: one does not in time.
    """
    deadline = time.monotonic() + WEIGHTS_SECONDS
    while True:
        attend()
        lacking = _lacking(state, endpoint)
        if not lacking:
            return
        if time.monotonic() > deadline:
            raise TryAgainError(
                f"the weights {state.shares} are not in force in {WEIGHTS_SECONDS:.0f} s: {lacking}"
            )
        time.sleep(WEIGHTS_POLL_SECONDS)


def _lacking(state: RolloutState, endpoint: Endpoint) -> str:
    """What keeps a state's weights from being in force, in words; "" if nothing does."""
    try:
        reports = endpoint.reports(state.model)
    except TryAgainError as error:
        return str(error)
    late = sorted(
        report.replica
        for report in reports
        if (report.generation, report.weights) != (state.generation, state.shares)
    )
    if late:
        return f"replicas {', '.join(late)} of the router route by others"
    known = len({report.replica for report in reports})
    return f"{known} of {endpoint.replicas} replicas answer" if known < endpoint.replicas else ""


def wait_until_gone(
    names: set[str], seconds: float, deployments: Deployments, attend: Callable[[], None]
) -> bool:
    """Wait until applications have ended; returns whether they have, in time."""
    deadline = time.monotonic() + seconds
    while names & set(deployments.applications()):
        if time.monotonic() > deadline:
            return False
        attend()
        time.sleep(POLL_SECONDS)
    return True


def check_applications(names: set[str], found: dict[str, Application]) -> None:
    """Raises `BadDataError` if one of them can't run."""
    for name in names:
        application = found.get(name)
        if application is not None and application.status in BROKEN:
            raise BadDataError(f"{name} is {application.status}: {explain(application.message)}")


def runs(application: Application | None) -> bool:
    """Whether an application runs."""
    return application is not None and application.status is ApplicationStatus.RUNNING


def _late(waiting: list[str], found: dict[str, Application], seconds: float) -> str:
    first = found.get(waiting[0])
    reason = f": {explain(first.message)}" if first and first.message else ""
    return f"{', '.join(waiting)} did not start within {seconds:.0f} s{reason}"
