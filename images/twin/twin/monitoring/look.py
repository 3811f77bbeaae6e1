"""One look at a twin: every store is asked for what it has, and one that is away is said to be."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TypeVar

from twin.domain.document import DocumentStatus
from twin.domain.errors import BadDataError, TwinError
from twin.domain.monitoring import Measure, MonitoringState, Standing
from twin.domain.observation import RouterReport
from twin.domain.rollout import application_name
from twin.domain.seen_answer import SeenAnswer
from twin.job import Job, log
from twin.models.embedder import load_embedder
from twin.monitoring import currency, drift, live, opinion
from twin.monitoring.accepted import ACCEPTED, accepted, waiting_pairs
from twin.monitoring.canaries import CANARIES, Asked, ask_all, canaries, questions_of, remembered
from twin.monitoring.freshness import SourceSeen, freshness
from twin.monitoring.remembering import newest_window, reference_window
from twin.monitoring.shares import unknown
from twin.recipes.monitoring import CanaryQuestion, MonitoringSection
from twin.stores.endpoint import Endpoint
from twin.stores.files import open_files
from twin.stores.index import IndexState, open_index
from twin.stores.registry import ModelVersion, Registry
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.seen_answers import SeenAnswers
from twin.stores.warehouse import Warehouse, open_warehouse

#: What routers keep is an hour of one answer a second.
OBSERVED = timedelta(hours=1)

WAREHOUSE, INDEX, ENDPOINT, REGISTRY = (
    f"component.{name}" for name in ("warehouse", "index", "endpoint", "registry")
)

Found = TypeVar("Found")


class Look:
    """All measures of one moment.

    Args:
        job: whose recipe and stores are looked at.
        state: of the look before.
        now: the moment.
    """

    def __init__(self, job: Job, state: MonitoringState, now: datetime) -> None:
        self._job = job
        self._recipe = job.recipe
        self._section: MonitoringSection = job.recipe.monitoring
        self._state = state
        self._now = now
        self._components: dict[str, Measure] = {}
        self.asked: list[Asked] = []

    def measures(self) -> list[Measure]:
        """Every measure, in a fixed order; what could not be taken is unknown."""
        questions = questions_of(self._job.settings, self._recipe)
        with ExitStack() as open_stores:
            warehouse = self._from(
                WAREHOUSE, lambda: open_stores.enter_context(open_warehouse(self._job.settings))
            )
            taken = [
                *self._documents(warehouse),
                *self._answers(warehouse, {each.question for each in questions}),
                *self._live(),
                self._canaries(questions),
            ]
        return [*self._components.values(), *taken]

    @property
    def canaries(self) -> dict[str, bool]:
        """What to compare canaries with next time."""
        if not self.asked:
            return dict(self._state.canaries)
        return remembered(self.asked, self._state.canaries)

    def _from(self, component: str, read: Callable[[], Found]) -> Found | None:
        """What a component has; None if it is away, which is said once a look."""
        before = self._components.get(component)
        if before is not None and before.standing is Standing.BAD:
            return None
        try:
            found = read()
        except BadDataError as error:
            # It answers, though not with what is asked for: nothing is published yet.
            log.warning("not measured", component=component, reason=str(error))
            self._note(component, Standing.GOOD, "answers")
            return None
        except TwinError as error:
            log.warning("component is away", component=component, reason=str(error))
            self._note(component, Standing.BAD, str(error))
            return None
        self._note(component, Standing.GOOD, "answers")
        return found

    def _note(self, component: str, standing: Standing, says: str) -> None:
        self._components[component] = Measure(name=component, standing=standing, says=says)

    # Documents

    def _documents(self, warehouse: Warehouse | None) -> Iterable[Measure]:
        seen = None
        if warehouse is not None:
            seen = self._from(WAREHOUSE, lambda: self._live_documents(warehouse))
        index = self._from(INDEX, lambda: open_index(self._job.settings, self._recipe).state())
        manifest = self._manifest()
        if not seen:
            names = [f"fresh.{source.name}" for source in self._recipe.sources]
            yield from (unknown(name, "the warehouse is away") for name in names)
            yield unknown(currency.INDEX, "the warehouse is away")
        else:
            sources, documents = seen
            yield from freshness(sources, self._now, self._section.freshness)
            yield self._index_behind(documents, index)
        yield self._samples_behind(manifest, index)
        yield self._data_changed(seen[1] if seen else None)
        if self._section.rules.online:
            yield self._accepted(manifest)

    def _live_documents(
        self, warehouse: Warehouse
    ) -> tuple[list[SourceSeen], dict[str, currency.LiveDocument]]:
        author, dates = self._recipe.author.id, dict[str, list[datetime]]()
        documents = {}
        for each in warehouse.summaries(author, DocumentStatus.LIVE):
            documents[each.id] = currency.LiveDocument(each.revision, each.last_changed)
            if each.published:
                dates.setdefault(each.source, []).append(each.published)
        crawls = {
            source.name: warehouse.last_crawl(self._recipe.name, source.name)
            for source in self._recipe.sources
        }
        sources = [
            SourceSeen(name, crawl.finished if crawl else None, tuple(dates.get(name, ())))
            for name, crawl in crawls.items()
        ]
        return sources, documents

    def _manifest(self) -> SampleSetManifest | None:
        return SampleSets(open_files(self._job.settings), self._recipe.name).find_latest()

    def _index_behind(
        self, documents: dict[str, currency.LiveDocument], index: IndexState | None
    ) -> Measure:
        if self._components[INDEX].standing is Standing.BAD:
            return unknown(currency.INDEX, "the index is away")
        indexed = index.documents if index else {}
        held = {id_: document.revision for id_, document in indexed.items()}
        return currency.index_behind(documents, held)

    def _samples_behind(
        self, manifest: SampleSetManifest | None, index: IndexState | None
    ) -> Measure:
        if index is None:
            return unknown(currency.SAMPLES, "there is no index to compare them with")
        made_from = manifest.index_fingerprint if manifest else None
        return currency.samples_behind(made_from, index.fingerprint)

    def _data_changed(self, documents: dict[str, currency.LiveDocument] | None) -> Measure:
        versions = self._from(REGISTRY, self._versions)
        if documents is None or versions is None:
            return unknown(currency.CHANGED, "the warehouse or the registry is away")
        rule = self._section.rules.training
        newest = currency.newest_trained(versions)
        learnt, since = self._learnt(newest) if newest else ((), None)
        return currency.data_changed(documents, learnt, since, rule.changed if rule else None)

    def _accepted(self, manifest: SampleSetManifest | None) -> Measure:
        """Of a model that is of the newest samples: others are trained on these first."""
        versions = self._from(REGISTRY, self._versions)
        newest = currency.newest_trained(versions or ())
        if manifest is None or newest is None:
            return unknown(ACCEPTED, "no model is registered yet, or the registry is away")
        if newest.tags.get("dataset_version") != manifest.version:
            return unknown(ACCEPTED, "the newest model is of earlier samples")
        files = open_files(self._job.settings)
        return accepted(waiting_pairs(files, self._recipe.name, manifest))

    def _learnt(self, version: ModelVersion) -> tuple[Collection[str], datetime | None]:
        """Documents that a version's own samples were dealt from, and when: where that is not
        noted or the samples are gone, when the version was registered."""
        sets = SampleSets(open_files(self._job.settings), self._recipe.name)
        made_of = version.tags.get("dataset_version", "")
        if not made_of or not sets.is_published(made_of):
            return (), version.created
        manifest = sets.manifest(made_of)
        return manifest.documents, manifest.dealt or version.created

    def _versions(self) -> list[ModelVersion]:
        with Registry(self._job.settings) as registry:
            return registry.versions(self._recipe.model_name)

    # Answers

    def _answers(
        self, warehouse: Warehouse | None, canary_questions: set[str]
    ) -> Iterable[Measure]:
        windows = None
        if warehouse is not None:
            answers = SeenAnswers(warehouse)
            windows = self._from(WAREHOUSE, lambda: self._windows(answers, canary_questions))
        if windows is None:
            away = "the warehouse is away"
            yield from (unknown(name, away) for name in (*drift.ALL, opinion.FEEDBACK))
            return
        before, after, judged = windows
        yield from drift.drift(before, after, self._encode, self._section.drift)
        training = self._section.rules.training
        lowest = (training.feedback_below if training else None) or 0.0
        yield opinion.opinion(judged, lowest, self._section.feedback_callers)

    def _windows(
        self, answers: SeenAnswers, left_out: set[str]
    ) -> tuple[list[SeenAnswer], list[SeenAnswer], list[SeenAnswer]]:
        answers.prepare()
        model, most = self._recipe.model_name, self._section.drift.sampled
        begin, end = reference_window(self._state, self._now, self._section)
        newest = newest_window(self._now, self._section)
        own = left_out | {self._recipe.serving.probe_question}
        before, after = (
            [each for each in answers.sampled(model, *window, most) if each.question not in own]
            for window in ((begin, end), (newest, self._now))
        )
        since = self._now - timedelta(days=self._section.feedback_days)
        return before, after, answers.judged(model, since)

    def _encode(self, questions: Sequence[str]) -> Sequence[Sequence[float]]:
        embedder = load_embedder(self._recipe.features.embedder, self._job.settings)
        return embedder.encode_questions(questions)

    # The endpoint

    def _live(self) -> list[Measure]:
        reports = self._from(ENDPOINT, self._reports)
        if reports is None:
            return [unknown(name, "the endpoint is away") for name in live.ALL]
        observations = live.served_observations(reports)
        return live.live(observations, self._state.baselines, self._section.live)

    def _reports(self) -> tuple[RouterReport, ...]:
        endpoint = Endpoint(self._job.settings)
        return endpoint.reports(self._recipe.model_name, self._now - OBSERVED)

    def _canaries(self, questions: Sequence[CanaryQuestion]) -> Measure:
        if not questions:
            return canaries([], {})
        asked = self._from(ENDPOINT, lambda: self._ask(questions))
        if asked is None:
            return unknown(CANARIES, "the endpoint is away")
        self.asked = asked
        return canaries(asked, self._state.canaries)

    def _ask(self, questions: Sequence[CanaryQuestion]) -> list[Asked]:
        """Ask the version that most callers have, by its own name: who names a version is observed
        neither in live figures nor in a rollout's comparison (`ObservedBackend`).
        """
        endpoint, model = Endpoint(self._job.settings), self._recipe.model_name
        weights = endpoint.weights(model)
        if weights:
            model = application_name(model, max(weights, key=weights.__getitem__))
        seconds = self._section.canaries.seconds
        with self._job.progress("known questions asked", len(questions)) as advance:

            def ask(question: str) -> str:
                answer = endpoint.ask_anything(model, question, seconds)
                advance(1)
                return answer.answer

            return ask_all(questions, ask, self._recipe.retrieval.dont_know)
