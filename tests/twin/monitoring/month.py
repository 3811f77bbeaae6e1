"""A month of a twin's life, hour by hour, as its stores would tell it; the clock is made up.

An author publishes, edits and deletes; the nightly chain runs, and breaks once. Callers ask, change
what they ask, and judge; some are hostile. Stores go away. What monitoring starts has its effect:
an index is built, samples are made, a model is registered.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.twin.monitoring.seen import answer
from twin.domain.feedback import Feedback
from twin.domain.monitoring import Event, Held, Measure, MonitoringState, Standing, Start
from twin.domain.seen_answer import SeenAnswer
from twin.monitoring import currency, drift, opinion
from twin.monitoring.decide import decide, remember
from twin.monitoring.freshness import SourceSeen, freshness
from twin.monitoring.remembering import looked, newest_window, reference_window
from twin.monitoring.shares import unknown
from twin.recipes.monitoring import MonitoringSection

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOPICS, TROLLS = 6, 3

#: Days at which something happens.
CHAIN_BREAKS, EDITS, QUESTIONS_CHANGE, TROLLS_COME, TROLLS_GO, PEOPLE_DISLIKE = (
    5, 9, 17, 12, 14, 24
)  # fmt: skip
ENDPOINT_AWAY, WAREHOUSE_AWAY, INDEX_AWAY = 10.5, 13.5, 20.5


@dataclass
class Month:
    """The world and what monitoring makes of it."""

    section: MonitoringSection
    seed: int = 0
    days: int = 30
    starts: list[tuple[float, str, str]] = field(default_factory=list)
    held: list[tuple[float, str, str]] = field(default_factory=list)
    events: list[tuple[float, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._drawing = np.random.default_rng(self.seed)
        self._live: dict[str, currency.LiveDocument] = {}
        self._published: list[datetime] = []
        self._indexed: dict[str, str] = {}
        self._samples_of = ""
        self._trained = BEGIN
        self._due: list[tuple[datetime, str]] = []
        self._answers: list[SeenAnswer] = []
        self._vectors: dict[str, list[float]] = {}
        for number in range(40):
            self._publish(f"old-{number}", BEGIN - (2 * 40 - 2 * number) * DAY)
        self._build()
        self._make_samples()
        self._state = MonitoringState(recipe="tiny")

    def run(self) -> "Month":
        """Live the whole month."""
        for hour in range(self.days * 24):
            now = BEGIN + hour * HOUR
            self._live_an_hour(now)
            self._look(now)
        return self

    # The world

    def _live_an_hour(self, now: datetime) -> None:
        day = (now - BEGIN) / DAY
        for what in [what for due, what in self._due if due <= now]:
            {"features": self._build, "datasets": self._make_samples}.get(
                what, lambda: self._train(now)
            )()
        self._due = [(due, what) for due, what in self._due if due > now]
        if now.hour == 3:
            self._crawl(int(day), now)
        self._ask(day, now)

    def _crawl(self, day: int, now: datetime) -> None:
        if day % 2 == 1:
            self._publish(f"new-{day}", now)
        if day == EDITS:
            for number in range(6):
                self._publish(f"old-{number}", now)
            del self._live["old-30"]
        if day != CHAIN_BREAKS:
            self._due += [(now + HOUR, "features"), (now + 2 * HOUR, "datasets")]

    def _publish(self, name: str, at: datetime) -> None:
        self._live[name] = currency.LiveDocument(f"{name}@{at.isoformat()}", at)
        self._published.append(at)

    def _build(self) -> None:
        self._indexed = {id_: document.revision for id_, document in self._live.items()}

    def _fingerprint(self) -> str:
        return str(hash(tuple(sorted(self._indexed.items()))))

    def _make_samples(self) -> None:
        self._samples_of, self._learnt = self._fingerprint(), set(self._indexed)

    def _train(self, now: datetime) -> None:
        self._trained = now

    def _ask(self, day: float, now: datetime) -> None:
        for number in range(self._drawing.poisson(2.5)):
            caller = f"c{self._drawing.integers(40)}"
            self._answer(caller, f"{now.isoformat()} {number}", day, now)
        if TROLLS_COME <= day < TROLLS_GO:
            for troll in range(TROLLS):
                for number in range(20):
                    asked = answer(
                        f"troll{troll}",
                        at=now,
                        question=f"{now.isoformat()} t{troll} {number}",
                        characters=3_000,
                        feedback=Feedback(thumb="down"),
                    )
                    self._vectors[asked.question] = self._vector(0)
                    self._answers.append(asked)

    def _answer(self, caller: str, name: str, day: float, now: datetime) -> None:
        is_new = day >= QUESTIONS_CHANGE and self._drawing.random() < 0.7
        topic = TOPICS if is_new else int(self._drawing.integers(TOPICS))
        dislike = 0.85 if day >= PEOPLE_DISLIKE else 0.15
        judges = self._drawing.random() < 0.5
        thumb = "down" if self._drawing.random() < dislike else "up"
        self._vectors[name] = self._vector(topic)
        self._answers.append(
            answer(
                caller,
                at=now,
                question=name,
                characters=int(math.exp(self._drawing.normal(5, 0.5))),
                grounded=bool(self._drawing.random() < 0.9),
                feedback=Feedback(thumb=thumb) if judges else None,
            )
        )

    def _vector(self, topic: int) -> list[float]:
        vector = np.eye(TOPICS + 1)[topic] + self._drawing.normal(0, 0.3, TOPICS + 1)
        return list(vector / np.linalg.norm(vector))

    # Monitoring

    def _look(self, now: datetime) -> None:
        state = looked(self._state, list(self._measures(now)), now, self.section, str(now))
        decisions = decide(state, self.section, now)
        self._state = remember(state, decisions, now)
        day = (now - BEGIN) / DAY
        self.events += [(day, each) for each in state.events]
        for each in decisions:
            if isinstance(each, Start):
                self.starts.append((day, each.pipeline, each.reason))
                took = HOUR if each.pipeline != "training" else 8 * HOUR
                self._due.append((now + took, each.pipeline))
            elif isinstance(each, Held):
                self.held.append((day, each.rule, each.why_not))

    def _measures(self, now: datetime) -> Iterator[Measure]:
        day = (now - BEGIN) / DAY
        away = {
            name
            for name, begin in {
                "endpoint": ENDPOINT_AWAY, "warehouse": WAREHOUSE_AWAY, "index": INDEX_AWAY
            }.items()
            if begin <= day < begin + 1 / 24
        }  # fmt: skip
        for name in ("warehouse", "index", "endpoint"):
            standing = Standing.BAD if name in away else Standing.GOOD
            yield Measure(name=f"component.{name}", standing=standing, says=name)
        if "warehouse" in away:
            names = ["fresh.blog", currency.INDEX, currency.CHANGED, *drift.ALL, opinion.FEEDBACK]
            yield from (unknown(name, "away") for name in names)
            return
        crawled = now - timedelta(hours=(now.hour - 3) % 24)
        source = SourceSeen("blog", crawled, tuple(self._published))
        yield from freshness([source], now, self.section.freshness)
        yield (
            unknown(currency.INDEX, "away")
            if "index" in away
            else currency.index_behind(self._live, self._indexed)
        )
        yield currency.samples_behind(self._samples_of, self._fingerprint())
        limit = self.section.rules.training and self.section.rules.training.changed
        yield currency.data_changed(self._live, self._learnt, self._trained, limit)
        yield from self._of_answers(now)

    def _of_answers(self, now: datetime) -> Iterator[Measure]:
        moments = [each.created for each in self._answers]

        def within(begin: datetime, end: datetime) -> list[SeenAnswer]:
            return self._answers[bisect_left(moments, begin) : bisect_left(moments, end)]

        before = within(*reference_window(self._state, now, self.section))
        after = within(newest_window(now, self.section), now)
        yield from drift.drift(before, after, self._encode, self.section.drift)
        since = now - timedelta(days=self.section.feedback_days)
        rule = self.section.rules.training
        judged = [each for each in within(since, now) if each.feedback]
        lowest = (rule.feedback_below if rule else None) or 0.0
        yield opinion.opinion(judged, lowest, self.section.feedback_callers)

    def _encode(self, questions: list[str]) -> list[list[float]]:
        return [self._vectors[question] for question in questions]
