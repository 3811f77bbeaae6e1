"""Bringing a version into service without losing a request, and taking it out again.

Beside what serves, the new version is started, asked real questions, asked what callers ask, and
given traffic step by step, while its answers are compared with the running version's; whatever goes
wrong before the end puts the old weights back. Every step is written to the file store first and
then made so, which is why a rollout that is killed is simply run again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from twin.domain.errors import BadDataError, TwinError
from twin.domain.rollout import ALL, RolloutState, ServedVersion, application_name
from twin.recipes import ServingSection
from twin.rollout.analysis import Measured
from twin.rollout.evidence import Evidence, are_clear, as_words, named
from twin.rollout.lease import LostLeaseError, Owner
from twin.rollout.probing import check_smoke, check_version, check_weights
from twin.rollout.room import check_room
from twin.rollout.transitions import (
    ROLLED_BACK,
    WAITS,
    awaiting,
    awaiting_again,
    baseline,
    dark,
    event,
    mirrored,
    noted,
    other_than,
    progressed,
    retired,
    settled,
    shares,
    shifted,
    with_figures,
)
from twin.rollout.waiting import (
    POLL_SECONDS,
    check_applications,
    runs,
    wait_for_applications,
    wait_for_weights,
    wait_until_gone,
)
from twin.settings import Settings
from twin.stores.deployments import Deployments
from twin.stores.endpoint import Endpoint
from twin.stores.files import open_files
from twin.stores.serve_config import ROUTER, applications_of, as_written_now, render

#: How long an old version's last answers are waited for; it ends by itself in any case.
RETIRE_SECONDS = 150.0
#: Figures are written down for whoever looks on, this often at most.
FIGURES_SECONDS = 5.0

Change = Callable[[RolloutState], RolloutState]

log = structlog.get_logger("twin")


class Shift:
    """Moves one model's traffic, for who holds the lease on its state.

    Args:
        owner: of the model's state.
        settings: of the platform.
        deployments: where applications run.
        endpoint: what callers reach.

    Attributes:
        advance: told of every step done.
    """

    def __init__(
        self,
        owner: Owner,
        settings: Settings,
        deployments: Deployments,
        endpoint: Endpoint,
    ) -> None:
        self.model = owner.model
        self.advance: Callable[[int], None] = lambda _: None
        self._owner = owner
        self._settings = settings
        self._deployments = deployments
        self._endpoint = endpoint
        self._hurried = False

    @property
    def serving(self) -> ServedVersion | None:
        """The settled version, which a rollout that fails goes back to."""
        return baseline(self._owner.state()).serving

    def is_serving(self, version: ServedVersion) -> bool:
        """Whether ``version`` alone should serve, and does."""
        state = self._owner.state()
        if len(state.versions) != 1 or state.shadow:
            return False
        [settled] = state.versions
        if not as_written_now(settled).serves_like(version) or state.weights != {settled.name: ALL}:
            return False
        found = self._deployments.applications()
        up = all(runs(found.get(each)) for each in (ROUTER, *applications_of(self.model, settled)))
        return up and self._endpoint.weights(self.model) == state.shares

    def to(self, new: ServedVersion, serving: ServingSection, *, asks: bool = True) -> bool:
        """Make ``new`` what serves; returns False where it keeps a share until it is approved.

        With ``asks`` a person has to approve it, if its recipe says so.

        Raises:
            BadDataError: it can't load, does not answer, answers worse than what serves, or a
                person has ended the rollout; what served before serves on.
            TryAgainError: it did not start in time, or a store failed; likewise.
            LostLeaseError: another rollout has taken over, and decides what serves.
        """
        before = self._owner.state()
        base = baseline(before)
        with self._backing_out(new, before):
            check_weights(open_files(self._settings), new)
            check_room(self._owner.states.all(), self.model, new, self._settings, self._endpoint)
            self._start_beside(new, serving)
            self._ask(application_name(self.model, new.name), new, serving)
            evidence = self._evidence(new, other_than(base, new), serving)
            self._shadow(new, evidence, serving)
            *some, _ = shares(self._owner.state(), new, serving.traffic_steps)
            for share in some:
                if not self._hurried:
                    self._give(new, share, evidence, serving)
                self.advance(1)
            asks = asks and serving.rollout.require_approval and not self._hurried
            if asks and evidence.old is not None:
                self._make_so(WAITS, new, lambda state: awaiting(state, new))
                return False
            self._give_all(new, evidence, serving)
        self._retire(before, new, serving)
        return True

    def finish(self, new: ServedVersion, serving: ServingSection) -> bool:
        """Give a version that was approved all the traffic; returns True, and raises, as `to`.

        Only what is wrong with the version backs it out: after whatever may pass it waits as
        before, so that the approval can be carried out when this is tried again.
        """
        before = self._owner.state()
        with self._backing_out(new, before, lambda state: awaiting_again(state, before)):
            self._give_all(new, self._evidence(new, None, serving), serving)
        self._retire(before, new, serving)
        return True

    @contextmanager
    def _backing_out(
        self, new: ServedVersion, before: RolloutState, passing: Change = baseline
    ) -> Iterator[None]:
        """Puts back what served, whatever goes wrong in its block; see `_back_out`."""
        try:
            yield
        except LostLeaseError:
            raise
        except BaseException as error:
            # Whatever it is, a signal or a defect of ours: traffic must not stay half moved.
            change = baseline if isinstance(error, BadDataError) else passing
            self._back_out(new, error, change)
            raise _with_outcome(error, new, change(before)) from None

    def back_out(self, reason: TwinError) -> ServedVersion | None:
        """Put back what was settled, after a rollout that is no more; returns what serves.

        Raises:
            TwinError: it could not be put back, or is not in force yet.
        """
        state = self._owner.state()
        brought = state.versions[-1] if state.versions else None
        if brought and (failed := self._back_out(brought, reason)):
            raise type(failed)(f"not backed out, see `twin rollout reconcile`: {failed}")
        return baseline(state).serving

    def note_rolled_back(self, to: ServedVersion) -> None:
        """Write down what a person has had enough of, so that nothing begins it again by itself."""
        left = self.serving
        if left is not None and left.name != to.name:
            line = event(datetime.now(UTC), self._owner.run_id, ROLLED_BACK, left)
            self._owner.change(lambda state: noted(state, line))

    def retire_warm(self) -> bool:
        """End the warm version if its time is over; returns whether it was."""
        now = datetime.now(UTC)
        before = self._owner.state()
        after = self._owner.change(lambda state: retired(state, now))
        if after.warm == before.warm:
            return False
        self._apply()
        return True

    def repair(self) -> None:
        """Tell Serve anew what should run."""
        self._apply()

    def _start_beside(self, new: ServedVersion, serving: ServingSection) -> None:
        self._make_so("starting", new, lambda state: dark(state, new))
        wait_for_applications(
            {ROUTER, *applications_of(self.model, new)},
            serving.start_timeout_seconds,
            self._deployments,
            again=self._apply,
            attend=self._attend,
        )
        self.advance(1)

    def _ask(self, name: str, new: ServedVersion, serving: ServingSection) -> None:
        """Real questions, of which the first also warms it up."""
        self._probe(name, new, serving)
        for smoke in serving.rollout.smoke:
            seconds = serving.answer_timeout_seconds
            answer = self._endpoint.ask_anything(name, smoke.question, seconds)
            check_version(name, answer, new)
            check_smoke(name, answer, smoke)

    def _probe(self, name: str, new: ServedVersion, serving: ServingSection) -> None:
        started = time.monotonic()
        answer = self._endpoint.ask(name, serving.probe_question, serving.answer_timeout_seconds)
        check_version(name, answer, new)
        seconds = round(time.monotonic() - started, 2)
        log.info("asked", model=name, seconds=seconds, sources=len(answer.sources))
        self.advance(1)

    def _evidence(
        self, new: ServedVersion, old: ServedVersion | None, serving: ServingSection
    ) -> Evidence:
        former = old.name if old else None
        return Evidence(self._endpoint, self.model, new.name, former, serving.rollout.analysis)

    def _shadow(self, new: ServedVersion, evidence: Evidence, serving: ServingSection) -> None:
        """Have it asked what callers ask, for as long as the recipe says."""
        rollout = serving.rollout
        if evidence.old is None or not (rollout.shadow_percent and rollout.shadow_seconds):
            return
        percent = rollout.shadow_percent
        self._wait_for_weights(self._make_so("shadow", new, lambda it: mirrored(it, percent)))
        self._watch(new, evidence, 0, rollout.shadow_seconds, patient=True)

    def _give_all(self, new: ServedVersion, evidence: Evidence, serving: ServingSection) -> None:
        self._give(new, ALL, evidence, serving)
        self.advance(1)
        self._probe(self.model, new, serving)

    def _give(
        self, new: ServedVersion, share: int, evidence: Evidence, serving: ServingSection
    ) -> None:
        def given(state: RolloutState) -> RolloutState:
            return shifted(state, new, share)

        self._wait_for_weights(self._make_so(f"{share}%", new, given))
        at_least = serving.step_seconds
        # With all the traffic there is nothing left to compare with.
        more = serving.rollout.analysis_seconds if share < ALL else 0
        at_most = max(at_least, more)
        self._watch(new, evidence, at_least, at_most)

    def _watch(
        self,
        new: ServedVersion,
        evidence: Evidence,
        at_least: float,
        at_most: float,
        *,
        patient: bool = False,
    ) -> None:
        """Look at the version's replicas and answers until they are clear, or the time is over.

        Where nobody has asked it anything in the least time, more of it would show nothing; who is
        ``patient``, since questions are mirrored and waiting costs nobody anything, waits on.
        """
        names = applications_of(self.model, new)
        begun = written = time.monotonic()
        while not self._hurried:
            self._attend()
            check_applications(names, self._deployments.applications())
            figures = evidence.look()
            if failed := named(figures, "failed"):
                raise BadDataError(f"answers are worse than those before: {as_words(failed)}")
            seconds = time.monotonic() - begun
            if seconds >= at_least and (
                not figures
                or seconds >= at_most
                or are_clear(figures)
                or not (patient or evidence.answers)
            ):
                self._note_figures(figures)
                if evidence.old is not None:
                    self._leave_undecided(named(figures, "undecided"))
                return
            if time.monotonic() - written > FIGURES_SECONDS:
                self._note_figures(figures)
                written = time.monotonic()
            time.sleep(POLL_SECONDS)

    def _leave_undecided(self, undecided: Sequence[Measured]) -> None:
        """Do as the recipe says with metrics that a step could not decide."""
        aborting = [item for item in undecided if item.section.inconclusive == "abort"]
        if aborting:
            raise BadDataError(f"undecided, and the recipe says abort: {as_words(aborting)}")
        pausing = [item for item in undecided if item.section.inconclusive == "pause"]
        if pausing:
            log.warning("paused: go on by `twin rollout resume`", figures=as_words(pausing))
            # A wish of a person goes before.
            self._owner.change(lambda it: it.model_copy(update={"wish": it.wish or "pause"}))
            self._attend()

    def _attend(self) -> None:
        """Do as a person wishes, and notice where another rollout has taken over."""
        while True:
            wish = self._owner.state().wish
            if wish == "abort":
                raise BadDataError("ended by hand (twin rollout abort)")
            if wish == "promote":
                self._hurried = True
                self._owner.change(lambda state: state.model_copy(update={"wish": None}))
            if wish != "pause":
                return
            time.sleep(POLL_SECONDS)

    def _retire(self, before: RolloutState, new: ServedVersion, serving: ServingSection) -> None:
        now, seconds = datetime.now(UTC), serving.rollout.warm_seconds
        state = self._make_so("serving", new, lambda state: settled(state, new, now, seconds))
        self._wait_for_weights(state)
        old = self._no_longer_needed(before)
        if not wait_until_gone(old, RETIRE_SECONDS, self._deployments, lambda: None):
            log.warning("old version is still ending", applications=sorted(old))
        self.advance(1)

    def _no_longer_needed(self, before: RolloutState) -> set[str]:
        """Applications of what served before, without those that anything still answers by."""
        needed = {
            name
            for state in self._owner.states.all()
            for item in state.running
            for name in applications_of(state.model, item)
        }
        return {
            name for item in before.running for name in applications_of(self.model, item)
        } - needed

    def _back_out(
        self, new: ServedVersion, error: BaseException, change: Change = baseline
    ) -> TwinError | None:
        """Put back what served before; returns its own failure, which must not hide the first."""
        log.warning("backing out", model=self.model, version=new.name, reason=str(error))
        begun = time.monotonic()
        # What is no fault of the version may be tried again.
        name = "failed" if isinstance(error, BadDataError) else "interrupted"
        try:
            state = self._make_so(name, new, change, str(error))
            if state.versions:
                self._wait_for_weights(state)
        except TwinError as second:
            log.error("backing out failed too: run this again", reason=str(second))
            return second
        log.info("backed out", model=self.model, seconds=round(time.monotonic() - begun, 2))
        return None

    def _make_so(
        self, name: str, version: ServedVersion, change: Change, message: str = ""
    ) -> RolloutState:
        """Write down a step and tell Serve; returns the state with the generation that it got."""
        log.info("rollout", model=self.model, version=version.name, step=name)
        now = datetime.now(UTC)
        line = event(now, self._owner.run_id, name, version, message)

        state = self._owner.change(
            lambda state: noted(progressed(change(state), now, name, version.name), line)
        )
        self._apply()
        return state

    def _wait_for_weights(self, state: RolloutState) -> None:
        wait_for_weights(state, self._endpoint, self._owner.state)

    def _note_figures(self, figures: Sequence[Measured]) -> None:
        lines = tuple(map(str, figures))
        log.info("figures", model=self.model, figures=lines)
        self._owner.change(lambda state: with_figures(state, lines))

    def _apply(self) -> None:
        self._deployments.apply(lambda: render(self._owner.states.all(), self._settings))


def _with_outcome(error: BaseException, new: ServedVersion, after: RolloutState) -> BaseException:
    """The same kind of error, which also says what serves now, or waits."""
    if not isinstance(error, TwinError):
        return error
    outcome = f"version {after.serving.name} serves on" if after.serving else "nothing serves"
    if after.awaits:
        outcome = "it waits as before"
    return type(error)(f"{after.model} version {new.name} is not in service ({outcome}): {error}")
