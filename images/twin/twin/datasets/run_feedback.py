"""`twin datasets feedback`: judged answers of the warehouse become candidate pairs."""

from collections.abc import Sequence
from datetime import UTC, datetime

from twin.datasets.feedback import candidate_pairs
from twin.datasets.gates import Gate, Reason, Rejected, by_rule, held_out_gate
from twin.datasets.held_out import HeldOut, read_questions
from twin.datasets.model_gates import classifier_gate, toxicity_gate
from twin.datasets.personal_data import Redactor
from twin.domain.errors import NothingToDo
from twin.domain.feedback import KeptAnswer
from twin.domain.feedback_pair import FeedbackPair
from twin.domain.sample import InstructSample, Split
from twin.domain.verdict import Decision, Verdict
from twin.domain.written import refuses
from twin.job import Job
from twin.models.embedder import load_embedder
from twin.rag.support import SupportVerifier
from twin.recipes import Recipe
from twin.stores.answer_records import AnswerRecords
from twin.stores.feedback_pairs import FeedbackPairs
from twin.stores.files import open_files
from twin.stores.sample_sets import SampleSetManifest, SampleSets
from twin.stores.verdicts import Verdicts
from twin.stores.warehouse import open_warehouse


def make_feedback_pairs(job: Job) -> None:
    """Make the candidates of the answers that are kept now.

    A candidate goes when its answer goes (its time is over, or its caller erased it), unless a
    person wants it: it is then training material like a written answer.

    Raises:
        NothingToDo: they are what they were, or nobody has judged an answer.
        BadDataError: there are no samples yet, which say what may be trained on.
        TryAgainError: the warehouse is away.
    """
    files, recipe = open_files(job.settings), job.recipe
    sets = SampleSets(files, recipe.name)
    manifest = sets.latest()
    store = FeedbackPairs(files, recipe.name)
    job.result.uris["feedback"] = store.uri
    judged = _judged(job)
    redactor = Redactor(recipe.datasets.personal_data, recipe.author.name)
    found = candidate_pairs(
        judged, manifest.documents, redactor.text, _gates(job, sets, manifest, bool(judged))
    )
    kept = _wanted(store.read(), Verdicts(files, recipe.name, on_pairs=True).read())
    pairs = list({each.pair.id: each for each in (*kept, *found.pairs)}.values())
    job.counts.read = len(judged)
    job.counts.written = len(pairs)
    job.counts.skipped = found.left_out.total()
    job.result.detail.update(
        left_out=dict(found.left_out.most_common()),
        faults=sum(1 for each in pairs if each.fault),
        redacted=dict(sorted(redactor.counts.items())),
    )
    if not store.replace(pairs):
        raise NothingToDo(
            f"the {len(pairs)} candidate pairs of {len(judged)} judged answers are known already"
        )


def _judged(job: Job) -> list[KeptAnswer]:
    with open_warehouse(job.settings) as warehouse:
        records = AnswerRecords(warehouse)
        return list(records.judged(job.recipe.model_name, datetime.now(UTC)))


def _wanted(known: Sequence[FeedbackPair], verdicts: Sequence[Verdict]) -> list[FeedbackPair]:
    """Those that people keep or have edited."""
    wanted = {each.sample for each in verdicts if each.decision in {Decision.KEEP, Decision.EDIT}}
    return [each for each in known if each.pair.id in wanted]


def _gates(job: Job, sets: SampleSets, manifest: SampleSetManifest, is_needed: bool) -> list[Gate]:
    """Those that samples pass, the cheap ones first, and support: a caller is not the author."""
    if not is_needed:
        return []
    recipe = job.recipe
    gates = [by_rule, held_out_gate(_held_out(recipe, sets, manifest))]
    if recipe.datasets.gates.toxicity < 1:
        gates.append(toxicity_gate(recipe.datasets.gates.toxicity))
    gates += [
        classifier_gate(each, lambda _done: None) for each in recipe.datasets.gates.classifiers
    ]
    verifier = SupportVerifier(load_embedder(recipe.features.embedder, job.settings))
    return [*gates, support_gate(verifier, recipe.retrieval.dont_know)]


def _held_out(recipe: Recipe, sets: SampleSets, manifest: SampleSetManifest) -> HeldOut:
    """What models are measured by: evaluation sets, and the samples that are held out."""
    paths = recipe.datasets.gates.evaluation_sets
    held = [
        sample
        for split in (Split.VALIDATION, Split.TEST)
        for sample in sets.instruct(manifest.version, split)
    ]
    asked = [question for path in paths for question in read_questions(path)]
    return HeldOut(
        [*asked, *(sample.instruction for sample in held)], [sample.answer for sample in held]
    )


def support_gate(verifier: SupportVerifier, refusal: str) -> Gate:
    """A passage shown has to support each sentence of the answer, unless it refuses."""

    def unsupported(sample: InstructSample) -> str:
        if refuses(sample.answer, refusal):
            return ""
        verdicts = verifier.verify(sample.answer, sample.context)
        return next((each.sentence for each in verdicts if not each.is_supported), "")

    def gate(samples: Sequence[InstructSample]) -> list[Rejected]:
        return [
            Rejected(sample, Reason.UNSUPPORTED, sentence)
            for sample in samples
            if (sentence := unsupported(sample))
        ]

    return gate
