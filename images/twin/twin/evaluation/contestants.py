"""The models that are measured, and what each of them writes to the held-out questions."""

from collections.abc import Mapping, Sequence
from functools import cache, partial

from twin.domain.errors import BadConfigurationError, BadDataError
from twin.evaluation.contest import Contest
from twin.evaluation.gate import BASE, CHAMPION, REFERENCE
from twin.evaluation.held_out import HeldOut
from twin.evaluation.served_answers import Contestant, Task
from twin.evaluation.site import Site, open_site
from twin.evaluation.transcripts import Transcript, transcript_of
from twin.job import Job
from twin.models.adapters import whole_weights
from twin.models.bases.base_models import prepare_base_model
from twin.models.embedder import Embedder, load_embedder
from twin.rag.chain import Lineage
from twin.stores.files import FileStore, folder_digest
from twin.stores.kept_answers import KeptAnswers

CANDIDATE = "candidate"
OPPONENTS = (BASE, CHAMPION, REFERENCE)


def contestants_of(job: Job, contest: Contest) -> dict[str, Contestant]:
    """Role to model, the candidate first."""
    settings, candidate = job.settings, contest.candidate
    base_model = candidate.tags.get("base_model", job.recipe.training.base_model)
    base = prepare_base_model(base_model, settings)
    made: dict[str, Contestant] = {}
    versions = {
        CANDIDATE: candidate, CHAMPION: contest.champion, REFERENCE: contest.reference
    }  # fmt: skip
    for role, version in versions.items():
        if version is not None:
            made[role] = Contestant(
                version.weights_digest,
                partial(whole_weights, version, settings),
                Lineage(version.name, version.version),
                version.tags,
            )
    made[BASE] = Contestant(folder_digest(base), lambda: base, Lineage(base_model, BASE))
    return {role: made[role] for role in (CANDIDATE, *OPPONENTS) if role in made}


def site_of(job: Job, files: FileStore) -> Site:
    """Where a job's answers are written: the recipe's embedder is loaded once, if at all."""

    @cache
    def embedder() -> Embedder:
        return load_embedder(job.recipe.features.embedder, job.settings)

    return open_site(job.recipe, job.settings, KeptAnswers(files), embedder)


def transcripts_of(
    job: Job,
    contestants: Mapping[str, Contestant],
    held_out: HeldOut,
    site: Site,
    files: FileStore,
    ahead: Sequence[Task] = (),
) -> tuple[dict[str, Transcript], list[str]]:
    """The transcripts by role, and why an earlier champion has none.

    One language model at a time is in memory.

    Args:
        job: that shows the progress.
        contestants: role to model.
        held_out: the questions.
        site: where answers are written.
        files: where scores are kept.
        ahead: what else candidate and base are to write while they are loaded.

    Raises:
        BadDataError: candidate or base can't be measured.
        TryAgainError: a store does not answer; what is done is kept.
    """
    made: dict[str, Transcript] = {}
    doubts = []
    total = 2 * len(contestants) * len(held_out.samples) + 2 * len(ahead)
    with job.progress("measuring", total) as advance:
        for role, contestant in contestants.items():
            more = ahead if role in {CANDIDATE, BASE} else ()
            try:
                made[role] = transcript_of(contestant, held_out, site, files, advance, more)
            except (BadDataError, BadConfigurationError) as error:
                if role in {CANDIDATE, BASE}:
                    raise
                doubts.append(f"the {role} can't be measured: {error}")
    return made, doubts


def share_of_questions(held_out: HeldOut, shard: tuple[int, int]) -> HeldOut:
    """Every so-manieth question, for one of several processes that share the work.

    Args:
        held_out: all questions.
        shard: number of this process, from 1, and how many there are.
    """
    number, of = shard
    own = slice(number - 1, None, of)
    return HeldOut(held_out.samples[own], held_out.conversations[own], held_out.groups[own])
