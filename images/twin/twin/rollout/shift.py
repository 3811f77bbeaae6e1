"""Bringing a version into service without losing a request, and taking it out again.

Beside what serves, the new version is started, asked a real question, and given traffic step by
step; whatever goes wrong before the end puts the old weights back. Every step is written to the
file store first and then made so, which is why a rollout that is killed is simply run again.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from twin.domain.errors import BadDataError, TryAgainError, TwinError
from twin.domain.rollout import ALL, RolloutState, ServedVersion, application_name
from twin.recipes import ServingSection
from twin.rollout.endpoint import Endpoint
from twin.rollout.transitions import (
    baseline,
    dark,
    event,
    noted,
    settled,
    shares,
    shifted,
)
from twin.settings import Settings
from twin.stores.deployments import Application, ApplicationStatus, Deployments, explain
from twin.stores.rollout_states import RolloutStates
from twin.stores.serve_config import ROUTER, applications_of, render

POLL_SECONDS = 0.5
#: A change of weights was measured to take under a second; a cluster's operator looks now and then.
WEIGHTS_SECONDS = 120.0
#: How long an old version's last answers are waited for; it ends by itself in any case.
RETIRE_SECONDS = 150.0
#: An application missing this long after it was asked for was undone by another rollout's config.
MISSING_SECONDS = 5.0

BROKEN = frozenset({ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY})

log = structlog.get_logger("twin")


class Shift:
    """Moves one model's traffic. ``advance`` is told of every step done."""

    def __init__(
        self,
        model: str,
        settings: Settings,
        deployments: Deployments,
        *,
        run_id: str,
        advance: Callable[[int], None],
    ) -> None:
        self.model = model
        self._settings = settings
        self._deployments = deployments
        self._endpoint = Endpoint(settings)
        self._states = RolloutStates(settings)
        self._run_id = run_id
        self._advance = advance

    def is_serving(self, version: ServedVersion) -> bool:
        """Whether ``version`` alone should serve, and does."""
        state = self._states.load(self.model)
        if len(state.versions) != 1 or not state.versions[0].serves_like(version):
            return False
        if state.weights != {version.version: ALL}:
            return False
        found = self._deployments.applications()
        running = {name for name, app in found.items() if app.status is ApplicationStatus.RUNNING}
        if not {ROUTER, *applications_of(self.model, version)} <= running:
            return False
        return self._endpoint.weights(self.model) == state.weights

    def to(self, new: ServedVersion, serving: ServingSection) -> None:
        """Make ``new`` what serves.

        Raises:
            BadDataError: it can't load, or does not answer; what served before serves on.
            TryAgainError: it did not start in time, or a store failed; likewise.
        """
        before = self._states.load(self.model)
        beside = dark(before, new)
        try:
            self._start_beside(beside, new, serving)
            self._probe(application_name(self.model, new.version), new, serving)
            for share in shares(beside, new, serving.traffic_steps):
                self._give(new, share, serving)
            self._probe(self.model, new, serving)
        except BaseException as error:
            # Whatever it is, a signal or a defect of ours: traffic must not stay half moved.
            self._back_out(baseline(before), new, error)
            raise _with_outcome(error, self.model, new, baseline(before)) from None
        self._retire(before, new)

    def _start_beside(
        self, beside: RolloutState, new: ServedVersion, serving: ServingSection
    ) -> None:
        self._make_so(self._noted(beside, "starting", new))
        names = {ROUTER, *applications_of(self.model, new)}
        self._wait_for(names, serving.start_timeout_seconds)
        self._advance(1)

    def _probe(self, name: str, new: ServedVersion, serving: ServingSection) -> None:
        started = time.monotonic()
        answer = self._endpoint.ask(name, serving.probe_question, serving.answer_timeout_seconds)
        if answer.model_version != new.version:
            raise BadDataError(
                f"{name} answered as version {answer.model_version}, not {new.version}"
            )
        seconds = round(time.monotonic() - started, 2)
        log.info("asked", model=name, seconds=seconds, sources=len(answer.sources))
        self._advance(1)

    def _give(self, new: ServedVersion, share: int, serving: ServingSection) -> None:
        state = shifted(self._states.load(self.model), new, share)
        self._make_so(self._noted(state, f"{share}%", new))
        self._wait_for_weights(state)
        self._watch(new, serving.step_seconds)
        self._advance(1)

    def _watch(self, new: ServedVersion, seconds: float) -> None:
        """Look at the version for a while; a replica that dies under traffic ends the rollout."""
        names = applications_of(self.model, new)
        deadline = time.monotonic() + seconds
        while True:
            running = self._deployments.applications()
            for name in names:
                _check(name, running)
            if time.monotonic() >= deadline:
                return
            time.sleep(POLL_SECONDS)

    def _retire(self, before: RolloutState, new: ServedVersion) -> None:
        self._make_so(self._noted(settled(self._states.load(self.model), new), "serving", new))
        old = self._no_longer_needed(before)
        deadline = time.monotonic() + RETIRE_SECONDS
        while old & set(self._deployments.applications()):
            if time.monotonic() > deadline:
                log.warning("old version is still ending", applications=sorted(old))
                return
            time.sleep(POLL_SECONDS)
        self._advance(1)

    def _no_longer_needed(self, before: RolloutState) -> set[str]:
        """Applications of what served before, without those that anything still answers by."""
        needed = {
            name
            for state in self._states.all()
            for item in state.versions
            for name in applications_of(state.model, item)
        }
        return {
            name for item in before.versions for name in applications_of(self.model, item)
        } - needed

    def _back_out(self, base: RolloutState, new: ServedVersion, error: BaseException) -> None:
        """Put back what served before; its own failure must not hide the first."""
        log.warning("backing out", model=self.model, version=new.version, reason=str(error))
        try:
            latest = self._states.load(self.model).history
            base = base.model_copy(update={"history": latest})
            self._make_so(self._noted(base, "failed", new, str(error)))
            if base.versions:
                self._wait_for_weights(base)
        except TwinError as second:
            log.error("backing out failed too: run this again", reason=str(second))

    def _make_so(self, state: RolloutState) -> None:
        self._states.save(state)
        self._apply()

    def _apply(self) -> None:
        self._deployments.apply(lambda: render(self._states.all(), self._settings))

    def _noted(
        self, state: RolloutState, name: str, version: ServedVersion, message: str = ""
    ) -> RolloutState:
        log.info("rollout", model=self.model, version=version.version, step=name)
        now = datetime.now(UTC)
        return noted(state, event(now, self._run_id, name, version.version, message))

    def _wait_for(self, names: set[str], seconds: float) -> None:
        """Wait until applications run.

        Raises:
            BadDataError: one can't.
            TryAgainError: one does not in time.
        """
        deadline = time.monotonic() + seconds
        missing_since = time.monotonic()
        while True:
            found = self._deployments.applications()
            for name in names:
                _check(name, found)
            waiting = {name for name in names if not _runs(found.get(name))}
            if not waiting:
                return
            if names <= set(found):
                missing_since = time.monotonic()
            elif time.monotonic() - missing_since > MISSING_SECONDS:
                self._apply()
                missing_since = time.monotonic()
            if time.monotonic() > deadline:
                raise TryAgainError(_late(sorted(waiting), found, seconds))
            time.sleep(POLL_SECONDS)

    def _wait_for_weights(self, state: RolloutState) -> None:
        """Wait until every router replica has the weights.

        Each request is answered by any one of them: as many agreeing answers in a row as make a
        replica that was never asked unlikely.
        """
        wanted = {item.version: state.weights.get(item.version, 0) for item in state.versions}
        deadline = time.monotonic() + WEIGHTS_SECONDS
        agreeing = 0
        while agreeing < 4 * self._settings.router_replicas:
            agreeing = agreeing + 1 if self._endpoint.weights(self.model) == wanted else 0
            if agreeing:
                continue
            if time.monotonic() > deadline:
                raise TryAgainError(f"the router has not taken over the weights {wanted}")
            time.sleep(POLL_SECONDS)


def _runs(application: Application | None) -> bool:
    return application is not None and application.status is ApplicationStatus.RUNNING


def _check(name: str, found: dict[str, Application]) -> None:
    application = found.get(name)
    if application is not None and application.status in BROKEN:
        raise BadDataError(f"{name} is {application.status}: {explain(application.message)}")


def _late(waiting: list[str], found: dict[str, Application], seconds: float) -> str:
    first = found.get(waiting[0])
    reason = f": {explain(first.message)}" if first and first.message else ""
    return f"{', '.join(waiting)} did not start within {seconds:.0f} s{reason}"


def _with_outcome(
    error: BaseException, model: str, new: ServedVersion, base: RolloutState
) -> BaseException:
    """The same kind of error, which also says what serves now."""
    if not isinstance(error, TwinError):
        return error
    serving = base.serving
    outcome = f"version {serving.version} serves on" if serving else "nothing serves"
    return type(error)(f"{model} version {new.version} is not in service ({outcome}): {error}")
