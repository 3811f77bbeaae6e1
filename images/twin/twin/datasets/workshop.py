"""What samples are made with beside passages: embedder, retriever, teacher and judge.

Each is opened when it is first needed, and all are closed together.
"""

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from twin.datasets.gates import Gate, Rejected
from twin.datasets.held_out import read_questions
from twin.datasets.instruct import Lesson
from twin.datasets.model_gates import classifier_gate, marks_gate, relevance_gate, toxicity_gate
from twin.datasets.personal_data import Redactor
from twin.datasets.questions import open_questions, open_retrieve, serving_inputs
from twin.datasets.teacher import Taught, Teacher
from twin.datasets.teacher_prompts import TEACHER_VERSION
from twin.datasets.teacher_rules import TeacherRules
from twin.datasets.written import Asked
from twin.domain.errors import BadDataError
from twin.domain.sample import InstructSample
from twin.job import Job
from twin.models.asking import Asker
from twin.models.bases.base_models import prepare_base_model
from twin.models.embedder import Embedder, load_embedder
from twin.models.engines.remote import RemoteModel
from twin.models.language_model import LanguageModel, load_language_model
from twin.models.spending import Prices, Spending
from twin.models.text_classifier import weights_digest
from twin.rag.marks import MARKS_VERSION, Marker
from twin.rag.support import SupportVerifier
from twin.recipes import Recipe, TeacherSection
from twin.recipes.datasets import ClassifierGateSection
from twin.stores.files import FileStore
from twin.stores.index import IndexReader
from twin.stores.kept_replies import KeptReplies
from twin.stores.sample_sets import replies_of


def workshop_inputs(recipe: Recipe) -> tuple[str, ...]:
    """What beside the sections `author` and `datasets` shapes what is made and left out here.

    Raises:
        BadDataError: an evaluation set can't be read, or holds no question; or a classifier is not
            there.
    """
    gates, found = recipe.datasets.gates, list[str]()
    if gates.relevance:
        found.append(recipe.features.embedder)
    if gates.quality is not None and recipe.judge is not None:
        found += [MARKS_VERSION, recipe.judge.model]
    found += [weights_digest(Path(each.model)) for each in gates.classifiers]
    for path in gates.evaluation_sets:
        read_questions(path)  # what is wrong with it is said before anything is paid
        found.append(hashlib.sha256(path.read_bytes()).hexdigest())
    if recipe.datasets.teacher is not None:
        found += [TEACHER_VERSION, *serving_inputs(recipe)]
    return tuple(found)


class Workshop:
    """Opens what a recipe asks for.

    Args:
        job: with recipe and settings; shows progress.
        files: keep the replies of teacher and judge.
        reader: of the index.
        redactor: of personal data.
        version: of the samples, which pays for what a teacher writes.
    """

    def __init__(
        self, job: Job, files: FileStore, reader: IndexReader, redactor: Redactor, version: str
    ) -> None:
        self._job = job
        self._recipe = job.recipe
        self._files = files
        self._reader = reader
        self._redactor = redactor
        self._open = ExitStack()
        self._version = version
        self.spending: Spending | None = None

    def close(self) -> None:
        """Close what was opened."""
        self._open.close()

    def asked(self) -> Asked | None:
        """The questions that a person wrote, with a retriever; None without any."""
        recipe = self._recipe
        if recipe.datasets.written is None:
            return None
        return open_questions(
            recipe, self._job.settings, self._reader, self._redactor, self._embedder
        )

    def measured(self) -> list[str]:
        """The questions of the recipe's evaluation sets."""
        paths = self._recipe.datasets.gates.evaluation_sets
        return [question for path in paths for question in read_questions(path)]

    def gates(self) -> list[Gate]:
        """The gates that need a model, the cheap ones first."""
        knobs, found = self._recipe.datasets.gates, list[Gate]()
        if knobs.toxicity < 1:
            found.append(toxicity_gate(knobs.toxicity))
        if knobs.relevance:
            found.append(self._relevance)
        found += [self._classifier_gate(each) for each in knobs.classifiers]
        if knobs.quality is not None:
            found.append(self._marks_gate(knobs.quality))
        return found

    def teach(self, lesson: Lesson) -> Taught:
        """The samples that the recipe's teacher helps with; none without one."""
        knobs = self._recipe.datasets
        if knobs.teacher is None:
            return Taught()
        kept = KeptReplies(self._files, replies_of(self._recipe.name, "teacher"))
        self.spending = _spending(knobs.teacher, self._version)
        self.spending.count(kept)
        teacher = Teacher(
            Asker(self._teacher_model(knobs.teacher), kept, self.spending),
            knobs,
            self._recipe.author.name,
            TeacherRules(
                SupportVerifier(self._embedder),
                self._recipe.retrieval.dont_know,
                knobs.max_answer_words,
            ),
            clean=self._redactor.text,
            bindable=knobs.teacher.local is None,
        )
        retrieve = open_retrieve(self._recipe, self._reader, self._redactor, self._embedder)
        with self._job.progress("asking the teacher", None) as advance:
            return teacher.teach(
                lesson.passages,
                lesson.context,
                lambda question: retrieve(question, lesson.hidden),
                advance,
            )

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(self._recipe.features.embedder, self._job.settings)

    def _teacher_model(self, teacher: TeacherSection) -> LanguageModel:
        settings = self._job.settings
        if teacher.endpoint is None:
            folder = prepare_base_model(teacher.model, settings)
            return load_language_model(folder, settings, folder.name)
        model = RemoteModel(teacher.endpoint, settings.teacher_api_key)
        self._open.callback(model.close)
        return model

    @cached_property
    def _marker(self) -> Marker:
        judge, settings = self._recipe.judge, self._job.settings
        if judge is None:
            raise BadDataError("datasets.gates.quality is given by the judge: name one in judge")
        model = RemoteModel(judge, settings.judge_api_key)
        self._open.callback(model.close)
        return Marker(model, KeptReplies(self._files, replies_of(self._recipe.name, "judge")))

    def _relevance(self, samples: Sequence[InstructSample]) -> list[Rejected]:
        return relevance_gate(self._embedder, self._recipe.datasets.gates.relevance)(samples)

    def _classifier_gate(self, section: ClassifierGateSection) -> Gate:
        def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
            with self._job.progress(f"samples read by {section.name}", len(samples)) as advance:
                return classifier_gate(section, advance)(samples)

        return gate

    def _marks_gate(self, least: int) -> Gate:
        def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
            with self._job.progress("marking samples", len(samples)) as advance:
                return marks_gate(self._marker, least, advance)(samples)

        return gate


def _spending(teacher: TeacherSection, version: str) -> Spending:
    prices = teacher.prices
    return Spending(
        version,
        teacher.budget.tokens,
        teacher.budget.money,
        Prices(prices.prompt, prices.answer) if prices else Prices(),
    )
